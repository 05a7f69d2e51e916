"""Controls of the alignment of many runs: a baseline, other splits, and dimensions of layers."""

from __future__ import annotations

import pandas as pd
import xarray as xr

from bthelpers.results.alignment import load_alignment
from bthelpers.results.comparison import compare, estimate
from bthelpers.results.runs import over_layers, over_runs
from bthelpers.results.store import Results

DIMENSIONS = {
    "two_nearest_neighbours": "Intrinsic dimension (two nearest neighbours)",
    "participation_ratio": "Linear dimension (participation ratio)",
}


def load_controls(results: Results, model: str) -> xr.Dataset:
    """Controls of a model for all participants and conditions of the profile.

    Returns
    -------
    Dataset
        As of `bthelpers.encoding.stages.controls.layer_controls`, along ``participant`` and
        ``condition`` too.

    Raises
    ------
    ResultsError
        If a run of the profile is missing.
    """
    return over_runs(results, model, lambda *run: results.open(*run, "controls"))


def against_baseline(results: Results, model: str) -> xr.Dataset:
    """Alignment of a model and of word rate and position, and by how much the model is better.

    Means over transformer layers and participants.

    Returns
    -------
    Dataset (condition, region)
        As of `bthelpers.results.comparison.compare`: ``baseline``, the model's ``value``, their
        difference ``change``, and the ends of its 95 % interval, ``low`` and ``high``.

    Raises
    ------
    ResultsError
        If a run of the profile is missing.
    """
    controls = load_controls(results, model)
    baseline = estimate(controls, "baseline_alignment", "baseline_draws")
    aligned = estimate(over_layers(load_alignment(results, model)), "alignment")
    return compare(aligned.sel(region=baseline["region"]), baseline, over="participant")


def baseline_table(compared: xr.Dataset) -> pd.DataFrame:
    """`against_baseline` with a row per region and condition."""
    rows = compared.to_dataframe(["region", "condition"])
    return rows[["baseline", "value", "change", "low", "high"]]


def split_table(controls: xr.Dataset) -> pd.DataFrame:
    """Mean correlation by what is left out, of a model and of word rate and position.

    Parameters
    ----------
    controls : Dataset
        As of `load_controls`.

    Returns
    -------
    DataFrame
        A row per region and condition, and one of the ``baseline``; means over transformer layers
        and participants.
    """
    model = over_layers(controls["r"]).mean("participant")
    baseline = controls["baseline_r"].isel(condition=[0]).mean("participant")
    rows = xr.concat([model, baseline.assign_coords(condition=["baseline"])], "condition")
    table = rows.transpose("region", "condition", "split").to_series().unstack("split")
    return table[controls["split"].values.tolist()]
