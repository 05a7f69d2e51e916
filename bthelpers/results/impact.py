"""Low-level impact of many runs: one labelled array, and tables."""

from __future__ import annotations

import pandas as pd
import xarray as xr

from bthelpers.encoding.impact import low_level_impact
from bthelpers.results.comparison import compare, estimate
from bthelpers.results.runs import TUNED, over_layers, over_runs
from bthelpers.results.store import Results
from bthelpers.statistics.intervals import interval


def load_impacts(results: Results, model: str) -> xr.Dataset:
    """Low-level impact on the mean alignment over layers, for all runs of a model.

    Returns
    -------
    Dataset
        ``impact`` (participant, condition, feature, region), in percent, and its ``draws``
        (..., draw); NaN where there is no ratio. ``positive``, as of `low_level_impact`.

    Raises
    ------
    ResultsError
        If a run of the profile is missing.
    """
    return over_runs(results, model, lambda *run: _impact(results, *run))


def _impact(results: Results, *run: str) -> xr.Dataset:
    original, residual = (
        over_layers(results.open(*run, step)[["alignment", "draws"]])
        for step in ("alignment", "impact")
    )
    return low_level_impact(original, residual)


def impact_change_table(impacts: xr.Dataset, feature: str, region: str) -> pd.DataFrame:
    """How much lower the brain-tuned model's impact is than that of every other condition.

    Returns
    -------
    DataFrame
        One row per other condition and participant: both impacts in percent, their difference in
        points, and its 95 % interval of a block bootstrap over the test story's TRs, with the same
        blocks drawn for both. NaN where one of the two has no ratio.
    """
    chosen = estimate(impacts.sel(feature=feature, region=region, drop=True), "impact")
    compared = compare(chosen.sel(condition=TUNED, drop=True), chosen.drop_sel(condition=TUNED))
    names = {
        "baseline": "its impact (%)",
        "value": "brain-tuned (%)",
        "change": "difference (points)",
    }
    return compared.rename(names).to_dataframe(["condition", "participant"])


def impact_table(original: xr.Dataset, residual: xr.Dataset) -> pd.DataFrame:
    """Alignments and low-level impact with its 95 % interval, or why there is none.

    The intervals are of a block bootstrap over the test story's TRs, with the same blocks drawn for
    both alignments. Parameters and errors are those of `low_level_impact`.

    Returns
    -------
    DataFrame
        One row per combination of labels, such as feature and region.
    """
    impact = low_level_impact(original, residual)
    table = xr.Dataset(
        {
            "original": original["alignment"].sel(region=residual["region"]),
            "residual": residual["alignment"],
            "impact (%)": impact["impact"],
            **interval(estimate(impact, "impact")).to_dataset("bound"),
            "positive": impact["positive"],
        }
    ).to_dataframe(dim_order=residual["alignment"].dims)
    n_draws = residual.sizes["draw"]
    reason = f"no ratio: original alignment not above 0 in {{}} of {n_draws} draws"
    not_positive = n_draws - table.pop("positive")
    return table.assign(remark=[reason.format(n) if n else "" for n in not_positive])
