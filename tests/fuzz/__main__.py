"""``python -m fuzz [READER ...] [--cases N] [--seed N]``: all cases, and a table of outcomes.

With ``--record``, the table is kept for the book.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import sys
import tempfile
from pathlib import Path
from types import ModuleType

import pandas as pd
from fuzz.readers import READERS
from fuzz.trial import FAILED, FINE, SECONDS, Case, Trial

from bthelpers.core.files import atomic_write_text
from bthelpers.results.trials.record import FUZZ, REPOSITORY, Code, content

RECORD = REPOSITORY / "book" / FUZZ
# What is read beside Python modules, and which packages read.
READ = (
    "bthelpers/data/*.yaml",
    "bthelpers/data/ds003020/*",
    "params/**/*.yaml",
    "requirements.txt",
)


def run(names: list[str], seed: int, cases: int | None) -> list[Case]:
    """Run so many cases of each file of each reader."""
    done = []
    for name in names:
        reader = READERS[name]
        with tempfile.TemporaryDirectory() as folder:
            trial = Trial(reader, Path(folder) / "files")
            for file in reader.damages:
                for number in range(cases or reader.cases):
                    # A hang in a library of C does not see the alarm.
                    faulthandler.dump_traceback_later(3 * SECONDS, exit=True)
                    done.append(trial.case(file, seed + number))
                    if done[-1].outcome in FAILED:
                        print(str(done[-1])[:500].replace("\n", "\\n"), flush=True)
        faulthandler.cancel_dump_traceback_later()
    return done


def table(done: list[Case]) -> pd.DataFrame:
    """Numbers of cases by reader and outcome."""
    listed = pd.DataFrame(done)
    counted = pd.crosstab(listed["reader"], listed["outcome"], margins=True, margins_name="all")
    columns = counted.reindex(columns=["all", *FINE, *FAILED], fill_value=0)
    rows = columns.reindex([*listed["reader"].unique(), "all"])
    return rows.rename(columns={"all": "cases"})


def code() -> Code:
    """All of this repository that the cases have loaded, and the files that are read there."""
    files = (Path(module.__file__) for module in sys.modules.values() if _file(module))
    inside = {file.relative_to(REPOSITORY) for file in files if file.is_relative_to(REPOSITORY)}
    modules = {file.as_posix() for file in inside if file.parts[0] in ("bthelpers", "tests")}
    return Code.of([*sorted(modules), *READ])


def _file(module: ModuleType) -> str | None:
    return getattr(module, "__file__", None)


def main() -> int:
    """Print what failed, and the table; 1 if a case failed."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("readers", nargs="*", metavar="READER", help=f"of {', '.join(READERS)}")
    parser.add_argument("--cases", type=int, metavar="N", help="of each file")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--record", action="store_true", help="for the book: of all readers")
    arguments = parser.parse_args()
    if arguments.record and (arguments.readers or arguments.cases):
        parser.error("--record is of all readers, with all their cases")
    done = run(arguments.readers or list(READERS), arguments.seed, arguments.cases)
    print(table(done).to_string())
    if arguments.record:
        seeds = {case.seed for case in done}
        kept = content(code(), seeds, table(done).to_dict("index"))
        atomic_write_text(RECORD, json.dumps(kept, indent=1) + "\n")
    return 1 if any(case.outcome in FAILED for case in done) else 0


if __name__ == "__main__":
    sys.exit(main())
