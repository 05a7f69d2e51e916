"""Brain alignment of every layer of a model: equation 1 of the ICLR paper, section 3.4.1.

Delayed features predict the responses to the training stories by a voxelwise ridge; its prediction
is correlated with the responses to the held-out story. Equation 1, `normalized_alignment`, is the
mean over a region's voxels of this correlation divided by the noise ceiling.
"""

from __future__ import annotations

import warnings

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from bthelpers.core.progress import Progress
from bthelpers.encoding.inputs import EncodingInputs, delayed_features
from bthelpers.encoding.ridge import (
    EDGES,
    FittedRidge,
    edge_shares,
    fit_ridge,
    fit_validated_ridge,
    story_folds,
)
from bthelpers.statistics.bootstrap import resampling_counts
from bthelpers.statistics.correlation import pearson_r
from bthelpers.statistics.permutation import permutation_p

# Voxels resampled at once: two thousand draws of them are 2 MB in float64, which a cache holds.
_VOXELS_AT_ONCE = 128
# Share of (layer, voxel) pairs at an edge of the penalties, above which a warning is given.
EDGE_LIMIT = 0.02


def layer_alignment(
    predicted: np.ndarray, actual: np.ndarray, inputs: EncodingInputs, tested: bool
) -> xr.Dataset:
    """Brain alignment of one prediction.

    Returns
    -------
    Dataset
        ``r`` and, if it is to be tested, its ``p`` (voxel), ``alignment`` (region) and its
        ``draws`` (region, draw).
    """
    ceiling, regions, seed = inputs.ceiling, inputs.regions, inputs.seed
    statistics = inputs.statistics
    r = pearson_r(predicted, actual)
    draws = bootstrap_alignment(
        predicted, actual, ceiling, regions, statistics.block, statistics.bootstrap_draws, seed
    )
    alignment = [normalized_alignment(r, ceiling, mask) for mask in regions.values]
    found = xr.Dataset(
        {
            "r": ("voxel", r.astype(np.float32)),
            "alignment": ("region", alignment),
            "draws": draws.astype(np.float32),
        }
    )
    if not tested:
        return found
    block, n_permutations = statistics.permutation_block, statistics.permutations
    p = permutation_p(predicted, actual, block, n_permutations, seed)
    return found.assign(p=("voxel", p.astype(np.float32)))


def evaluate_layers(
    representations: xr.DataArray, inputs: EncodingInputs, tested: bool = True
) -> xr.Dataset:
    """Brain alignment of every layer (equation 1), with bootstrap draws.

    Parameters
    ----------
    representations : DataArray (layer, tr, feature)
        At all TRs, with the coordinate ``story``.
    inputs : EncodingInputs
        Responses, voxels and settings, as of `bthelpers.encoding.inputs.read_inputs`.
    tested : bool, optional
        Whether every voxel's correlation is tested by permutation of blocks of TRs.

    Returns
    -------
    Dataset
        ``r``, its ``p`` if tested, and ``alpha``, the penalty per column (layer, voxel),
        ``alignment`` (layer, region), ``draws`` (layer, region, draw), and ``edge_share`` (layer,
        edge), as of `bthelpers.encoding.ridge.edge_shares`. Voxels are labelled as in `inputs`.

    Warns
    -----
    UserWarning
        If more than 2 % of all (layer, voxel) pairs choose the smallest penalty or the largest one.

    Examples
    --------
    Three voxels that follow the three features of layer 1, a TR later, and as much noise:

    >>> from bthelpers.encoding.inputs import StoryResponses
    >>> from bthelpers.params.settings import EncodingSettings, StatisticsSettings
    >>> rng = np.random.default_rng(0)
    >>> values = rng.normal(size=(2, 180, 3))
    >>> representations = xr.DataArray(
    ...     values,
    ...     {"layer": [0, 1], "story": ("tr", np.repeat(["one", "two", "new"], 60))},
    ...     ("layer", "tr", "feature"),
    ... )
    >>> training, test = (
    ...     StoryResponses(
    ...         stories,
    ...         delayed_features(representations[1], stories, delays=(1,))
    ...         + rng.normal(size=(45 * len(stories), 3)),
    ...         np.repeat(stories, 45).tolist(),
    ...     )
    ...     for stories in (["one", "two"], ["new"])
    ... )
    >>> inputs = EncodingInputs(
    ...     training,
    ...     test,
    ...     ceiling=np.full(3, 0.8),
    ...     regions=xr.DataArray([[True] * 3], {"region": ["all"]}, ("region", "voxel")),
    ...     encoding=EncodingSettings((1, 2), (-2, 4, 7), "training", folds=2, skip_test_rows=0),
    ...     statistics=StatisticsSettings(20, block=5, permutations=20, permutation_block=5),
    ...     seed=0,
    ... )
    >>> alignment = evaluate_layers(representations, inputs)["alignment"]
    >>> alignment.sel(layer=1).values.round(2)
    array([0.78])
    """
    layers = []
    progress = Progress("layers", representations.sizes["layer"])
    for features in representations.transpose("layer", ...):
        model, predicted, actual = _predicted(features, inputs)
        n_columns = len(model.coef_)
        alphas = n_columns * np.logspace(*inputs.encoding.alphas)
        layer = layer_alignment(predicted, actual, inputs, tested)
        alpha = (model.best_alphas_ / n_columns).astype(np.float32)
        edge_share = ("edge", edge_shares(model, alphas))
        layers.append(layer.assign(alpha=("voxel", alpha), edge_share=edge_share))
        progress.advance()
    labels = {
        "layer": representations["layer"].values,
        "voxel": inputs.regions["voxel"].values,
        "edge": list(EDGES),
    }
    aligned = xr.concat(layers, dim="layer").assign_coords(labels)
    _warn_of_edges(aligned["edge_share"].mean("layer"))
    return aligned


def predicted_r(features: xr.DataArray, inputs: EncodingInputs) -> NDArray[np.float64]:
    """Correlation over time of prediction and response, voxel by voxel, of one layer.

    The measure of BrainWavLM (Vattikonda et al., 2025), without tests and noise ceiling.

    Parameters
    ----------
    features : DataArray (tr, feature)
        One layer at all TRs, with the coordinate ``story``.
    inputs : EncodingInputs

    Returns
    -------
    array of shape (voxel,)
        NaN where a prediction is constant.
    """
    return pearson_r(*predicted_responses(features, inputs))


def predicted_responses(features: xr.DataArray, inputs: EncodingInputs) -> tuple[NDArray, NDArray]:
    """What one layer (tr, feature) predicts of test rows, and the responses: each (tr, voxel)."""
    return _predicted(features, inputs)[1:]


def _predicted(
    features: xr.DataArray, inputs: EncodingInputs
) -> tuple[FittedRidge, NDArray, NDArray]:
    """A layer's encoding model, and its prediction of test rows (tr, voxel) with the responses."""
    test, encoding = inputs.test, inputs.encoding
    rows = [np.arange(test.story_of_row.count(story)) for story in test.stories]
    kept = np.concatenate(rows) >= encoding.skip_test_rows  # of each story
    X_test = delayed_features(features, test.stories, encoding.fir_delays)
    model = _fit(features, inputs, X_test.shape[1] * np.logspace(*encoding.alphas))
    return model, model.predict(X_test)[kept], test.responses[kept]


def _fit(features: xr.DataArray, inputs: EncodingInputs, alphas: NDArray) -> FittedRidge:
    """Fit a layer to the training stories, with penalties that these or others choose."""
    training, validation, encoding = inputs.training, inputs.validation, inputs.encoding
    X = delayed_features(features, training.stories, encoding.fir_delays)
    if validation is None:
        folds = story_folds(training.story_of_row, encoding.folds)
        return fit_ridge(X, training.responses, folds, alphas)
    X_validation = delayed_features(features, validation.stories, encoding.fir_delays)
    return fit_validated_ridge(X, training.responses, X_validation, validation.responses, alphas)


def _warn_of_edges(shares: xr.DataArray) -> None:
    for edge, change in zip(EDGES, ("begin lower", "reach higher"), strict=False):
        if (share := shares.sel(edge=edge).item()) > EDGE_LIMIT:
            warnings.warn(
                f"{share:.1%} of all layers' voxels choose the penalty at the {edge}:"
                f" let encoding.alphas of the profile {change}",
                stacklevel=3,
            )


def normalized_alignment(r: ArrayLike, ceiling: ArrayLike, mask: ArrayLike) -> float:
    """Normalised brain alignment of a region, equation (1): the mean of r / ceiling.

    Parameters
    ----------
    r : array of shape (n_voxels,)
        Correlation of prediction and response on the held-out story.
    ceiling : array of shape (n_voxels,)
        Noise ceilings.
    mask : bool array of shape (n_voxels,)
        Voxels of the region.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If shapes differ, the region is empty, or a voxel in it has no positive ceiling or no
        correlation.

    Examples
    --------
    >>> normalized_alignment(r=[0.2, 0.3, 0.1], ceiling=[0.5, 0.6, 0.4], mask=[True, True, False])
    0.45
    """
    r = np.asarray(r, dtype=np.float64)
    weights = _voxel_weights(ceiling, mask)
    _check_correlations(r, weights)
    region = weights > 0
    return float(r[region] @ weights[region])


def _voxel_weights(ceiling: ArrayLike, mask: ArrayLike) -> NDArray[np.float64]:
    """Weights w of equation (1), with which the alignment is the sum of w * r over voxels."""
    ceiling, mask = np.asarray(ceiling, dtype=np.float64), np.asarray(mask)
    if mask.dtype != bool or ceiling.ndim != 1 or mask.shape != ceiling.shape:
        raise ValueError(
            f"the mask is {mask.dtype} of shape {mask.shape}: it must be bool {ceiling.shape}"
        )
    if not mask.any():
        raise ValueError("the region has no voxel: its alignment is not defined")
    unusable = mask & ~(ceiling > 0)
    if unusable.any():
        raise ValueError(
            f"{unusable.sum()} of {mask.sum()} voxels of the region have no positive noise "
            "ceiling: select voxels above a threshold first"
        )
    weights = np.zeros(len(ceiling))
    weights[mask] = 1 / ceiling[mask] / mask.sum()
    return weights


def _check_correlations(r: NDArray[np.float64], weights: NDArray[np.float64]) -> None:
    if r.shape != weights.shape:
        raise ValueError(f"{r.shape} correlations do not match {weights.shape} noise ceilings")
    undefined = np.isnan(r) & (weights > 0)
    if undefined.any():
        raise ValueError(
            f"{undefined.sum()} of {(weights > 0).sum()} voxels have no correlation (prediction or "
            "response is constant or NaN): leave them out of the region"
        )


def bootstrap_alignment(
    predicted: ArrayLike,
    actual: ArrayLike,
    ceiling: ArrayLike,
    masks: xr.DataArray,
    block: int,
    n_draws: int,
    seed: int,
) -> xr.DataArray:
    """Normalised alignment of regions, resampled over blocks of TRs of the held-out story.

    Each draw takes as many blocks of consecutive TRs as there are, with replacement, and computes
    equation (1) on them. The blocks drawn depend only on `seed`, `n_draws`, `block` and the number
    of TRs, so draws of two models or conditions are paired and may be subtracted.

    Parameters
    ----------
    predicted, actual : array of shape (n_trs, n_voxels)
        Predictions and responses.
    ceiling : array of shape (n_voxels,)
        Noise ceilings.
    masks : bool DataArray with dims (region, voxel)
        Voxels of each region.
    block : int
        TRs of a block: several times what responses are autocorrelated over. The story is cut into
        the number of nearly equal blocks that comes nearest.
    n_draws : int
        Number of draws.
    seed : int
        Seed of the draws.

    Returns
    -------
    DataArray with dims (region, draw)
        The coordinate ``n_drawn`` (draw) is the number of blocks in a draw.

    Raises
    ------
    ValueError
        As `normalized_alignment`, or if there are fewer than two blocks.
    """
    predicted, actual = np.asarray(predicted), np.asarray(actual)
    masks = masks.transpose("region", "voxel")
    weights = np.stack([_voxel_weights(ceiling, mask) for mask in masks.values])
    _check_correlations(pearson_r(predicted, actual), weights.sum(axis=0))
    n_trs, n_blocks = len(actual), round(len(actual) / block)
    if n_blocks < 2:
        raise ValueError(f"{n_trs} TRs hold fewer than two blocks of {block}: use shorter blocks")
    starts = np.linspace(0, n_trs, n_blocks + 1).astype(int)[:-1]
    counts = resampling_counts(len(starts), n_draws, seed)
    voxels = np.flatnonzero(weights.any(axis=0))
    alignment = np.zeros((len(masks), n_draws))
    for first in range(0, len(voxels), _VOXELS_AT_ONCE):
        some = voxels[first : first + _VOXELS_AT_ONCE]
        r = _resampled_r(predicted[:, some], actual[:, some], starts, counts)
        alignment += weights[:, some] @ r.T
    coords = {
        "region": masks["region"],
        "draw": np.arange(n_draws),
        "n_drawn": ("draw", np.full(n_draws, n_blocks, np.int32)),
    }
    return xr.DataArray(alignment, coords, dims=("region", "draw"), name="alignment")


def _resampled_r(
    predicted: NDArray, actual: NDArray, starts: NDArray, counts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Correlations (draw, voxel) from sums over blocks, without forming the resampled series."""
    n_trs = counts @ np.diff(starts, append=len(actual))

    def mean(x: NDArray) -> NDArray:
        return counts @ np.add.reduceat(x, starts, axis=0) / n_trs[:, None]

    # Centred and in float64, or the differences of moments below would cancel digits.
    p = predicted - predicted.mean(axis=0, dtype=np.float64)
    y = actual - actual.mean(axis=0, dtype=np.float64)
    covariance = mean(p * y) - mean(p) * mean(y)
    variances = (mean(p * p) - mean(p) ** 2) * (mean(y * y) - mean(y) ** 2)
    return covariance / np.sqrt(variances)
