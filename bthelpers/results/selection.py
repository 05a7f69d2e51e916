"""What it changes that voxels are selected and normalised by the same repeats.

A voxel is above a threshold because of its signal and because of the noise of its repeats. Those
that one half of the repeats selects have lower noise ceilings by the other half, whose noise did
not select them. Ceilings are averaged as root mean squares: the root of a noisy number is biased,
its square hardly.
"""

from __future__ import annotations

import pandas as pd
import xarray as xr

from bthelpers.results.maps import mean_r, numbered_voxels
from bthelpers.results.store import Results

ALL = "all voxels"


def selected_by_half(voxels: xr.Dataset, threshold: float) -> xr.Dataset:
    """Select voxels by the one half of the repeats, and by the other.

    Parameters
    ----------
    voxels : Dataset
        As of `bthelpers.encoding.ceiling.participant_voxels`. Earlier versions recorded no halves:
        none is selected by them.
    threshold : float
        Noise ceiling that a voxel must exceed.

    Returns
    -------
    Dataset
        ``regions``, bool (region, voxel), with one of all voxels; ``selected``, bool (half, region,
        voxel); noise ceilings by the ``same`` half and by the ``other`` one (half, voxel), NaN for
        invalid voxels.
    """
    unknown = voxels["ceiling"].expand_dims(half=["odd", "even"]) * float("nan")
    same = voxels.get("ceiling_half", unknown).where(~voxels["invalid"].astype(bool))
    everywhere = xr.ones_like(voxels["invalid"], bool).expand_dims(region=[ALL])
    regions = xr.concat([everywhere, voxels["regions"].astype(bool)], "region")
    other = same.isel(half=[1, 0]).assign_coords(half=same["half"])
    selected = (same > threshold) & regions
    return xr.Dataset({"regions": regions, "selected": selected, "same": same, "other": other})


def selection_bias(voxels: xr.Dataset, threshold: float) -> pd.DataFrame:
    """Noise ceilings of the voxels that half of the repeats selects, by each half.

    Parameters
    ----------
    voxels, threshold
        As of `selected_by_half`.

    Returns
    -------
    DataFrame
        A row of all voxels and one per region: the correlation of both halves' ceilings over its
        voxels. Means over which half selects: how many voxels it selects, how many of them the
        other half would (%), and their ceiling by both.
    """
    halves = selected_by_half(voxels, threshold)
    selected, in_region = halves["selected"], halves["same"].where(halves["regions"])
    also = selected & (halves["other"] > threshold)
    return _table(
        {
            "correlation": xr.corr(in_region, halves["other"], "voxel"),
            "selected": selected.sum("voxel"),
            "also by the other half (%)": 100 * also.sum("voxel") / selected.sum("voxel"),
            "ceiling, same half": _root_mean_square(halves["same"], selected),
            "ceiling, other half": _root_mean_square(halves["other"], selected),
        }
    )


def alignment_by_half(
    results: Results, model: str, participant: str, condition: str
) -> pd.DataFrame:
    """Alignment of the voxels that half of the repeats selects, normalised by each half.

    Mean correlations, over layers and voxels, divided by the voxels' ceiling, and not the mean of
    their ratios: by the other half, a voxel may have no ceiling to divide by.

    Returns
    -------
    DataFrame
        A row of all voxels and one per region, means over which half selects. ``evaluated (%)``:
        the share of selected voxels that is above the threshold by all repeats as well, of which
        alone there are correlations.
    """
    threshold = results.profile().voxels.ceiling
    halves = selected_by_half(numbered_voxels(results, participant), threshold)
    r = mean_r(results.open(model, participant, condition, "alignment"))
    r = r.reindex(voxel=halves["voxel"])
    evaluated = halves["selected"] & r.notnull()
    mean = r.where(evaluated).mean("voxel")
    return _table(
        {
            "evaluated (%)": 100 * evaluated.sum("voxel") / halves["selected"].sum("voxel"),
            "r": mean,
            "r / ceiling, same half": mean / _root_mean_square(halves["same"], evaluated),
            "r / ceiling, other half": mean / _root_mean_square(halves["other"], evaluated),
        }
    )


def _root_mean_square(ceilings: xr.DataArray, selected: xr.DataArray) -> xr.DataArray:
    return (ceilings**2).where(selected).mean("voxel") ** 0.5


def _table(columns: dict[str, xr.DataArray]) -> pd.DataFrame:
    """Means over halves, a row per region."""
    return pd.DataFrame({name: values.mean("half").to_series() for name, values in columns.items()})
