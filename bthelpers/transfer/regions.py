"""What a ridge that is fitted anew predicts in each region: the measure of all transfer."""

from __future__ import annotations

import xarray as xr

from bthelpers.encoding.alignment import normalized_alignment, predicted_r
from bthelpers.encoding.inputs import EncodingInputs


def region_means(features: xr.DataArray, inputs: EncodingInputs) -> xr.Dataset:
    """Prediction of held-out stories in each region, from one layer of a model.

    Parameters
    ----------
    features : DataArray (tr, feature)
        At all TRs, with the coordinate ``story``.
    inputs : EncodingInputs

    Returns
    -------
    Dataset
        ``r`` (region), the mean over voxels of the correlation over time (BrainWavLM's measure),
        and ``alignment`` (region), of that over the noise ceiling (ICLR paper, equation 1).

    Raises
    ------
    ValueError
        If a region holds no voxel, or one whose prediction is constant.
    """
    r = predicted_r(features, inputs)
    masks = inputs.regions.transpose("region", "voxel")
    alignment = [normalized_alignment(r, inputs.ceiling, mask) for mask in masks.values]
    means = [r[mask].mean() for mask in masks.values]
    return xr.Dataset(
        {"r": ("region", means), "alignment": ("region", alignment)},
        {"region": masks["region"].values},
    )
