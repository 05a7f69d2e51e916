"""What SLURM has and grants, asked before any work, and what follows for Snakemake.

A job that no node can ever take waits in the queue without end on many clusters; a refused one ends
a workflow after hours. So partitions are compared with what runs ask for, and one job of each kind
is shown to SLURM, which does not start it.
"""

from __future__ import annotations

import logging
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf

from snakemake_executor_plugin_slurm.accounts import validate_account
from snakemake_interface_common.exceptions import WorkflowError

from bthelpers.core.errors import did_you_mean
from bthelpers.params.schema import ParameterError
from bthelpers.workflow.cluster.requests import Request

QUIET = logging.getLogger(__name__)  # of the plugin's: that there are no accounts is no problem
QUIET.addHandler(logging.NullHandler())
COMMANDS = ("sinfo", "sbatch", "squeue", "scancel", "scontrol")
DURATION = re.compile(r"(?:(\d+)-)?(?:(\d+):)?(\d+):\d+")  # days-hours:minutes:seconds
NO_ACCOUNTS = re.compile(r"^AccountingStorageType\s*=\s*(\(null\)|\S*/none)", re.MULTILINE)


@dataclass(frozen=True)
class Partition:
    """A partition, and the largest that one of its nodes has.

    Attributes
    ----------
    default : bool
        Whether jobs go to it that name none.
    minutes : float
        The longest a job may take; infinite where there is no limit.
    cores : int
    megabytes : int
        Main memory.
    gpus : int
    """

    default: bool
    minutes: float
    cores: int
    megabytes: int
    gpus: int


def partitions() -> dict[str, Partition]:
    """Partitions of the cluster by their names.

    Raises
    ------
    ParameterError
        If there is no SLURM on this machine, or it does not answer.
    """
    if missing := [name for name in COMMANDS if shutil.which(name) is None]:
        raise ParameterError(
            f"{', '.join(missing)} of SLURM not found: start this where jobs are submitted, on a"
            " login node of the cluster"
        )
    # One line for all nodes of a partition that are alike.
    listed = _ask("sinfo", "--noheader", "--exact", "--format=%P|%l|%c|%m|%G")
    return parse_partitions(listed.splitlines())


def parse_partitions(lines: Iterable[str]) -> dict[str, Partition]:
    """Read lines of ``sinfo``: partition, time limit, cores, megabytes and generic resources.

    Examples
    --------
    >>> parse_partitions(["gpu*|2-12:00:00|16|64000|gpu:a:4(S:0)", "gpu*|2-12:00:00|8|9|(null)"])
    {'gpu': Partition(default=True, minutes=3600, cores=16, megabytes=64000, gpus=4)}
    """
    found: dict[str, Partition] = {}
    for line in lines:
        name, limit, cores, megabytes, generic = line.strip().split("|")
        devices = re.findall(r"(?:^|,)gpu(?::[^:,(]+)?:(\d+)", generic)
        other = found.get(name.rstrip("*"), Partition(False, 0, 0, 0, 0))
        found[name.rstrip("*")] = Partition(
            name.endswith("*"),
            _minutes(limit),
            max(other.cores, int(cores)),
            max(other.megabytes, int(megabytes)),
            max(other.gpus, sum(map(int, devices))),
        )
    return found


def _minutes(limit: str) -> float:
    """Minutes of a time limit as SLURM writes it."""
    if not (match := DURATION.fullmatch(limit)):
        return inf
    days, hours, minutes = (int(number or 0) for number in match.groups())
    return 24 * 60 * days + 60 * hours + minutes


def problems(asked: Mapping[str, Request], found: Mapping[str, Partition]) -> list[str]:
    """What SLURM would refuse, or never start.

    Parameters
    ----------
    asked : mapping of Request
        By step, as `requests` returns.
    found : mapping of Partition
        As `partitions` returns.

    Returns
    -------
    list of str
        A line for everything that is wrong, with the steps that it concerns.
    """
    steps: dict[str, list[str]] = {}
    for name, request in asked.items():
        for problem in _unfit(request, found) or _refused(request):
            steps.setdefault(problem, []).append(name)
    return [f"{', '.join(names)}: {problem}" for problem, names in steps.items()]


def most(asked: Mapping[str, Request], found: Mapping[str, Partition]) -> dict[str, dict[str, int]]:
    """What a run of each step is granted at most, of what a further attempt asks more of."""
    granted = {}
    for name, request in asked.items():
        partition = found[_partition(request, found)]
        granted[name] = {"gpu": request.gpu, "mem_mb": partition.megabytes}
        if partition.minutes < inf:
            granted[name]["runtime"] = int(partition.minutes)
    return granted


def keeps_accounts() -> bool:
    """Whether the cluster has a database of accounts and ended jobs."""
    return NO_ACCOUNTS.search(_ask("scontrol", "show", "config")) is None


def _partition(request: Request, found: Mapping[str, Partition]) -> str:
    """Name of the partition that runs would go to; empty if they name none and none is default."""
    default = (name for name, partition in found.items() if partition.default)
    return request.slurm_partition or next(default, "")


def _unfit(request: Request, found: Mapping[str, Partition]) -> list[str]:
    name = _partition(request, found)
    if not name:
        return [f"no partition is the cluster's default: name one of {', '.join(found)}"]
    if name not in found:
        return [f"the cluster has no partition {name!r}{did_you_mean(name, found)}"]
    partition = found[name]
    gpus = f"of more than {partition.gpus} GPUs" if partition.gpus else "with a GPU"
    lacks = {
        f"nodes {gpus} (GPUS=0 computes without), and {request.gpu} is": (
            request.gpu > partition.gpus
        ),
        f"nodes of more than {partition.cores} cores, and {request.threads} are": (
            request.threads > partition.cores
        ),
        f"nodes of more than {partition.megabytes} MB, and {request.mem_mb} are": (
            request.mem_mb > partition.megabytes
        ),
        f"runs of more than {partition.minutes} minutes, and {request.runtime} are": (
            request.runtime > partition.minutes
        ),
    }
    return [f"partition {name!r} has no {what} asked for" for what, so in lacks.items() if so]


def _refused(request: Request) -> list[str]:
    """What SLURM says against a job like this, and its plugin against the account."""
    if account := request.slurm_account:
        try:
            validate_account(account, QUIET)
        except (OSError, WorkflowError) as error:
            return [f"the account {account!r} is refused: {_one_line(error)}"]
    words = [
        f"--time={request.runtime}",
        f"--mem={request.mem_mb}",
        f"--cpus-per-task={request.threads}",
        "--nodes=1",
    ]
    words += [f"--gpus={request.gpu}"] if request.gpu else []
    words += [f"--partition={request.slurm_partition}"] if request.slurm_partition else []
    words += [f"--account={request.slurm_account}"] if request.slurm_account else []
    shown = _run("sbatch", "--test-only", *words, "--wrap=true")
    return [f"SLURM refuses it: {_one_line(shown.stderr)}"] if shown.returncode else []


def _ask(*command: str) -> str:
    done = _run(*command)
    if done.returncode:
        raise ParameterError(f"SLURM does not answer: {_one_line(done.stderr)}")
    return done.stdout


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True)


def _one_line(said: object) -> str:
    return " ".join(str(said).split())
