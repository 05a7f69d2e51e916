"""Start the workflow: make what is missing or outdated of a profile's results.

``python -m bthelpers.workflow demo`` runs Snakemake on the repository's ``Snakefile``. Results are
written atomically, so that after any interruption the same command goes on.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from bthelpers import preflight
from bthelpers.params import load, to_dict
from bthelpers.provenance import file_digest
from bthelpers.regions import load_regions
from bthelpers.results import result_folder, write_if_changed
from bthelpers.settings import ModelSettings, Profile

RUNS_AT_ONCE = 4  # unless told otherwise: a run of the demo holds up to 1.5 GB

# Parameters of each step, by section of the profile or by what `step_parameters` makes of it.
DEPENDS_ON = {
    "voxels": ("dataset", "splits", "voxels", "published", "regions"),
    "representations": ("dataset", "splits", "representation"),
    "tuning": ("tuning", "splits", "seed"),
    "targets": ("dataset", "targets", "others"),
    "stimulus": ("dataset", "stimulus"),
    "alignment": ("encoding", "statistics", "splits", "seed"),
    "impact": ("dataset", "impact", "encoding", "statistics", "splits", "seed"),
    "preference": ("dataset", "splits", "preference", "statistics", "seed"),
    "probes": ("corpora", "probes", "statistics", "seed"),
    "recognition": ("corpora", "recognition", "statistics", "seed"),
}


def step_parameters(profile: Profile) -> dict[str, dict]:
    """What each step's results depend on, apart from the results of other steps.

    Files that the profile names, from the repository's root, count by what they hold. A dataset's
    parameters are also those of the steps that read it: one that is made again may have the same
    table of stories, which to Snakemake is an unchanged file.
    """
    everything = to_dict(profile)
    others = everything["targets"]
    known = everything | {
        "dataset": _dataset_parameters(profile),
        "corpora": _corpora_parameters(profile),
        "splits": {key: everything["dataset"][key] for key in ("splits", "absent")},
        "published": _digests(profile.voxels.published, "*.npy"),
        "regions": load_regions(profile.dataset.regions),
        "others": {name: _model_files(model["path"]) for name, model in others.items()},
    }
    return {
        "dataset": known["dataset"],
        "corpora": known["corpora"],
        **{step: {name: known[name] for name in names} for step, names in DEPENDS_ON.items()},
        **{f"models/{name}": _model_parameters(model) for name, model in profile.models.items()},
    }


def _dataset_parameters(profile: Profile) -> dict:
    settings = to_dict(profile)["dataset"]
    if settings["simulate"] is None:
        return {"root": settings["root"]}
    return {
        "root": settings["root"],
        "simulate": settings["simulate"],
        "lexicon": file_digest(settings["simulate"]["lexicon"]),
        "regions": load_regions(),  # in which the truth is planted
        "seed": profile.seed,
    }


def _corpora_parameters(profile: Profile) -> dict:
    settings = to_dict(profile)["corpora"]
    if settings["simulate"] is None:
        return settings
    lexicon = file_digest(settings["simulate"]["lexicon"])
    return settings | {"lexicon": lexicon, "seed": profile.seed}


def _model_parameters(model: ModelSettings) -> dict:
    """Name of a pretrained model, digests of its files if they are here, and how it is tuned."""
    return {
        "path": model.path,
        "revision": model.revision,
        "files": _model_files(model.path),
        "tuning_stories": model.tuning_stories,
    }


def _model_files(path: str) -> dict[str, str]:
    return _digests(path, "*.json", "merges.txt", "*.safetensors", "*.bin")


def _digests(folder: str | None, *patterns: str) -> dict[str, str]:
    """Digests of what is in a folder that a profile names, if it names one that is here."""
    if folder is None:
        return {}
    files = (file for pattern in patterns for file in sorted(Path(folder).glob(pattern)))
    return {file.name: file_digest(file) for file in files}


def evaluation_files(profile: Profile) -> list[str]:
    """Data files of all evaluations of a profile, from its folder of results; each once."""
    files = [
        f"{result_folder(model, participant, condition, step)}/{step}.nc"
        for model, participant, condition in profile.runs
        for step in profile.evaluations_of(model)
    ]
    return list(dict.fromkeys(files))


def parameter_files(profile: Profile, folder: Path) -> dict[str, str]:
    """Write each step's parameters where they changed; a changed file makes its step run again."""
    write_if_changed(folder.parent / "profile.json", _json(to_dict(profile)))
    files = {}
    for step, parameters in step_parameters(profile).items():
        path = folder / f"{step}.json"
        write_if_changed(path, _json(parameters))
        files[step] = str(path)
    return files


def _json(content: dict) -> str:
    return json.dumps(content, indent=1) + "\n"


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
