"""Brain alignment of many runs, its changes and its tests."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from bthelpers.core.errors import ResultsError
from bthelpers.encoding.ridge import EDGES
from bthelpers.params.settings import Profile
from bthelpers.results.comparison import compare, estimate, tuned_and_pretrained
from bthelpers.results.maps import voxel_alignment
from bthelpers.results.runs import BASELINE, LAYERS, in_all, over_runs
from bthelpers.results.store import MAKE, Results, Run
from bthelpers.statistics.permutation import LEVEL
from bthelpers.statistics.wilcoxon import (
    wilcoxon_over_means,
    wilcoxon_over_voxels,
    wilcoxon_where_enough,
)


def significance_table(results: Results, model: str, region: str) -> pd.DataFrame:
    """Share of a region's voxels with significant alignment, per condition, layers and participant.

    In each layer, the false discovery rate is held at 5 % (Benjamini and Hochberg, 1995) over all
    voxels of the participant that were modelled, in this region or not.

    Returns
    -------
    DataFrame
        ``voxels`` of the region that have a p-value in every layer, ``without p`` the number of
        the others, ``significant (%)`` of the former, mean over layers.

    Raises
    ------
    ResultsError
        If a run is missing or holds no p-values.
    """
    profile = results.profile()
    rows = []
    for condition in profile.conditions_of(model):
        found = {
            participant: significant_voxels(
                results, Run(model, participant, condition, "alignment")
            )
            for participant in profile.participants_of(model)
        }
        for name, layers in LAYERS.items():
            for participant, significant in found.items():
                regions = results.voxels(participant)["regions"].sel(region=region).astype(bool)
                inside = significant[:, regions.values[significant["voxel"]]]
                tested = inside.dropna("voxel")
                rows.append(
                    {
                        "condition": condition,
                        "layers": name,
                        "participant": participant,
                        "voxels": tested.sizes["voxel"],
                        "without p": inside.sizes["voxel"] - tested.sizes["voxel"],
                        "significant (%)": 100 * tested.isel(layer=layers).mean().item(),
                    }
                )
    return pd.DataFrame(rows).set_index(["condition", "layers", "participant"])


def significant_voxels(results: Results, run: Run) -> xr.DataArray:
    """Find the significantly aligned voxels of a run, at a false discovery rate of 5 % in a layer.

    Returns
    -------
    DataArray (layer, voxel)
        1 where a voxel is significant, 0 where not, NaN where some layer has no p-value.

    Raises
    ------
    ResultsError
        If the run is missing or holds no p-values.
    """
    alignment = results.open(*run)
    if "p" not in alignment:
        raise ResultsError(
            f"{results.root.joinpath(*run)}.nc holds no p-values, as an earlier version made it;"
            f" delete it, then {MAKE}"
        )
    p = alignment["p"].transpose("layer", "voxel")
    tested = p.dropna("voxel")
    adjusted = stats.false_discovery_control(tested, axis=1)
    significant = tested.copy(data=(adjusted <= LEVEL).astype(float))
    return significant.reindex(voxel=p["voxel"])


def load_alignment(results: Results, model: str) -> xr.Dataset:
    """Alignment of a model for all participants and conditions of the profile.

    Returns
    -------
    Dataset
        ``alignment`` (participant, condition, layer, region) and
        ``draws`` (participant, condition, layer, region, draw).

    Raises
    ------
    ResultsError
        If a run of the profile is missing.
    """
    variables = ["alignment", "draws"]
    return over_runs(results, model, lambda *run: results.open(*run, "alignment")[variables])


def penalty_table(results: Results, model: str) -> pd.DataFrame:
    """Share of a model's (layer, voxel) pairs whose best penalty is not among the profile's.

    One row per condition and participant, in percent; NaN where an earlier version did not count
    them.

    Returns
    -------
    DataFrame
        Columns as of `bthelpers.encoding.ridge.EDGES`, which `bthelpers.encoding.ridge.edge_shares`
        explains.

    Raises
    ------
    ResultsError
        If a run of the profile is missing.
    """
    unknown = xr.DataArray([[np.nan] * len(EDGES)], {"edge": list(EDGES)}, ("layer", "edge"))

    def shares(*run: str) -> xr.Dataset:
        share = results.open(*run, "alignment").get("edge_share", unknown)
        return (100 * share.mean("layer")).to_dataset(name="share")

    shares_of_runs = over_runs(results, model, shares)["share"]
    return shares_of_runs.to_series().unstack("edge")[list(EDGES)].swaplevel().sort_index()


def load_families(results: Results, models: Sequence[str] = ()) -> xr.Dataset:
    """Alignment of some models, for the participants and conditions that they share.

    Parameters
    ----------
    results : Results
    models : sequence of str
        By default all whose alignment is evaluated.

    Returns
    -------
    Dataset
        ``alignment`` (model, participant, condition, region) and ``draws`` (…, draw): means over
        transformer layers.

    Raises
    ------
    ResultsError
        If a run of the profile is missing.
    ValueError
        If there is no participant, or no condition, in which all models were evaluated.
    """
    models = models or results.profile().models_with("alignment")
    participants, conditions = _shared(results.profile(), models)
    families = [
        load_alignment(results, model)
        .sel(participant=participants, condition=conditions)
        .isel(layer=LAYERS["mean over layers"])
        .mean("layer")
        for model in models
    ]
    return xr.concat(families, pd.Index(models, name="model"), join="exact")


def _shared(profile: Profile, models: Sequence[str]) -> tuple[list[str], list[str]]:
    """Participants and conditions in which all models are evaluated."""
    participants = in_all(map(profile.participants_of, models))
    conditions = in_all(map(profile.conditions_of, models))
    if not participants or not conditions:
        raise ValueError(
            f"profile {profile.name}: the models share no participant or no condition; change"
            " `participants` and `conditions` under `models`"
        )
    return participants, conditions


def layer_changes(alignments: xr.Dataset, region: str) -> xr.Dataset:
    """Change from pretrained in percent, with 95 % intervals (layers, condition, participant).

    The intervals are of a block bootstrap over the test story's TRs, with the same blocks drawn for
    both conditions; ``layers`` are the choices of `bthelpers.results.runs.LAYERS`.
    """
    chosen = estimate(alignments.sel(region=region, drop=True), "alignment")
    means = xr.concat(
        [chosen.isel(layer=layers).mean("layer") for layers in LAYERS.values()],
        pd.Index(LAYERS, name="layers"),
    )
    return compare(*tuned_and_pretrained(means), "percent")


def change_table(alignments: xr.Dataset, region: str) -> pd.DataFrame:
    """`layer_changes` as a table: a row per condition, choice of layers and participant."""
    table = layer_changes(alignments, region).rename(change="change (%)")
    rows = ["condition", "layers", "participant"]
    return table[["change (%)", "low", "high"]].to_dataframe(rows)


def signed_rank_table(results: Results, model: str, region: str, condition: str) -> pd.DataFrame:
    """Wilcoxon signed-rank tests of a condition against pretrained, mean over layers.

    One row per participant tests over the region's voxels; the last row tests over participants.
    """
    pairs = {
        participant: [
            _region_voxels(results, Run(model, participant, which, "alignment"), [region])[region]
            for which in (condition, BASELINE)
        ]
        for participant in results.profile().participants_of(model)
    }
    tests = {participant: wilcoxon_over_voxels(*pair) for participant, pair in pairs.items()}
    if len(pairs) > 1:
        tests["all participants"] = wilcoxon_over_means(list(pairs.values()))
    return pd.DataFrame(
        {
            name: {"over": test.over, "n": test.n, "statistic": test.statistic, "p": test.p}
            for name, test in tests.items()
        }
    ).T


def signed_rank_p(results: Results, models: Sequence[str], regions: Sequence[str]) -> xr.DataArray:
    """p-values of all conditions against pretrained, as figures mark them (ICLR paper, Fig. 2).

    Two-sided Wilcoxon signed-rank tests of r / ceiling, mean over transformer layers
    (`bthelpers.statistics.wilcoxon.wilcoxon_where_enough`). The paper does not say over what it
    tests.

    Parameters
    ----------
    results : Results
    models : sequence of str
        Their shared participants and conditions are tested.
    regions : sequence of str

    Returns
    -------
    DataArray (model, condition, region)
        Its attribute ``over`` says what the tests are over, "participants" or "voxels".

    Raises
    ------
    ResultsError
        If a run of the profile is missing.
    ValueError
        If the models share no participant or no condition, or no pair differs.
    """
    participants, conditions = _shared(results.profile(), models)
    tuned = [name for name in conditions if name != BASELINE]
    labels = {"model": list(models), "condition": tuned, "region": list(regions)}
    p = xr.DataArray(np.nan, labels, dims=tuple(labels))
    for model, name in product(models, tuned):
        pairs = [
            [
                _region_voxels(results, Run(model, who, which, "alignment"), regions)
                for which in (name, BASELINE)
            ]
            for who in participants
        ]
        for region in regions:
            of_region = [[new[region], old[region]] for new, old in pairs]
            test = wilcoxon_where_enough(of_region)
            p.loc[model, name, region] = test.p
    return p.assign_attrs(over=test.over)


def _region_voxels(results: Results, run: Run, regions: Sequence[str]) -> dict[str, np.ndarray]:
    """r / ceiling of each region's voxels above the threshold, mean over transformer layers."""
    values = voxel_alignment(results, run.model, run.participant, run.condition)
    masks = results.voxels(run.participant)["regions"].isel(voxel=values["voxel"].values)
    return {name: values.values[masks.sel(region=name).values.astype(bool)] for name in regions}
