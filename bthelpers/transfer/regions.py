"""What a ridge that is fitted anew predicts in each region: the measure of all transfer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bthelpers.encoding.alignment import (
    bootstrap_alignment,
    layer_alignment,
    normalized_alignment,
    predicted_responses,
)
from bthelpers.encoding.inputs import EncodingInputs
from bthelpers.params.settings import Profile
from bthelpers.statistics.correlation import pearson_r

Measure = Callable[[xr.DataArray, EncodingInputs], xr.Dataset]


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
    return _means(*predicted_responses(features, inputs), inputs)


def resampled_means(features: xr.DataArray, inputs: EncodingInputs) -> xr.Dataset:
    """`region_means` with ``r_draws`` (region, draw), of a bootstrap over blocks of TRs.

    Draws of models and participants are paired, as those of
    `bthelpers.encoding.alignment.bootstrap_alignment`.
    """
    predicted, actual = predicted_responses(features, inputs)
    statistics = inputs.statistics
    draws = bootstrap_alignment(
        predicted,
        actual,
        np.ones_like(inputs.ceiling),  # r is not divided by a noise ceiling
        inputs.regions,
        statistics.block,
        statistics.bootstrap_draws,
        inputs.seed,
    )
    return _means(predicted, actual, inputs).assign(r_draws=draws.astype(np.float32))


def resampled_alignment(features: xr.DataArray, inputs: EncodingInputs) -> xr.Dataset:
    """`region_means` with ``draws`` (region, draw) of the alignment, otherwise alike."""
    predicted, actual = predicted_responses(features, inputs)
    draws = layer_alignment(predicted, actual, inputs, tested=False)["draws"]
    return _means(predicted, actual, inputs).assign(draws=draws)


def _means(predicted: NDArray, actual: NDArray, inputs: EncodingInputs) -> xr.Dataset:
    r, masks = pearson_r(predicted, actual), inputs.regions.transpose("region", "voxel")
    alignment = [normalized_alignment(r, inputs.ceiling, mask) for mask in masks.values]
    means = [r[mask].mean() for mask in masks.values]
    return xr.Dataset(
        {"r": ("region", means), "alignment": ("region", alignment)},
        {"region": masks["region"].values},
    )


def mean_over_layers(
    layers: xr.DataArray, inputs: EncodingInputs, measure: Measure = region_means
) -> xr.Dataset:
    """Mean over layers (layer, tr, feature) of what each of them predicts."""
    found = [measure(features, inputs) for features in layers.transpose("layer", ...)]
    return xr.concat(found, dim="layer").mean("layer")


def layers_read(representation: xr.DataArray, parameters: Profile) -> xr.DataArray:
    """Layers from which responses are predicted: those of `transfer.layers`, or of `tuning.layer`.

    Parameters
    ----------
    representation : DataArray (layer, tr, feature)
    parameters : Profile
        Where neither says which, the last layer is taken.

    Raises
    ------
    ValueError
        If the model has no such layer.
    """
    there = representation["layer"].values.tolist()
    wanted = parameters.transfer.layers or (parameters.tuning.layer or there[-1],)
    if beyond := [layer for layer in wanted if layer not in there]:
        raise ValueError(
            f"the model has layers 0 to {there[-1]}, not {', '.join(map(str, beyond))}: change"
            " transfer.layers, or tuning.layer where that is null"
        )
    return representation.sel(layer=list(wanted))
