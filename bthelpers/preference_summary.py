"""Semantic–phonetic preference of many runs: labelled arrays, and the changes that tuning makes.

What is measured and how is in `bthelpers.preference`.
"""

from __future__ import annotations

import math

import pandas as pd
import xarray as xr

from bthelpers.alignment import interval
from bthelpers.results import Results
from bthelpers.summary import BASELINE, over_runs


def semantic_minus_phonetic(values: xr.DataArray) -> xr.DataArray:
    """Difference that the preference d is made of, from values with dim ``kind``."""
    return values.sel(kind="semantic", drop=True) - values.sel(kind="phonetic", drop=True)


def load_preferences(results: Results, model: str) -> xr.Dataset:
    """Preference of a model for all of its participants and conditions.

    Returns
    -------
    Dataset
        ``preference`` (participant, condition, layer) and its ``draws`` (…, draw); mean distances
        to semantic and phonetic neighbours, divided by that to random words, ``relative`` (…, kind)
        and ``relative_draws`` (…, kind, draw); and ``n_spoken`` (…, word).

    Raises
    ------
    ResultsError
        If a run of the profile is missing.
    ValueError
        If not all runs are of the same words.
    """
    return over_runs(results, model, lambda *run: _with_relative(results.open(*run, "preference")))


def _with_relative(run: xr.Dataset) -> xr.Dataset:
    # n_spoken keeps the words: paired draws are of the same ones.
    return run[["preference", "draws", "n_spoken"]].assign(
        relative=_relative(run["distance"].mean("word")),
        relative_draws=_relative(run["distance_draws"]),
    )


def _relative(distances: xr.DataArray) -> xr.DataArray:
    return distances.sel(kind=["semantic", "phonetic"]) / distances.sel(kind="random", drop=True)


def n_late_layers(values: xr.DataArray | xr.Dataset) -> int:
    """How many layers are late: the last third of those after the input of the transformer."""
    return math.ceil((values.sizes["layer"] - 1) / 3)


def late_change_table(values: xr.DataArray, draws: xr.DataArray) -> pd.DataFrame:
    """Change from pretrained, mean over the last third of the transformer layers.

    Parameters
    ----------
    values, draws : DataArray (participant, condition, layer) and (…, draw)

    Returns
    -------
    DataFrame
        A row per condition and participant, with 95 % intervals of the bootstrap over words, for
        which the same words were drawn in both conditions.
    """
    late = slice(-n_late_layers(values), None)
    values, draws = (each.isel(layer=late).mean("layer") for each in (values, draws))
    baseline = values.sel(condition=BASELINE, drop=True)
    bounds = interval(draws - draws.sel(condition=BASELINE, drop=True))
    columns = {
        BASELINE: baseline,
        "tuned": values,
        "change": values - baseline,
        "low": bounds.sel(bound="low", drop=True),
        "high": bounds.sel(bound="high", drop=True),
    }
    tuned = [condition for condition in values["condition"].values if condition != BASELINE]
    return xr.Dataset(columns).sel(condition=tuned).to_dataframe(["condition", "participant"])
