"""Normalised brain alignment of a region, its uncertainty and its tests.

Section 3.4.1 of Moussa et al. (ICLR 2025). The paper tests with the Wilcoxon signed-rank test but
does not say whether over voxels or over participants: both are here, and a result says which.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from bthelpers.encoding import pearson_r

# Voxels resampled at once: a thousand draws of them are 16 MB in float64.
_VOXELS_AT_ONCE = 2048


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


def resampling_counts(n_items: int, n_draws: int, seed: int) -> NDArray[np.float64]:
    """How often each item is in each bootstrap draw of as many, with replacement: (draw, item)."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(n_items, np.full(n_items, 1 / n_items), size=n_draws).astype(float)


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


def interval(draws: xr.DataArray, level: float = 0.95) -> xr.DataArray:
    """Percentile interval over bootstrap draws.

    Parameters
    ----------
    draws : DataArray with dim draw
        Bootstrap draws of anything: an alignment, a difference, a percent change.
    level : float
        Coverage.

    Returns
    -------
    DataArray with dim bound ("low", "high") in place of draw
        NaN where a draw is NaN.
    """
    tail = (1 - level) / 2
    bounds = draws.quantile([tail, 1 - tail], dim="draw", skipna=False)
    return bounds.rename(quantile="bound").assign_coords(bound=["low", "high"])


def percent_change(new: ArrayLike, old: ArrayLike) -> ArrayLike:
    """Change in percent of the old value, ``100 * (new - old) / old``, element by element.

    Parameters
    ----------
    new, old : number, array or DataArray
        Alignments; of DataArrays, paired by label.

    Returns
    -------
    number, array or DataArray
        NaN where the old value is not positive: a percentage of it would mean nothing.
    """
    defined = xr.where(old > 0, 1.0, np.nan)
    return 100 * (new - old) / (old * defined)


@dataclass(frozen=True)
class SignedRankTest:
    """Two-sided Wilcoxon signed-rank test of paired values.

    Parameters
    ----------
    statistic : float
        The smaller sum of ranks.
    p : float
        p-value.
    n : int
        Pairs that were ranked: those that differ.
    over : str
        What the pairs are, "voxels" or "participants".
    """

    statistic: float
    p: float
    n: int
    over: str


def wilcoxon_over_voxels(a: ArrayLike, b: ArrayLike) -> SignedRankTest:
    """Test the difference of two conditions within a participant, over the voxels of a region.

    Neighbouring voxels are not independent, so the p-value is smaller than it should be, and it
    says nothing about other participants.

    Parameters
    ----------
    a, b : array of shape (n_voxels,)
        The conditions' r / ceiling.

    Returns
    -------
    SignedRankTest

    Raises
    ------
    ValueError
        If shapes differ, a value is not finite, or no pair differs.
    """
    return _signed_rank(a, b, "voxels")


def wilcoxon_over_participants(a: ArrayLike, b: ArrayLike) -> SignedRankTest:
    """Test the difference of two conditions over participants.

    With n participants the smallest possible p-value is 2 / 2**n: fewer than six cannot reach
    0.05.

    Parameters
    ----------
    a, b : array of shape (n_participants,)
        The conditions' normalised alignments.

    Returns
    -------
    SignedRankTest

    Raises
    ------
    ValueError
        If shapes differ, a value is not finite, or no pair differs.
    """
    return _signed_rank(a, b, "participants")


def _signed_rank(a: ArrayLike, b: ArrayLike, over: str) -> SignedRankTest:
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"cannot pair {over} of shapes {a.shape} and {b.shape}")
    if not np.isfinite([a, b]).all():
        raise ValueError(f"values of some {over} are not finite: leave those out of both")
    n = int(np.count_nonzero(a - b))
    if n == 0:
        raise ValueError(f"no {over} differ between the conditions: there is nothing to rank")
    result = stats.wilcoxon(a, b)
    return SignedRankTest(float(result.statistic), float(result.pvalue), n, over)
