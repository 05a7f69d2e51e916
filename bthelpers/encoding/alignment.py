"""Brain alignment of every layer of a model, from representations and responses.

The steps of section 3.4.1 of the ICLR paper: delayed features, a voxelwise ridge on the training
stories, and the correlation of its prediction with the responses to the held-out story.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from bthelpers.core.progress import Progress
from bthelpers.core.timing import fir_delay, trim, zscore
from bthelpers.data.dataset import Dataset
from bthelpers.encoding.ridge import fit_ridge, story_folds
from bthelpers.params.settings import EncodingSettings, StatisticsSettings
from bthelpers.statistics.bootstrap import _VOXELS_AT_ONCE, _resampled_r, resampling_counts
from bthelpers.statistics.correlation import pearson_r
from bthelpers.statistics.permutation import permutation_p


@dataclass(frozen=True)
class StoryResponses:
    """Responses to some stories, one after another.

    Attributes
    ----------
    stories : list of str
    responses : float32 array of shape (tr, voxel)
        Standardised within each story.
    story_of_row : list of str
        The story of each row.
    """

    stories: list[str]
    responses: np.ndarray
    story_of_row: list[str]


def read_responses(
    dataset: Dataset, participant: str, stories: list[str], voxels: np.ndarray
) -> StoryResponses:
    """Read and standardise the responses of voxels, given by number, to the given stories.

    Each story goes to its rows of one array: to join pieces, they and the whole would be held.
    """
    lengths = [len(dataset.response_times(story)) for story in stories]
    responses = np.empty((sum(lengths), len(voxels)), np.float32)
    for rows, story in zip(np.split(responses, np.cumsum(lengths)[:-1]), stories, strict=True):
        rows[:] = zscore(dataset.responses(participant, story, voxels))
    return StoryResponses(list(stories), responses, np.repeat(stories, lengths).tolist())


def delayed_features(
    representation: xr.DataArray, stories: list[str], delays: tuple[int, ...]
) -> np.ndarray:
    """Features at each response row: delayed, trimmed, standardised within each story.

    Delays come before trimming, so that a story's first rows see the sound before them.

    Parameters
    ----------
    representation : DataArray (tr, feature)
        One layer at all TRs, with the coordinate ``story``.
    stories : list of str
    delays : tuple of int
        In TRs.

    Returns
    -------
    array of shape (tr, delay x feature), in the order of ``stories``

    Raises
    ------
    ValueError
        If the representation lacks a story.
    """
    values, story_of_tr = representation.values, representation["story"].values
    missing = set(stories) - set(story_of_tr)
    if missing:
        raise ValueError(f"the representation lacks the stories {', '.join(sorted(missing))}")
    return np.concatenate(
        [zscore(trim(fir_delay(values[story_of_tr == story], delays))) for story in stories]
    )


def rows_kept(test: StoryResponses, skip_rows: int) -> np.ndarray:
    """Boolean array (tr,): False for the first rows of each story."""
    return np.concatenate(
        [np.arange(test.story_of_row.count(story)) >= skip_rows for story in test.stories]
    )


def layer_alignment(
    predicted: np.ndarray,
    actual: np.ndarray,
    ceiling: np.ndarray,
    regions: xr.DataArray,
    statistics: StatisticsSettings,
    seed: int,
) -> xr.Dataset:
    """Brain alignment of one prediction.

    Returns
    -------
    Dataset
        ``r`` and its ``p`` (voxel), ``alignment`` (region) and its ``draws`` (region, draw).
    """
    r = pearson_r(predicted, actual)
    p = permutation_p(
        predicted, actual, statistics.permutation_block, statistics.permutations, seed
    )
    draws = bootstrap_alignment(
        predicted, actual, ceiling, regions, statistics.block, statistics.bootstrap_draws, seed
    )
    return xr.Dataset(
        {
            "r": ("voxel", r.astype(np.float32)),
            "p": ("voxel", p.astype(np.float32)),
            "alignment": (
                "region",
                [normalized_alignment(r, ceiling, mask) for mask in regions.values],
            ),
            "draws": draws.astype(np.float32),
        }
    )


def evaluate_layers(
    representations: xr.DataArray,
    training: StoryResponses,
    test: StoryResponses,
    ceiling: np.ndarray,
    regions: xr.DataArray,
    encoding: EncodingSettings,
    statistics: StatisticsSettings,
    seed: int,
) -> xr.Dataset:
    """Brain alignment of every layer (equation 1), with bootstrap draws.

    Parameters
    ----------
    representations : DataArray (layer, tr, feature)
        At all TRs, with the coordinate ``story``.
    training, test : StoryResponses
        Of voxels with a positive noise ceiling.
    ceiling : array of shape (voxel,)
    regions : bool DataArray (region, voxel)
    encoding, statistics : settings
    seed : int
        Of the bootstrap; one seed pairs the draws of two models.

    Returns
    -------
    Dataset
        ``r``, its ``p`` and ``alpha`` (layer, voxel), ``alignment`` (layer, region), ``draws``
        (layer, region, draw).
    """
    folds = story_folds(training.story_of_row, encoding.folds)
    kept = rows_kept(test, encoding.skip_test_rows)
    actual = test.responses[kept]
    layers = []
    progress = Progress("layers", representations.sizes["layer"])
    for features in representations.transpose("layer", ...):
        X, X_test = (
            delayed_features(features, split.stories, encoding.fir_delays)
            for split in (training, test)
        )
        model = fit_ridge(X, training.responses, folds, np.logspace(*encoding.alphas))
        predicted = model.predict(X_test)[kept]
        layer = layer_alignment(predicted, actual, ceiling, regions, statistics, seed)
        layers.append(layer.assign(alpha=("voxel", model.best_alphas_.astype(np.float32))))
        progress.advance()
    return xr.concat(layers, dim="layer").assign_coords(layer=representations["layer"].values)


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
        TRs of a block (the last one may be shorter): longer than the responses' autocorrelation.
    n_draws : int
        Number of draws.
    seed : int
        Seed of the draws.

    Returns
    -------
    DataArray with dims (region, draw)

    Raises
    ------
    ValueError
        As `normalized_alignment`, or if there are fewer than two blocks.
    """
    predicted, actual = np.asarray(predicted), np.asarray(actual)
    masks = masks.transpose("region", "voxel")
    weights = np.stack([_voxel_weights(ceiling, mask) for mask in masks.values])
    _check_correlations(pearson_r(predicted, actual), weights.sum(axis=0))
    if not 1 <= block < len(actual):
        raise ValueError(
            f"{len(actual)} TRs hold fewer than two blocks of {block}: use shorter blocks"
        )
    starts = np.arange(0, len(actual), block)
    counts = resampling_counts(len(starts), n_draws, seed)
    voxels = np.flatnonzero(weights.any(axis=0))
    alignment = np.zeros((len(masks), n_draws))
    for first in range(0, len(voxels), _VOXELS_AT_ONCE):
        some = voxels[first : first + _VOXELS_AT_ONCE]
        r = _resampled_r(predicted[:, some], actual[:, some], starts, counts)
        alignment += weights[:, some] @ r.T
    coords = {"region": masks["region"], "draw": np.arange(n_draws)}
    return xr.DataArray(alignment, coords, dims=("region", "draw"), name="alignment")
