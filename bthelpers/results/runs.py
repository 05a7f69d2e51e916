"""Results of many runs as one labelled array, and the changes that brain-tuning makes."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pandas as pd
import xarray as xr

from bthelpers.results.store import Results

BASELINE = "pretrained"
LAYERS = {"mean over layers": slice(1, None), "last layer": slice(-1, None)}


def over_runs(
    results: Results, model: str, read: Callable[[str, str, str], xr.Dataset]
) -> xr.Dataset:
    """Join what all runs of a model give, along ``participant`` and ``condition``.

    Parameters
    ----------
    results : Results
    model : str
    read : callable
        Of a model, a participant and a condition: their Dataset.

    Raises
    ------
    ValueError
        If runs have other labels along a dimension.
    """
    profile = results.profile()
    participants, conditions = profile.participants_of(model), profile.conditions_of(model)
    rows = [
        xr.concat(
            [read(model, participant, condition) for condition in conditions],
            pd.Index(conditions, name="condition"),
            join="exact",
        )
        for participant in participants
    ]
    return xr.concat(rows, pd.Index(participants, name="participant"), join="exact")


def _shared(names_of_models: Iterable[tuple[str, ...]]) -> list[str]:
    """Names that all models have, in the order of the first."""
    first, *others = names_of_models
    return [name for name in first if all(name in names for names in others)]


def source(results: Results, *models: str) -> str:
    """What a figure's caption says of its data: dataset, shared participants, models, profile."""
    profile = results.profile()
    participants = _shared(map(profile.participants_of, models))
    made = results.open(models[0], participants[0], BASELINE, "alignment").attrs
    named = f"model{'s' if len(models) > 1 else ''} {', '.join(models)}"
    said = f"{made['dataset']} ({', '.join(participants)}); {named}; profile {profile.name}"
    if results.recorded:
        said += f"; recorded {made['date'][:10]} from commit {made['commit'][:7]}"
    return said
