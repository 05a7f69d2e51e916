"""Low-level impact of many runs: one labelled array, a table of changes, a figure, maps."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from bthelpers.alignment import interval
from bthelpers.figures import grouped_bars, interval_errors, region_title
from bthelpers.impact import low_level_impact, voxel_impact
from bthelpers.results import Results
from bthelpers.summary import BASELINE, LAYERS, mean_r, numbered_voxels, over_runs

TITLES = {
    "power_spectrum": "Power\nspectrum",
    "diphones": "Di-phones",
    "triphones": "Tri-phones",
    "articulation": "Articulation",
    "joint": "All four",
}
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


def voxel_impact_change(results: Results, model: str, participant: str, feature: str) -> xr.Dataset:
    """What brain-tuning changes of the low-level impact of single voxels (Fig. 3c and 15).

    Returns
    -------
    Dataset
        ``change`` (voxel): brain-tuned minus pretrained, in points; NaN where one of the two has no
        ratio. Voxels are those of the evaluated regions, with their numbers among the
        participant's. ``masked`` and ``voxels`` (region): how many have none, and of how many.
    """
    conditions = pd.Index([BASELINE, TUNED], name="condition")
    original, residual = (
        xr.concat(
            [mean_r(results.open(model, participant, name, step)) for name in conditions],
            conditions,
            join="exact",
        )
        for step in ("alignment", "impact")
    )
    regions = numbered_voxels(results, participant)["regions"]
    regions = regions.sel(voxel=residual["voxel"], region=list(results.profile().impact.regions))
    impacts = voxel_impact(original, residual.sel(feature=feature, drop=True), regions)
    before, after = impacts["impact"].transpose("condition", ...)
    change = after - before
    masked = (regions & change.isnull()).sum("voxel")
    return xr.Dataset({"change": change, "masked": masked, "voxels": impacts["voxels"]})


def impact_bars(impacts: xr.Dataset, region: str) -> Figure:
    """Bars per low-level feature and condition, mean over participants (Fig. 3 and 7).

    A condition in which a participant has no ratio has no bar.

    Returns
    -------
    Figure
        Error bars: 95 % intervals of the block bootstrap; dots: participants.
    """
    values = impacts["impact"].sel(region=region)
    means, draws = (
        array.mean("participant", skipna=False).transpose("condition", "feature", ...)
        for array in (values, impacts["draws"].sel(region=region))
    )
    errors = interval_errors(means, draws)
    figure, axes, places = grouped_bars(means, errors, "Low-level impact (%)")
    for condition, row in places.items():
        for dots in values.sel(condition=condition).transpose("participant", "feature"):
            axes.plot(row, dots, "k.", markersize=3, alpha=0.6)
    features = list(values["feature"].values)
    axes.set_xticks(np.arange(len(features)), [TITLES.get(name, name) for name in features])
    axes.set_title(region_title(region), fontsize=10)
    return figure
