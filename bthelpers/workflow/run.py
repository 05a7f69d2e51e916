"""Start the workflow: make what is missing or outdated of a profile's results.

``python -m bthelpers.workflow.run demo`` runs Snakemake on the repository's ``Snakefile``. Results
are written atomically, so that after any interruption the same command goes on.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

from bthelpers.params.loading import load
from bthelpers.workflow import preflight

RUNS_AT_ONCE = 4  # unless told otherwise: a run of the demo holds up to 1.5 GB


def visible_gpus() -> int:
    """Number of GPUs that runs may use; 0 where there is none."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        names = os.environ["CUDA_VISIBLE_DEVICES"].split(",")
        return len([name for name in names if name not in ("", "-1")])
    if shutil.which("nvidia-smi") is None:
        return 0
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True)
    return len(listed.stdout.splitlines())


def run_workflow(repository: Path, profile: str, cores: int, gpus: int, extra: list[str]) -> None:
    """Run Snakemake on a profile; its progress goes to standard error.

    Parameters
    ----------
    repository : Path
        Folder of the ``Snakefile``.
    profile : str
        Name of a file in ``params/``.
    cores : int
        Runs at a time.
    gpus : int
        Runs at a time that use a GPU; where there is none, 0: they use the CPU.
    extra : list of str
        Further options of Snakemake.

    Raises
    ------
    ValueError
        If a parameter, a name or a file is wrong, before any work.
    SystemExit
        If a run fails; Snakemake has said which, and its notebook shows why.
    """
    preflight.require(load(repository / "params" / f"{profile}.yaml"), repository)
    folder = repository / "results" / profile
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(
                f"another workflow is at work in {folder}: wait for it, or end it first"
            ) from None
        command = [sys.executable, "-m", "snakemake", "--cores", str(cores)]
        command += ["--config", f"profile={profile}"]
        command += ["--resources", f"gpu={gpus}"] if gpus else []
        # Last, an option without values: what follows may be results to make.
        command += ["--rerun-incomplete", "--keep-incomplete", "--nolock"]
        # A kernel chooses ports that another program may take before it: such a run is begun again.
        command += ["--retries", "1"]
        # Notebooks run by the same Python, whether or not its environment is activated.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        # Models of the hub have just been fetched: runs need not ask for them again.
        environment = os.environ | {"PATH": path, "HF_HUB_OFFLINE": "1"}
        # Snakemake holds the lock too: it may outlive this process.
        status = subprocess.run(
            [*command, *extra], cwd=repository, env=environment, pass_fds=[lock.fileno()]
        ).returncode
    if status != 0:
        raise SystemExit(
            f"the workflow failed (exit status {status}); the messages above name the run, and its"
            f" notebook under {folder} shows where it stopped"
        )


def main() -> None:
    """Run the workflow of one profile."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("profile", nargs="?", default="demo", help="a file in params/")
    # A GPU's next run is prepared while it works.
    runs_at_once = max(RUNS_AT_ONCE, 2 * visible_gpus())
    parser.add_argument("--cores", type=int, default=min(os.cpu_count(), runs_at_once))
    parser.add_argument("--gpus", type=int, default=visible_gpus())
    arguments, extra = parser.parse_known_args()
    try:
        run_workflow(Path.cwd(), arguments.profile, arguments.cores, arguments.gpus, extra)
    except ValueError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
