"""Low-level impact of many runs: one labelled array, a table of changes, a figure, maps."""

from __future__ import annotations

import pandas as pd
import xarray as xr

from bthelpers.encoding.impact import low_level_impact
from bthelpers.results.runs import LAYERS, over_runs
from bthelpers.results.store import Results
from bthelpers.statistics.bootstrap import interval

TUNED = "brain-tuned"


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
        results.open(*run, step)[["alignment", "draws"]]
        .isel(layer=LAYERS["mean over layers"])
        .mean("layer")
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
    chosen = impacts.sel(feature=feature, region=region)
    tuned = chosen.sel(condition=TUNED)
    others = [condition for condition in chosen["condition"].values if condition != TUNED]
    rows = []
    for condition in others:
        other = chosen.sel(condition=condition)
        bounds = interval(tuned["draws"] - other["draws"])
        rows.append(
            pd.DataFrame(
                {
                    "condition": condition,
                    "participant": chosen["participant"],
                    "its impact (%)": other["impact"],
                    "brain-tuned (%)": tuned["impact"],
                    "difference (points)": tuned["impact"] - other["impact"],
                    "low": bounds.sel(bound="low"),
                    "high": bounds.sel(bound="high"),
                }
            )
        )
    return pd.concat(rows).set_index(["condition", "participant"])


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
    bounds = interval(impact["draws"])
    table = xr.Dataset(
        {
            "original": original["alignment"].sel(region=residual["region"]),
            "residual": residual["alignment"],
            "impact (%)": impact["impact"],
            "low": bounds.sel(bound="low", drop=True),
            "high": bounds.sel(bound="high", drop=True),
            "positive": impact["positive"],
        }
    ).to_dataframe(dim_order=residual["alignment"].dims)
    n_draws = residual.sizes["draw"]
    reason = f"no ratio: original alignment not above 0 in {{}} of {n_draws} draws"
    not_positive = n_draws - table.pop("positive")
    return table.assign(remark=[reason.format(n) if n else "" for n in not_positive])
