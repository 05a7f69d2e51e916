"""Start the workflow: make what is missing or outdated of a profile's results.

``bthelpers run demo`` runs Snakemake on the repository's ``Snakefile``. Results are written
atomically, so that after any interruption the same command goes on.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bthelpers.core.files import atomic_path
from bthelpers.params.loading import load
from bthelpers.params.schema import ParameterError
from bthelpers.params.settings import Profile
from bthelpers.workflow import preflight
from bthelpers.workflow.parameters import parameter_files
from bthelpers.workflow.processes import alone_in, run_to_end
from bthelpers.workflow.runs.outdated import outdated
from bthelpers.workflow.steps import STEPS, planned_runs

RUNS_AT_ONCE = 4  # unless told otherwise: a run of the demo holds up to 1.5 GB


def visible_gpus() -> int:
    """Number of GPUs that runs may use; 0 where there is none."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        names = os.environ["CUDA_VISIBLE_DEVICES"].split(",")
        return len([name for name in names if name not in ("", "-1")])
    if shutil.which("nvidia-smi") is None:
        return 0
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True)
    if listed.returncode != 0:  # without its driver, it says so where GPUs would be listed
        return 0
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())


def made_data(profile: Profile, repository: Path) -> list[Path]:
    """Folders of simulated data that runs of a profile make, and make again."""
    read = {name for run in planned_runs(profile) for name in STEPS[run.step].reads}
    return [repository / getattr(profile, name).root for name in profile.simulated if name in read]


def require_gpus(profile: Profile, gpus: int | None) -> None:
    """Raise a ParameterError if runs share more GPUs than may be used; of none, they do without."""
    most = max(STEPS[run.step].processes(profile) for run in planned_runs(profile))
    if gpus and gpus < most:
        raise ParameterError(
            f"gpus_per_tuning: a tuning of profile {profile.name!r} is shared by {most} GPUs, and"
            f" {gpus} may be used: lower it, or make more visible (CUDA_VISIBLE_DEVICES, GPUS)"
        )


def local_options(runs: int, gpus: int) -> list[str]:
    """Options with which Snakemake has so many runs at work here; the last takes configuration."""
    return [
        *("--cores", str(runs)),
        *(("--resources", f"gpu={gpus}") if gpus else ()),
        # A kernel chooses ports that another program may take before it: such a run is begun again.
        *("--retries", "1"),
        "--config",
    ]


def shared_threads(runs: int) -> dict[str, str]:
    """Share cores between runs: with a thread for every core each, they would wait for others."""
    return {"OMP_NUM_THREADS": str(max(1, os.cpu_count() // runs))}


def run_workflow(
    repository: Path,
    profile: str,
    cores: int | None,
    gpus: int | None,
    extra: list[str],
    cluster: str | None = None,
    anew: bool = False,
) -> None:
    """Run Snakemake on a profile; its progress goes to standard error.

    Parameters
    ----------
    repository : Path
        Folder of the ``Snakefile``.
    profile : str
        Name of a file in ``params/``.
    cores : int or None
        Runs at a time; None for as many as the machine takes, or the cluster's file says.
    gpus : int or None
        Runs at a time that use a GPU; with 0, they use the CPU. None for all that are visible.
    extra : list of str
        Further options of Snakemake. A dry run changes nothing.
    cluster : str, optional
        A folder of ``profiles/``, whose scheduler runs are sent to; by default they run here.
    anew : bool
        Whether results that are there are removed first.

    Raises
    ------
    ParameterError
        If a parameter, a name or a file is wrong, or there are fewer GPUs than share a run, before
        any work.
    SystemExit
        If another workflow is at work on these results or on the data that are simulated for them;
        or if a run fails: Snakemake has said which, and its log shows why.
    """
    wanted = load(repository / "params" / f"{profile}.yaml")
    options, variables = _places(wanted, repository, cores, gpus, cluster)
    preflight.require(wanted, repository)
    folder = repository / "results" / profile
    dry = any(word.startswith("-n") or word in ("--dry-run", "--dryrun") for word in extra)
    untouched = _parameters_as_they_were(folder) if dry else contextlib.nullcontext()
    with alone_in([folder, *made_data(wanted, repository)]) as locks, untouched:
        if anew:
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        # As text: Snakemake takes 007 for a number.
        command = [sys.executable, "-m", "snakemake", *options, f"profile=!!str {profile}"]
        command += [] if dry else ["--logger", "runs"]  # of which Snakemake tells by itself
        if again := _outdated_files(wanted, repository):
            command += ["--forcerun", *again]
        command += ["--rerun-triggers", "mtime"]  # not what Snakemake itself has kept of runs
        # Last, an option without values: what follows may be results to make.
        command += ["--rerun-incomplete", "--keep-incomplete", "--nolock", *extra]
        # At SIGTERM, Snakemake waits for its runs. Here they end with it; those of a cluster only
        # as it takes them out of the queue.
        ending = signal.SIGTERM if cluster is None else signal.SIGINT
        status = run_to_end(command, ending, cwd=repository, env=variables, pass_fds=locks)
    if status != 0:
        raise SystemExit(
            f"the workflow failed (exit status {status}); the messages above name the run, and its"
            f" log and unfinished notebook under {folder} show where it stopped"
        )


def _places(
    profile: Profile, repository: Path, cores: int | None, gpus: int | None, cluster: str | None
) -> tuple[list[str], dict[str, str]]:
    """Where runs are at work, and how many: options of Snakemake, and its environment."""
    # Notebooks run by the same Python, whether or not its environment is activated.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    # Models of the hub will have been fetched: runs need not ask for them again.
    variables = os.environ | {"PATH": path, "HF_HUB_OFFLINE": "1"}
    if cluster is not None:
        from bthelpers.workflow.cluster.options import cluster_options  # its plugin looks for SLURM

        require_gpus(profile, gpus)
        return cluster_options(profile, repository, cluster, cores, gpus), variables
    if gpus == 0:
        variables["CUDA_VISIBLE_DEVICES"] = ""
    elif gpus is None:
        gpus = visible_gpus()
    require_gpus(profile, gpus)
    # A GPU's next run is prepared while it works.
    runs = cores or min(os.cpu_count(), max(RUNS_AT_ONCE, 2 * gpus))
    return local_options(runs, gpus), shared_threads(runs) | variables


@contextlib.contextmanager
def _parameters_as_they_were(folder: Path) -> Iterator[None]:
    """Put back what a dry run writes: results of other parameters than the profile's are refused.

    With their dates, lest results seem older than they are.
    """

    def files() -> set[Path]:
        return {*folder.glob("profile.json"), *folder.glob("parameters/**/*.json")}

    before = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in files()}
    try:
        yield
    finally:
        for file in files() - before.keys():
            file.unlink()
        for file, (content, date) in before.items():
            if file.read_bytes() != content:
                with atomic_path(file) as temporary:
                    temporary.write_bytes(content)
                    os.utime(temporary, ns=(date, date))


def _outdated_files(profile: Profile, repository: Path) -> list[str]:
    """Files that are to be made again; standard error says why."""
    with contextlib.chdir(repository):
        parameters = parameter_files(profile, Path("results", profile.name, "parameters"))
        changed = outdated(profile, parameters)
    for run, file in changed.items():
        name = f"{run.step} {run.folder}".strip()
        now = "is not what it was" if (repository / file).exists() else "is missing"
        print(f"{name}: made again, as {file} {now}", file=sys.stderr)
    return [file for run in changed for file in run.outputs(profile)]
