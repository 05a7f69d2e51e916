"""Results of many runs as one labelled array, and the changes that brain-tuning makes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pandas as pd
import xarray as xr

from bthelpers.alignment import (
    interval,
    percent_change,
    wilcoxon_over_participants,
    wilcoxon_over_voxels,
)
from bthelpers.dataset import Dataset
from bthelpers.results import Results, ResultsError

BASELINE = "pretrained"
LAYERS = {"mean over layers": slice(1, None), "last layer": slice(-1, None)}
# Another processor rounds otherwise, and the root of a signal power near 0 makes more of it.
# Ceilings of another participant differ by several tenths.
CEILING_TOLERANCE = 0.01


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
    return over_runs(
        results,
        model,
        lambda *run: results.open(*run, "alignment")[["alignment", "draws"]],
    )


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
        ``alignment`` (model, condition, region) and ``draws`` (model, condition, region, draw):
        means over transformer layers and participants.

    Raises
    ------
    ResultsError
        If a run of the profile is missing.
    ValueError
        If there is no participant, or no condition, in which all models were evaluated.
    """
    profile = results.profile()
    models = models or profile.models_with("alignment")
    participants = _shared(map(profile.participants_of, models))
    conditions = _shared(map(profile.conditions_of, models))
    if not participants or not conditions:
        raise ValueError(
            f"profile {profile.name}: the models share no participant or no condition; change"
            " `participants` and `conditions` under `models`"
        )
    families = [
        load_alignment(results, model)
        .sel(participant=participants, condition=conditions)
        .isel(layer=LAYERS["mean over layers"])
        .mean(["layer", "participant"])
        for model in models
    ]
    return xr.concat(families, pd.Index(models, name="model"), join="exact")


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


def change(values: xr.DataArray, condition: str, layers: slice) -> xr.DataArray:
    """Percent change of the mean over some layers, from pretrained to a condition."""
    chosen = values.isel(layer=layers).mean("layer")
    return percent_change(
        chosen.sel(condition=condition, drop=True), chosen.sel(condition=BASELINE, drop=True)
    )


def change_table(alignments: xr.Dataset, region: str) -> pd.DataFrame:
    """Change in percent per participant, condition and choice of layers, with 95 % intervals.

    The intervals are of a block bootstrap over the test story's TRs, with the same blocks drawn for
    both conditions.
    """
    chosen = alignments.sel(region=region)
    rows = []
    for condition in chosen["condition"].values:
        if condition == BASELINE:
            continue
        for name, layers in LAYERS.items():
            changes = change(chosen["alignment"], condition, layers)
            bounds = interval(change(chosen["draws"], condition, layers))
            rows += [
                {
                    "condition": condition,
                    "layers": name,
                    "participant": participant,
                    "change (%)": changes.sel(participant=participant).item(),
                    "low": bounds.sel(participant=participant, bound="low").item(),
                    "high": bounds.sel(participant=participant, bound="high").item(),
                }
                for participant in chosen["participant"].values
            ]
    return pd.DataFrame(rows).set_index(["condition", "layers", "participant"])


def mean_r(run: xr.Dataset) -> xr.DataArray:
    """Correlations of single voxels, mean over transformer layers.

    Parameters
    ----------
    run : Dataset
        With ``r`` (..., layer, voxel) or, where it is a record, ``mean_r`` (..., voxel).

    Returns
    -------
    DataArray (..., voxel)
    """
    if "mean_r" in run:
        return run["mean_r"]
    return run["r"].isel(layer=LAYERS["mean over layers"]).mean("layer")


def numbered_voxels(results: Results, participant: str) -> xr.Dataset:
    """Noise ceilings and regions of a participant, with each voxel's number as its coordinate."""
    voxels = results.voxels(participant)
    return voxels.assign_coords(voxel=np.arange(voxels.sizes["voxel"]))


def voxel_alignment(results: Results, model: str, participant: str, condition: str) -> xr.DataArray:
    """r / ceiling of the voxels above the noise ceiling's threshold, mean over transformer layers.

    Returns
    -------
    DataArray (voxel)
        With the number of each voxel among the participant's as its coordinate.
    """
    r = mean_r(results.open(model, participant, condition, "alignment"))
    return r / numbered_voxels(results, participant)["ceiling"].sel(voxel=r["voxel"])


def whole_brain(values: xr.DataArray, n_voxels: int) -> np.ndarray:
    """Values of some voxels among all of a participant's; NaN elsewhere, shape (n_voxels,)."""
    brain = np.full(n_voxels, np.nan)
    brain[values["voxel"].values] = values.values
    return brain


def drawing_dataset(results: Results, participant: str) -> Dataset:
    """Dataset on whose surfaces a participant's voxels are drawn, as seen from the book's folder.

    Recorded results come without their dataset. That of the current results serves, where their
    participant of that name has the same voxels.

    Raises
    ------
    ResultsError
        If there is no such participant, or its noise ceilings are others.
    """
    current = Results.current()
    profile = current.profile()
    if participant in profile.dataset.participants:
        drawn, shown = (each.voxels(participant)["ceiling"] for each in (current, results))
        if drawn.shape == shown.shape and np.allclose(drawn, shown, rtol=0, atol=CEILING_TOLERANCE):
            return Dataset(f"../{profile.dataset.root}")
    raise ResultsError(
        f"{results.root}: maps of {participant} are drawn on the surfaces of profile"
        f" {profile.name}, which has no participant of that name with the same noise ceilings. Let"
        " that profile make the evaluation that is mapped (`evaluations` in"
        f" params/{profile.name}.yaml), or build the book of the demo: `make book`"
    )


def signed_rank_table(results: Results, model: str, region: str, condition: str) -> pd.DataFrame:
    """Wilcoxon signed-rank tests of a condition against pretrained, mean over layers.

    One row per participant tests over the region's voxels; the last row tests over participants.
    """
    profile = results.profile()
    tests, means = {}, []
    for participant in profile.participants_of(model):
        mask = results.voxels(participant)["regions"].sel(region=region).values.astype(bool)
        pair = [
            voxel_alignment(results, model, participant, which) for which in (condition, BASELINE)
        ]
        pair = [values[mask[values["voxel"].values]].values for values in pair]
        tests[participant] = wilcoxon_over_voxels(*pair)
        means.append([values.mean() for values in pair])
    if len(means) > 1:
        tests["all participants"] = wilcoxon_over_participants(*np.transpose(means))
    return pd.DataFrame(
        {
            name: {"over": test.over, "n": test.n, "statistic": test.statistic, "p": test.p}
            for name, test in tests.items()
        }
    ).T
