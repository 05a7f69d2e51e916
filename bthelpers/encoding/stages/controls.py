"""Controls of a model's alignment: simple features, other splits, and dimensions of its layers."""

from __future__ import annotations

import xarray as xr

from bthelpers.core.progress import Progress
from bthelpers.encoding.alignment import evaluate_layers
from bthelpers.encoding.inputs import EncodingInputs
from bthelpers.encoding.stages.dimension import layer_dimensions
from bthelpers.encoding.stages.splits import split_correlation


def layer_controls(
    representations: xr.DataArray, baseline: xr.DataArray, inputs: EncodingInputs
) -> xr.Dataset:
    """Controls of the alignment of a model's layers.

    Parameters
    ----------
    representations : DataArray (layer, tr, feature)
        At all TRs, with the coordinate ``story``.
    baseline : DataArray (tr, feature)
        As of `bthelpers.encoding.stages.stimulus.rate_and_position`.
    inputs : EncodingInputs
        With those of the alignment, its draws and the baseline's are paired.

    Returns
    -------
    Dataset
        ``baseline_alignment`` (region) and its ``baseline_draws`` (region, draw): equation 1 of the
        baseline; ``r`` (split, layer, region) and ``baseline_r`` (split, region), as of
        `bthelpers.encoding.stages.splits.split_correlation`; and what
        `bthelpers.encoding.stages.dimension.layer_dimensions` gives.

    Raises
    ------
    ValueError
        As these do.
    """
    aligned = evaluate_layers(baseline.expand_dims(layer=1), inputs).isel(layer=0, drop=True)
    by_layer = []
    progress = Progress("splits, layers", representations.sizes["layer"])
    for layer in representations.transpose("layer", "tr", "feature"):
        by_layer.append(split_correlation(layer, inputs))
        progress.advance()
    controls = {
        "baseline_alignment": aligned["alignment"],
        "baseline_draws": aligned["draws"],
        "r": xr.concat(by_layer, representations["layer"]),
        "baseline_r": split_correlation(baseline, inputs),
    }
    return (
        xr.Dataset(controls)
        .merge(layer_dimensions(representations))
        .drop_vars("story", errors="ignore")
    )
