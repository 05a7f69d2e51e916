"""Low-level impact of many runs: one labelled array, and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd
import xarray as xr

from bthelpers.encoding.impact import low_level_impact
from bthelpers.results.alignment import layer_changes, load_alignment
from bthelpers.results.comparison import compare, estimate, tuned_and_pretrained
from bthelpers.results.maps import voxel_impacts
from bthelpers.results.runs import BASELINE, TUNED, in_all, over_layers, over_runs
from bthelpers.results.store import Results
from bthelpers.statistics.intervals import interval
from bthelpers.statistics.wilcoxon import (
    wilcoxon_over_means,
    wilcoxon_over_voxels,
    wilcoxon_where_enough,
)

SINGLE = ("power_spectrum", "diphones", "triphones", "articulation")  # removed one by one
REPLICATED = (
    ("late_language", "mean over layers"),
    ("late_language", "last layer"),
    ("primary_auditory", "mean over layers"),
    ("early_auditory", "mean over layers"),
)
_MEASURES = pd.Index(
    [
        *(f"alignment, {region.replace('_', ' ')}, {layers} (%)" for region, layers in REPLICATED),
        "low-level impact, late language (points)",
    ],
    name="measure",
)


def load_impacts(results: Results, model: str) -> xr.Dataset:
    """Low-level impact on the mean alignment over layers, for all runs of a model.

    Returns
    -------
    Dataset
        ``impact`` (participant, condition, feature, region), in percent, and its ``draws``
        (..., draw); NaN where there is no ratio. ``floor`` and ``floor_draws``, the same of another
        story's features, and ``positive``, as of `low_level_impact`. The feature "mean" is the mean
        over the four that are removed one by one, where there are all of them.

    Raises
    ------
    ResultsError
        If a run of the profile is missing.
    """
    return with_mean(over_runs(results, model, lambda *run: _impact(results, *run)))


def _impact(results: Results, *run: str) -> xr.Dataset:
    original, residual = (
        over_layers(results.open(*run, step).drop_dims("voxel", errors="ignore"))
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


def published_coding_table(impacts: xr.Dataset, region: str) -> pd.DataFrame:
    """Impact of all four features as the model hears them and in the published coding.

    Returns
    -------
    DataFrame
        One row per condition and participant: in percent, with the floor of each.
    """
    names = {"joint": "on the model's clock", "joint_as_published": "as published"}
    there = impacts.sel(region=region, drop=True).reindex(feature=list(names))
    columns = {}
    for feature, name in names.items():
        chosen = there.sel(feature=feature, drop=True)
        columns |= {f"{name} (%)": chosen["impact"], f"its floor ({name})": chosen["floor"]}
    return xr.Dataset(columns).to_dataframe(["condition", "participant"])


def load_family_impacts(results: Results, models: Sequence[str], feature: str) -> xr.Dataset:
    """Low-level impact of one feature, or the mean over four, on several models (Fig. 3 and 7).

    Returns
    -------
    Dataset
        As of `load_impacts`, (model, participant, condition, region), of the participants that all
        models share and the conditions that one of them has; NaN where a model lacks it.
    """
    participants = in_all(map(results.profile().participants_of, models))
    families = [
        load_impacts(results, model).sel(participant=participants, feature=feature, drop=True)
        for model in models
    ]
    return xr.concat(families, pd.Index(models, name="model"), join="outer")


def replication_changes(replications: Mapping[str, Results]) -> xr.Dataset:
    """What tuning changes in simulations that differ in one thing each.

    Parameters
    ----------
    replications : mapping of str to Results
        By what is different. Of each, the first model whose low-level impact was evaluated.

    Returns
    -------
    Dataset
        ``baseline``, ``value``, their ``change`` and the ends of its 95 % interval, ``low`` and
        ``high`` (measure, condition, participant). Changes from pretrained: of alignment in
        percent, of the impact of all four low-level features on late language regions in points.
    """
    runs = []
    for name, results in replications.items():
        model = results.profile().models_with("impact")[0]
        alignments = load_alignment(results, model)
        changes = [
            layer_changes(alignments, region).sel(layers=layers, drop=True)
            for region, layers in REPLICATED
        ]
        impacts = load_impacts(results, model).sel(region="late_language", feature="joint")
        impact = estimate(impacts.drop_vars(["region", "feature"]), "impact")
        changes.append(compare(*tuned_and_pretrained(impact)))
        labels = [f"{name}, {participant}" for participant in impact["participant"].values]
        runs.append(xr.concat(changes, _MEASURES).assign_coords(participant=labels))
    return xr.concat(runs, "participant")


def impact_p(results: Results, model: str, participants: Sequence[str] = ()) -> xr.DataArray:
    """p-values of all conditions against pretrained, as figures mark them (section 3.4.2, Fig. 3).

    Two-sided Wilcoxon signed-rank tests of voxels' impact, of those that have one in both
    conditions (`bthelpers.statistics.wilcoxon.wilcoxon_where_enough`).

    Parameters
    ----------
    results : Results
    model : str
    participants : sequence of str
        By default all of the model.

    Returns
    -------
    DataArray (condition, feature, region)
        NaN where nothing differs. Its attribute ``over`` is "participants" or "voxels".
    """
    who = participants or results.profile().participants_of(model)
    impacts = [_voxels_of_regions(results, model, participant) for participant in who]
    tuned = impacts[0].drop_sel(condition=BASELINE).isel(voxel=0, drop=True)
    p = xr.full_like(tuned, np.nan).assign_attrs(over="voxels")
    for index in product(*(p[dim].values for dim in p.dims)):
        where = dict(zip(p.dims, index, strict=True))
        pairs = [
            _pair(each.sel(where), each.sel(where | {"condition": BASELINE})) for each in impacts
        ]
        if _differ(pairs):
            test = wilcoxon_where_enough(pairs)
            p.loc[where], p.attrs["over"] = test.p, test.over
    return p


def impact_signed_rank_table(
    results: Results, model: str, region: str, feature: str
) -> pd.DataFrame:
    """Wilcoxon signed-rank tests of brain-tuned against pretrained voxels' impact (3.4.2).

    Returns
    -------
    DataFrame
        One row per participant, over the region's voxels that have an impact in both, and one over
        participants: ``n``, the mean ``change`` in points, and ``p``.
    """
    pairs = {}
    for participant in results.profile().participants_of(model):
        of_region = _voxels_of_regions(results, model, participant).sel(
            region=region, feature=feature
        )
        pairs[participant] = _pair(*(of_region.sel(condition=c) for c in (TUNED, BASELINE)))
    rows = {
        name: {
            "over": "voxels",
            "n": len(pair[0]),
            "p": wilcoxon_over_voxels(*pair).p if _differ([pair]) else np.nan,
        }
        for name, pair in pairs.items()
    }
    changes = [np.mean(tuned - baseline) for tuned, baseline in pairs.values()]
    if len(pairs) > 1:
        p = wilcoxon_over_means(list(pairs.values())).p
        rows["all participants"] = {"over": "participants", "n": len(pairs), "p": p}
        changes.append(np.mean(changes))
    return pd.DataFrame(rows).T.assign(**{"change (points)": changes})


def _voxels_of_regions(results: Results, model: str, participant: str) -> xr.DataArray:
    """Impact (condition, feature, region, voxel) of the voxels that each region has."""
    found = voxel_impacts(results, model, participant)
    impacts = with_mean(found[["impact"]].where(found["regions"].astype(bool)))["impact"]
    return impacts.transpose("condition", "feature", "region", "voxel")


def _pair(tuned: xr.DataArray, baseline: xr.DataArray) -> tuple[np.ndarray, np.ndarray]:
    both = np.isfinite(tuned.values) & np.isfinite(baseline.values)
    return tuned.values[both], baseline.values[both]


def _differ(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> bool:
    return any((tuned != baseline).any() for tuned, baseline in pairs)


def with_mean(impacts: xr.Dataset) -> xr.Dataset:
    """Join the mean over the four features that are removed one by one, where all are there."""
    if not set(SINGLE) <= set(impacts["feature"].values):
        return impacts
    mean = impacts.sel(feature=list(SINGLE)).mean("feature", skipna=False)
    return xr.concat([impacts, mean.assign_coords(feature="mean")], "feature", data_vars="minimal")


def impact_table(original: xr.Dataset, residual: xr.Dataset) -> pd.DataFrame:
    """Alignments, low-level impact with its 95 % interval, or why there is none, and its floor.

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
            "floor (%)": impact["floor"],
            "positive": impact["positive"],
        }
    ).to_dataframe(dim_order=residual["alignment"].dims)
    n_draws = residual.sizes["draw"]
    reason = f"no ratio: original alignment not above 0 in {{}} of {n_draws} draws"
    not_positive = n_draws - table.pop("positive")
    return table.assign(remark=[reason.format(n) if n else "" for n in not_positive])
