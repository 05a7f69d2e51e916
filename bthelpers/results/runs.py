"""Results of many runs as one labelled array."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TypeVar

import xarray as xr

from bthelpers.params.settings import Profile
from bthelpers.results.store import Results

BASELINE, TUNED = "pretrained", "brain-tuned"
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


def source(results: Results, *models: str) -> str:
    """What a figure's caption says of its data: dataset, shared participants, models, profile."""
    profile = results.profile()
    participants = in_all(map(profile.participants_of, models))
    made = results.open(models[0], participants[0], BASELINE, "alignment").attrs
    named = f"model{'s' if len(models) > 1 else ''} {', '.join(models)}"
    said = f"{made['dataset']} ({', '.join(participants)}); {named}; profile {profile.name}"
    if results.recorded:
        said += f"; recorded {made['date'][:10]} from commit {made['commit'][:7]}"
    return said
