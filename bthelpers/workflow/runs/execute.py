"""Execute one run: its notebook, unless all that it reads and has written is as its receipt says.

``python -m bthelpers.workflow.runs.execute NOTEBOOK EXECUTED --named KEY=NAME ... --inputs FILE ...
--outputs FILE ...`` is what the workflow starts. With ``--processes N``, as many execute the
notebook side by side and share its work; the first of them writes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from bthelpers.core.checksums import sums_beside, write_sum
from bthelpers.workflow.parameters import look_again
from bthelpers.workflow.runs.receipts import Digests, changed_since, digests, write_receipt
from bthelpers.workflow.runs.unfinished import remove_unfinished, unfinished

RANK = "RANK"  # names a process, counted from 0, where several were launched
STANDARD_INPUT = "ignore:the file is not specified with any extension"  # to papermill, it is a file


def execute(
    notebook: str, executed: Path, named: Sequence[str], inputs: list[str], outputs: list[str]
) -> int:
    """Execute a notebook with parameters, and leave a receipt beside it.

    Parameters
    ----------
    notebook : str
        In jupytext's format.
    executed : Path
        The notebook with its outputs, once it is whole; its checksum lies beside it. That of an
        earlier run stays until then.
    named : sequence of str
        Parameters, as ``key=name``; names are text also where they look like numbers.
    inputs, outputs : list of str
        Files that it reads, and that it is to write.

    Returns
    -------
    int
        Exit status. A run of which an input has changed meanwhile has failed: nobody knows what
        it has read.
    """
    receipt = executed.with_suffix(".json")
    _date_now_what_is_ahead(inputs)
    before = digests(inputs)
    if changed_since(receipt, before, outputs) is None:
        print(f"{receipt}: nothing has changed")
        remove_unfinished(executed)  # of a run that was killed since, or just after its receipt
        return 0
    convert = ["jupytext", "--quiet", "--to", "ipynb", "--output", "-", notebook]
    converted = subprocess.run(convert, stdout=subprocess.PIPE)
    names = dict(pair.split("=", 1) for pair in named)
    parameters = [word for pair in names.items() for word in ("-r", *pair)]
    first = os.environ.get(RANK, "0") == "0"
    at_work = str(unfinished(executed))
    log, output = ("--log-output", at_work) if first else ("--no-log-output", os.devnull)
    run = ["papermill", log, "--no-progress-bar", *parameters, "-", output]
    quiet = {"PYTHONWARNINGS": STANDARD_INPUT} | os.environ
    status = (
        converted.returncode or subprocess.run(run, input=converted.stdout, env=quiet).returncode
    )
    if status == 0 and first and (changed := _changed_meanwhile(before, names["profile"])):
        print(f"{changed} has changed while this run was under way: it is to begin again")
        return 1
    if status == 0 and first:
        sums_beside(executed).unlink(missing_ok=True)
        os.replace(unfinished(executed), executed)
        write_sum(executed)
        write_receipt(receipt, before, outputs)
        remove_unfinished(executed)
    return status


def launch(n_processes: int, words: Sequence[str]) -> int:
    """Start several processes with this command line, as torchrun does; one that fails ends all.

    torchrun itself would end the log with what it says of a failure, and not with the error.

    Returns
    -------
    int
        Exit status.
    """
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    here = {"rdzv_backend": "c10d", "rdzv_endpoint": "localhost:0", "run_id": uuid4().hex}
    config = LaunchConfig(1, 1, n_processes, max_restarts=0, **here)
    try:
        elastic_launch(config, sys.executable)("-m", "bthelpers.workflow.runs.execute", *words)
    except ChildFailedError:
        return 1
    return 0


def _changed_meanwhile(before: Digests, profile: str) -> str | None:
    """Name an input that is another one by now, as parameters are that name a changed file."""
    look_again(Path("results", profile))
    now = digests(before)
    return next((file for file in before if now[file] != before[file]), None)


def _date_now_what_is_ahead(files: Sequence[str]) -> None:
    """Undo dates of a wrong clock: Snakemake stops where an output is older than an input."""
    now = time.time_ns()
    for file in files:
        with suppress(FileNotFoundError, PermissionError):
            if os.stat(file).st_mtime_ns > now:
                os.utime(file)


def main() -> int:
    """Execute what the command line names, by as many processes."""
    parser = argparse.ArgumentParser(prog="execute")
    parser.add_argument("notebook")
    parser.add_argument("executed", type=Path)
    for words in ("--named", "--inputs", "--outputs"):
        parser.add_argument(words, nargs="+", required=True)
    parser.add_argument("--processes", type=int, default=1)
    arguments = vars(parser.parse_args())
    n_processes = arguments.pop("processes")
    if n_processes > 1 and RANK not in os.environ:
        return launch(n_processes, sys.argv[1:])
    return execute(**arguments)


if __name__ == "__main__":
    sys.exit(main())
