"""What each step's results depend on, apart from the results of other steps.

A step's parameters are kept in a file beside the results: a changed file outdates them.
"""

from __future__ import annotations

import json
from pathlib import Path

from bthelpers.core.files import write_if_changed
from bthelpers.core.provenance import file_digest
from bthelpers.data.recordings.opening import region_table
from bthelpers.data.regions import load_regions
from bthelpers.params.loading import to_dict
from bthelpers.params.settings import ModelSettings, Profile
from bthelpers.results.store import Results
from bthelpers.workflow.steps import STEPS


def step_parameters(profile: Profile) -> dict[str, dict]:
    """Parameters of each step, and of each model before tuning.

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
        "refit": _refit_parameters(everything),
        "participants": everything["dataset"]["participants"],
        "readout": {key: everything["tuning"][key] for key in ("layer", "unheard")},
        "test_rows": profile.encoding.skip_test_rows,
        "published": _digests(profile.voxels.published, "*.npy"),
        "regions": region_table(profile.dataset),
        "others": {name: _model_files(model["path"]) for name, model in others.items() if model},
    }
    return {
        **{
            name: {section: known[section] for section in step.parameters}
            for name, step in STEPS.items()
        },
        "dataset": known["dataset"],
        "corpora": known["corpora"],
        **{f"models/{name}": _model_parameters(model) for name, model in profile.models.items()},
    }


def _refit_parameters(everything: dict) -> dict | None:
    """How ridges are refitted, where they choose the epoch of a tuning."""
    if everything["tuning"]["keep"] == "loss":
        return None
    return {key: everything[key] for key in ("representation", "encoding")}


def _dataset_parameters(profile: Profile) -> dict:
    settings = to_dict(profile)["dataset"]
    simulate, recording = settings["simulate"], settings["recording"]
    read = {"root": settings["root"]} | ({} if recording is None else {"recording": recording})
    if simulate is None:
        return read
    lexicons = (simulate["lexicon"], *(simulate["other_lexicons"] or ()))
    return read | {
        "simulate": simulate,
        "lexicons": {lexicon: file_digest(lexicon) for lexicon in lexicons},
        "regions": load_regions(),  # in which the truth is planted
        "seed": profile.seed,
    }


def _corpora_parameters(profile: Profile) -> dict:
    settings, simulate = to_dict(profile)["corpora"], profile.corpora.simulate
    if simulate is None:
        return settings
    return settings | {"lexicon": file_digest(simulate.lexicon), "seed": profile.seed}


def _model_parameters(model: ModelSettings) -> dict:
    """Name of a pretrained model, digests of its files if they are here, and how it is tuned."""
    return {
        "path": model.path,
        "revision": model.revision,
        "files": _model_files(model.path),
        "tuning_stories": model.tuning_stories,
        "adaptation": model.adaptation,
        "tuned_regions": model.tuned_regions,
    }


def _model_files(path: str) -> dict[str, str]:
    return _digests(path, "*.json", "merges.txt", "*.safetensors", "*.bin")


def _digests(folder: str | None, *patterns: str) -> dict[str, str]:
    """Digests of what is in a folder that a profile names, if it names one that is here."""
    if folder is None:
        return {}
    files = (file for pattern in patterns for file in sorted(Path(folder).glob(pattern)))
    return {file.name: file_digest(file) for file in files}


def parameter_files(profile: Profile, folder: Path) -> dict[str, str]:
    """Write each step's parameters where they changed; a changed file makes its step run again."""
    parameters = step_parameters(profile)
    files = {step: folder / f"{step}.json" for step in parameters}
    contents = {folder.parent / "profile.json": to_dict(profile)}
    contents |= {path: parameters[step] for step, path in files.items()}
    for path, content in contents.items():
        write_if_changed(path, json.dumps(content, indent=1) + "\n")
    return {step: str(path) for step, path in files.items()}


def look_again(results: Path) -> None:
    """Write parameters of results anew where files that they name have changed meanwhile."""
    parameter_files(Results(results).profile(), results / "parameters")
