"""Options with which Snakemake sends runs to a cluster, once nothing speaks against it."""

from __future__ import annotations

from math import inf
from pathlib import Path

import yaml

from bthelpers.params.schema import ParameterError
from bthelpers.params.settings import Profile
from bthelpers.workflow.cluster.requests import cluster_file, requests
from bthelpers.workflow.cluster.slurm import keeps_accounts, most, partitions, problems


def cluster_options(
    profile: Profile, repository: Path, cluster: str, jobs: int | None, gpus: int | None
) -> list[str]:
    """Options of Snakemake, the last of which takes what is to be added to the configuration.

    Parameters
    ----------
    profile : Profile
    repository : Path
        Its folder ``profiles`` has one for each cluster.
    cluster : str
    jobs : int or None
        In the queue at a time; None for as many as the cluster's file says.
    gpus : int or None
        Runs at a time that use a GPU; with 0, they use the CPU. None for as many as there are.

    Raises
    ------
    ParameterError
        If there is no such cluster, or it refuses a run.
    """
    file = cluster_file(repository, cluster)
    asked, found = requests(profile, file, gpus != 0), partitions()
    if wrong := problems(asked, found):
        listed = "\n- ".join(wrong)
        raise ParameterError(
            f"profile {profile.name!r} cannot be run on {cluster!r}; {file} says which partition,"
            f" account and resources runs ask for:\n- {listed}"
        )
    # Snakemake's own, in one line of YAML without quotes, which would not outlive three shells.
    limits = yaml.safe_dump(most(asked, found), default_flow_style=True, width=inf).strip()
    return [
        *("--workflow-profile", str(file.parent)),
        *(("--jobs", str(jobs)) if jobs else ()),
        *(("--resources", f"gpu={gpus}") if gpus else ()),
        # Ended jobs are otherwise looked for in a database.
        *(() if keeps_accounts() else ("--slurm-status-command", "squeue")),
        *("--config", f"most={limits}"),
    ]
