"""The steps of the workflow: what each reads, writes and depends on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from bthelpers.core.files import write_if_changed
from bthelpers.core.provenance import file_digest
from bthelpers.data.regions import load_regions
from bthelpers.params.loading import to_dict
from bthelpers.params.settings import OF_RESPONSES, PER_PARTICIPANT, ModelSettings, Profile
from bthelpers.results.store import result_folder

NEEDS = {
    "voxels": "dataset",
    "tuning": "voxels",
    "other tuning": "dataset; the other models",  # without responses: not estimated
    "representations": "tuning; dataset alone for the pretrained model",
    "alignment": "representations, voxels",
    "impact": "representations, voxels, alignment",
    "preference": "tuning, dataset",
    "probes": "tuning, corpora",
    "recognition": "tuning, corpora",
}

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


@dataclass(frozen=True)
class PlannedRun:
    """One run of a profile.

    Attributes
    ----------
    step : str
        A key of `NEEDS`.
    model : str
        '' for a step that concerns no model.
    output : str
        Its data file, from the folder of results.
    """

    step: str
    model: str
    output: str


def planned_runs(profile: Profile) -> list[PlannedRun]:
    """All runs of a profile but the making of a simulated dataset, in the order of their steps."""
    participants = profile.dataset.participants
    runs = [PlannedRun("voxels", "", f"{participant}/voxels.nc") for participant in participants]
    for model, participant, condition in profile.runs:
        evaluations = profile.evaluations_of(model)
        steps = {step: step for step in evaluations}  # data files, without their ending, by step
        if set(evaluations) & set(OF_RESPONSES):
            steps["representations"] = "representations"
        if condition != "pretrained":
            steps["tuning" if condition in PER_PARTICIPANT else "other tuning"] = "training"
        for step, file in steps.items():
            folder = result_folder(model, participant, condition, step)
            runs.append(PlannedRun(step, model, f"{folder}/{file}.nc"))
    order = list(NEEDS)
    return sorted(dict.fromkeys(runs), key=lambda run: order.index(run.step))


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
