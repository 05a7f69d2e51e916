"""What the runs of a profile ask a cluster for: cores, memory, time, GPUs, partition and account.

The table of steps says it, unless the cluster's own file, which is a profile of Snakemake, does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from bthelpers.core.errors import did_you_mean, parsing
from bthelpers.params.schema import ParameterError
from bthelpers.params.settings import Profile
from bthelpers.workflow.steps import STEPS, Step, planned_runs

FOLDER = "profiles"  # each folder in it is a cluster's
PLACES = ("slurm_partition", "slurm_account")


@dataclass(frozen=True)
class Request:
    """What each run of a step asks for, by the names that Snakemake and its SLURM plugin give it.

    Attributes
    ----------
    threads : int
        Cores.
    mem_mb : int
        Main memory, in MB.
    runtime : int
        Minutes.
    gpu : int
        Number of GPUs.
    slurm_partition, slurm_account : str
        Empty for the cluster's default.
    """

    threads: int
    mem_mb: int
    runtime: int
    gpu: int
    slurm_partition: str = ""
    slurm_account: str = ""


def cluster_file(repository: Path, cluster: str) -> Path:
    """The file of a cluster of this name.

    Raises
    ------
    ParameterError
        If there is none.
    """
    files = {file.parent.name: file for file in repository.glob(f"{FOLDER}/*/config.yaml")}
    if cluster not in files:
        raise ParameterError(
            f"no cluster {cluster!r}{did_you_mean(cluster, files)}: each is a folder in"
            f" {repository / FOLDER} with a config.yaml"
        )
    return files[cluster]


def requests(profile: Profile, file: Path, gpus: bool = True) -> dict[str, Request]:
    """What the runs of each step of a profile ask for.

    Parameters
    ----------
    profile : Profile
    file : Path
        As `cluster_file` returns.
    gpus : bool
        Whether runs are to use GPUs.

    Raises
    ------
    ParameterError
        If the file is malformed, or names a step that there is not.
    """
    with parsing(file, "profile of Snakemake", "mend it", ParameterError):
        options = yaml.safe_load(file.read_text())
        # Not what the table says of each step: that goes before defaults.
        of_all = {
            key: value
            for key, value in (options.get("default-resources") or {}).items()
            if key in PLACES
        }
        of_step = {
            name: {**values} for name, values in (options.get("set-resources") or {}).items()
        }
        for name, threads in (options.get("set-threads") or {}).items():
            of_step.setdefault(name, {})["threads"] = threads
    for name in of_step:
        if name not in STEPS:
            raise ParameterError(f"{file}: no step {name!r}{did_you_mean(name, STEPS)}")
    steps = [*profile.simulated, *(run.step for run in planned_runs(profile))]
    return {
        name: _request(
            STEPS[name], profile, gpus, of_all | of_step.get(name, {}), f"{file}: {name}"
        )
        for name in dict.fromkeys(steps)
    }


def _request(step: Step, profile: Profile, gpus: bool, said: dict, place: str) -> Request:
    """What a run of a step asks for where a cluster's file says this of its resources."""
    n = step.processes(profile)
    asked = Request(n * step.threads, n * step.megabytes, step.minutes, n * (step.gpu and gpus))
    known = {key: value for key, value in said.items() if hasattr(asked, key)}
    for key in PLACES:
        # Snakemake would evaluate what is not quoted twice.
        known[key] = str(known.get(key, "")).strip("\"'")
    for key in ("threads", "mem_mb", "runtime", "gpu"):
        if type(known.get(key, 0)) is not int:
            raise ParameterError(f"{place}: {key} is a whole number, not {known[key]!r}")
    asked = replace(asked, **known)
    if 0 < asked.gpu < n:
        raise ParameterError(
            f"{place}: gpu is {asked.gpu}, and gpus_per_tuning of the profile {n}: each of {n}"
            " processes needs one"
        )
    return asked
