"""Curves over layers, from acoustic to semantic, and where along the layers each has its place.

Moussa and Toneva (Interspeech 2025) read stages of processing from where curves peak, by eye. Here
each peak has an interval, and the order of all peaks a test. A *curve* is an estimate
(`bthelpers.results.comparison`) with the dims participant, condition and layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
import xarray as xr

from bthelpers.results.alignment import load_alignment
from bthelpers.results.comparison import estimate
from bthelpers.results.runs import LAYERS
from bthelpers.results.store import Results
from bthelpers.results.tasks import by_task, load_downstream, load_linguistic_probes, load_low_level
from bthelpers.statistics.curves import (
    centre_of_mass,
    layer_of_maximum,
    order_p,
    rank_correlation,
)
from bthelpers.statistics.intervals import interval

# From acoustic to semantic; equals share a place. Emotion, which is in the voice, has none. Tasks
# of stories are those of `bthelpers.tasks.probes.SPOKEN_PROBES`, where they are evaluated.
PLACES = {
    "mfcc": 0,
    "fbank": 0,
    "phones": 1,
    "phone in stories": 1,
    "word": 2,
    "word in stories": 2,
    "sentence type": 3,
    "action": 4,
    "category in stories": 4,
}
MAXIMUM, CENTRE = "layer of maximum", "centre of mass"
PLACED_BY = {MAXIMUM: layer_of_maximum, CENTRE: centre_of_mass}


def alignment_curves(
    results: Results, model: str, regions: Sequence[str] | None = None
) -> dict[str, xr.Dataset]:
    """Normalised alignment of a model per layer, by region; by default of the profile's stages.

    Raises
    ------
    ResultsError
        If a run of the profile is missing.
    """
    alignment = estimate(load_alignment(results, model), "alignment")
    shown = regions or results.profile().stages.regions
    return {region: alignment.sel(region=region, drop=True) for region in shown}


def probe_curves(results: Results, model: str) -> dict[str, xr.Dataset]:
    """Scores of a model's probes per layer, by task in the order of `PLACES`.

    R² of MFCC and filter bank, macro F1 of downstream tasks, and, where they are evaluated,
    accuracies of what is spoken in stories. A task that is NaN throughout, as categories are where
    words have none, has no curve.

    Raises
    ------
    ResultsError
        If a run of the profile is missing.
    """
    low_level = estimate(load_low_level(results, model), "r2", "r2_draws")
    downstream = estimate(load_downstream(results, model), "f1_macro", "f1_macro_draws")
    curves = by_task(low_level) | by_task(downstream)
    if "linguistic_probes" in results.profile().evaluations_of(model):
        spoken = load_linguistic_probes(results, model).rename(probe="task")
        spoken = by_task(estimate(spoken, "accuracy", "accuracy_draws"))
        curves |= {f"{task} in stories": curve for task, curve in spoken.items()}
    return {
        task: curves[task]
        for task in PLACES
        if task in curves and curves[task]["value"].notnull().any()
    }


def placed(curve: xr.Dataset, by: str) -> xr.Dataset:
    """Where a curve has its place among the transformer layers, and where its draws have.

    Parameters
    ----------
    curve : Dataset
        An estimate (..., layer).
    by : str
        Of `PLACED_BY`.

    Returns
    -------
    Dataset
        An estimate (...), in layers.
    """
    return curve.isel(layer=LAYERS["mean over layers"]).map(PLACED_BY[by], keep_attrs=False)


def place_table(curves: Mapping[str, xr.Dataset]) -> pd.DataFrame:
    """Layer of the maximum and centre of mass of each curve, means over participants.

    Returns
    -------
    DataFrame
        A row per curve and condition, and for both a ``layer`` with the ends of its 95 % interval,
        ``low`` and ``high``: of a maximum, the middle of the draws' (`middle`).
    """
    return pd.concat({name: _place_rows(curve) for name, curve in curves.items()}, names=["curve"])


def _place_rows(curve: xr.Dataset) -> pd.DataFrame:
    columns = {}
    for by, ends_of in ((MAXIMUM, middle), (CENTRE, partial(interval, over="participant"))):
        place = placed(curve, by)
        columns[by, "layer"] = place["value"].mean("participant", skipna=False).to_series()
        for bound, ends in ends_of(place).groupby("bound"):
            columns[by, bound] = ends.squeeze("bound", drop=True).to_series()
    table = pd.DataFrame(columns)
    return table[[(by, name) for by in PLACED_BY for name in ("layer", "low", "high")]]


def middle(estimate: xr.Dataset, level: float = 0.95) -> xr.DataArray:
    """Middle of the draws of an estimate's mean over participants.

    For what takes few values and has ends, such as a layer: an interval of Student's t would reach
    beyond them. It says nothing of other participants, and it is too narrow where draws take few
    units.

    Returns
    -------
    DataArray with dim bound ("low", "high")
        NaN where a draw is.
    """
    tail = (1 - level) / 2
    means = estimate["draws"].mean("participant", skipna=False)
    ends = means.quantile([tail, 1 - tail], "draw", skipna=False).rename(quantile="bound")
    return ends.assign_coords(bound=["low", "high"])


def hierarchy(curves: Mapping[str, xr.Dataset]) -> xr.Dataset:
    """Rank correlation of tasks' places from acoustic to semantic with the layers of their maxima.

    At 1, tasks peak in the order of `PLACES`, at -1 in the opposite one.

    Parameters
    ----------
    curves : mapping of Dataset
        By task of `PLACES`, as `probe_curves` gives them.

    Returns
    -------
    Dataset
        An estimate (participant, condition); 0 where all tasks peak in one layer. Draws of
        different corpora are of other clips: the smallest number of units counts.
    """
    layers = _maxima(curves)
    places = xr.DataArray([PLACES[task] for task in curves], dims="task")
    ordered = xr.apply_ufunc(
        rank_correlation, places, layers, input_core_dims=[["task"], ["task"]], keep_attrs=False
    )
    counts = [curve["n_drawn"].max().item() for curve in curves.values() if "n_drawn" in curve]
    if not counts:
        return ordered
    return ordered.assign_coords(n_drawn=("draw", np.full(ordered.sizes["draw"], min(counts))))


def _maxima(curves: Mapping[str, xr.Dataset]) -> xr.Dataset:
    """Layers of the maxima of curves and of their draws: (participant, condition, task, ...)."""
    maxima = [placed(curve, MAXIMUM) for curve in curves.values()]
    # Each corpus numbers draws for itself, and draws other numbers of speakers.
    maxima = [one.drop_vars(["n_drawn", "draw"], errors="ignore") for one in maxima]
    return xr.concat(maxima, pd.Index(curves, name="task"), join="exact")


def hierarchy_table(curves: Mapping[str, xr.Dataset], n_draws: int, seed: int) -> pd.DataFrame:
    """`hierarchy` per condition, with its interval and its test.

    Parameters
    ----------
    curves : mapping of Dataset
        As of `hierarchy`.
    n_draws, seed : int
        Of the permutations, as of `bthelpers.statistics.curves.order_p`.

    Returns
    -------
    DataFrame
        A row per condition: number of ``tasks``; rank ``correlation``, mean over participants;
        ``low`` and ``high`` ends of the `middle` of its draws; and ``p``, against tasks in any
        other order, on the curves as they are.
    """
    ordered = hierarchy(curves)
    layers = _maxima(curves)["value"].transpose("condition", "participant", "task")
    places = [PLACES[task] for task in curves]
    value = ordered["value"].mean("participant", skipna=False)
    columns = {"correlation": value} | dict(middle(ordered).to_dataset("bound"))
    table = pd.DataFrame({name: column.to_series() for name, column in columns.items()})
    table.insert(0, "tasks", len(curves))
    return table.assign(p=[order_p(places, of_one, n_draws, seed) for of_one in layers.values])
