"""Results of many runs as one labelled array, and what a figure of them says of its data."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import xarray as xr

from bthelpers.params.settings import Profile
from bthelpers.results.store import Results

BASELINE, TUNED = "pretrained", "brain-tuned"
SOURCE_TYPE = "application/vnd.brain-tuning.source+json"  # of a `Source`, in a notebook's output
LAYERS = {"mean over layers": slice(1, None), "last layer": slice(-1, None)}
Labelled = TypeVar("Labelled", xr.Dataset, xr.DataArray)


def over_layers(run: Labelled) -> Labelled:
    """Means over the transformer layers."""
    return run.isel(layer=LAYERS["mean over layers"]).mean("layer")


def over_runs(
    results: Results,
    model: str,
    read: Callable[[str, str, str], xr.Dataset],
    shared: Collection[str] = (),
) -> xr.Dataset:
    """Join what all runs of a model give, along ``participant`` and ``condition``.

    Parameters
    ----------
    results : Results
    model : str
    read : callable
        Of a model, a participant and a condition: their Dataset.
    shared : collection of str
        Variables that are one for all runs, and stay without the two dimensions.

    Returns
    -------
    Dataset
        The other variables have ``participant`` and ``condition`` as their first dimensions. Of
        attributes, those that all runs share.

    Raises
    ------
    ValueError
        If runs have other labels along a dimension, or other values of what they should share.
    """
    profile = results.profile()
    participants, conditions = profile.participants_of(model), profile.conditions_of(model)
    rows = [
        [read(model, participant, condition) for condition in conditions]
        for participant in participants
    ]
    joined = xr.combine_nested(
        rows,
        ["participant", "condition"],
        data_vars=[name for name in rows[0][0] if name not in shared],
        coords="minimal",
        compat="equals",
        join="exact",
        combine_attrs="drop_conflicts",
    )
    labels = {"participant": list(participants), "condition": list(conditions)}
    return joined.assign_coords(labels).transpose("participant", "condition", ...)


def in_all(names_of_models: Iterable[Sequence[str]]) -> list[str]:
    """Names that all models have, in the order of the first."""
    first, *others = names_of_models
    return [name for name in first if all(name in names for names in others)]


def several_families(profile: Profile, evaluation: str) -> list[str]:
    """Models of which an evaluation is made, where they are more than one."""
    models = profile.models_with(evaluation)
    return models if len(models) > 1 else []


@dataclass(frozen=True)
class Source:
    """Where the data of a figure come from, in words and as files.

    Attributes
    ----------
    said : str
        Dataset, shared participants, models and profile.
    parameters : str
        File of the parameters; as all files, as seen from the current folder.
    files : mapping
        By name, as "alignment" or "voxels", and by run, as "hubert, UTS01, pretrained": the data.
    """

    said: str
    parameters: str
    files: Mapping[str, Mapping[str, str]]

    def __str__(self) -> str:
        return self.said

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        files = {"parameters": self.parameters, "files": self.files}
        return {"text/plain": self.said, SOURCE_TYPE: files}


def source(results: Results, *models: str) -> Source:
    """Say of the data of these models' runs where they come from.

    Raises
    ------
    ResultsError
        If the first model's alignment as pretrained is missing, which names the dataset.
    """
    profile = results.profile()
    shared = in_all(map(profile.participants_of, models))
    made = results.open(models[0], shared[0], BASELINE, "alignment").attrs
    named = f"model{'s' if len(models) > 1 else ''} {', '.join(models)}"
    said = f"{made['dataset']} ({', '.join(shared)}); {named}; profile {profile.name}"
    if results.recorded:
        said += f"; recorded {made['date'][:10]} from commit {made['commit'][:7]}"
    root = os.path.relpath(results.root)
    heard = dict.fromkeys(name for model in models for name in profile.participants_of(model))
    files = {"voxels": {name: f"{root}/{name}/voxels.nc" for name in heard}}
    for run in results.list():
        if run.model in models:
            *owner, step = filter(None, run)
            files.setdefault(step, {})[", ".join(owner)] = f"{root}/{'/'.join(owner)}/{step}.nc"
    return Source(said, f"{root}/profile.json", files)
