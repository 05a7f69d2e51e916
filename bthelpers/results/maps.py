"""Values of voxels, as flatmaps show them."""

from __future__ import annotations

import numpy as np
import xarray as xr

from bthelpers.core.errors import ResultsError
from bthelpers.data.dataset import Dataset
from bthelpers.encoding.impact import voxel_impact
from bthelpers.results.comparison import change
from bthelpers.results.runs import BASELINE, TUNED, over_layers
from bthelpers.results.store import Results

# Another processor rounds otherwise, and the root of a signal power near 0 makes more of it.
# Ceilings of another participant differ by several tenths.
CEILING_TOLERANCE = 0.01


def voxel_impacts(results: Results, model: str, participant: str) -> xr.Dataset:
    """Low-level impact of single voxels in all conditions, mean over transformer layers.

    Returns
    -------
    Dataset
        ``impact`` (condition, feature, voxel), ``masked`` and ``voxels``, as of
        `bthelpers.encoding.impact.voxel_impact`, and the voxels' ``regions``. Voxels are those of
        the evaluated regions, with their numbers among the participant's.
    """
    profile = results.profile()
    conditions = list(profile.conditions_of(model))
    original, residual = (
        xr.concat(
            [mean_r(results.open(model, participant, name, step)) for name in conditions],
            "condition",
            join="exact",
        ).assign_coords(condition=conditions)
        for step in ("alignment", "impact")
    )
    regions = numbered_voxels(results, participant)["regions"]
    regions = regions.sel(voxel=residual["voxel"], region=list(profile.impact.regions))
    return voxel_impact(original, residual, regions).assign(regions=regions)


def voxel_impact_change(results: Results, model: str, participant: str) -> xr.Dataset:
    """What brain-tuning changes of the low-level impact of single voxels (Fig. 3c and 15).

    Returns
    -------
    Dataset
        ``change`` (feature, voxel): brain-tuned minus pretrained, in points; NaN where one of the
        two has no ratio. Voxels are those of the evaluated regions, with their numbers among the
        participant's. ``masked`` and ``voxels`` (region): how many have none, and of how many.
    """
    impacts = voxel_impacts(results, model, participant)
    both = impacts["impact"].sel(condition=[BASELINE, TUNED])
    changes = change(both).squeeze("condition", drop=True)
    without = changes.isnull().any("feature")
    return xr.Dataset(
        {
            "change": changes,
            "masked": (impacts["regions"].astype(bool) & without).sum("voxel"),
            "voxels": impacts["voxels"],
        }
    )


def mean_r(run: xr.Dataset) -> xr.DataArray:
    """Correlations of single voxels, mean over transformer layers.

    Parameters
    ----------
    run : Dataset
        With ``r`` (..., layer, voxel) or, where it is a record of an earlier version, ``mean_r``
        (..., voxel).

    Returns
    -------
    DataArray (..., voxel)
    """
    if "mean_r" in run:
        return run["mean_r"]
    return over_layers(run["r"])


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
