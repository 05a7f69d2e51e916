"""Significance of each voxel's correlation, by permuting blocks of TRs.

Section 3.4.1 of Moussa et al. (ICLR 2025) tests with the Wilcoxon signed-rank test, which is in
`bthelpers.statistics.wilcoxon`. Here is the test of single voxels, which the
paper lacks.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft

from bthelpers.core.timing import zscore
from bthelpers.statistics.correlation import pearson_r

LEVEL = 0.05  # of every test, and of the false discovery rate
# Voxels handled at once: a thousand draws of them are 1 MB in float64, which a cache holds.
_VOXELS_AT_ONCE = 128


def permutation_p(
    predicted: ArrayLike, actual: ArrayLike, block: int, n_draws: int, seed: int
) -> NDArray[np.float64]:
    """p-value of each voxel's correlation, against responses whose blocks of TRs are permuted.

    The responses are closed to a circle and cut, from a random TR on, into blocks of about `block`
    TRs, which take each other's places at random. With r' the correlation after that::

        p = (1 + number of r' >= r) / (1 + n_draws)

    Successive TRs are alike, but not across the border of two blocks. Hence r' varies less than r
    does by chance: with short blocks, which have many borders, too many voxels seem aligned. One
    block, turned around the circle, has a single border but no more arrangements than the story
    has TRs. Blocks of about 50 TRs find 5 % of unrelated voxels (`book/06_significance.md`), and
    five of them have thousands of arrangements.

    Parameters
    ----------
    predicted, actual : array of shape (n_trs, n_voxels)
        Predictions and responses.
    block : int
        TRs of a block. The story is cut into the number of nearly equal blocks that comes nearest:
        one if it is short.
    n_draws : int
        Number of arrangements drawn, the same ones for all voxels.
    seed : int
        Seed of the draws.

    Returns
    -------
    array of shape (n_voxels,)
        One-sided: small where prediction and response are positively correlated. NaN where
        `pearson_r` is: either is constant, or NaN somewhere.

    Raises
    ------
    ValueError
        If the shapes differ, or `block` or `n_draws` is below 1.
    """
    predicted, actual = np.asarray(predicted), np.asarray(actual)
    lengths = _block_lengths(len(actual), block, n_draws)
    undefined = np.isnan(pearson_r(predicted, actual))
    lags = _block_lags(lengths, n_draws, np.random.default_rng(seed))
    p = np.empty(predicted.shape[1])
    for first in range(0, len(p), _VOXELS_AT_ONCE):
        some = slice(first, first + _VOXELS_AT_ONCE)
        x, y = (zscore(series[:, some].astype(np.float64)) for series in (predicted, actual))
        products = _lagged_products(x, y, lengths, lags)
        p[some] = (products >= products[0]).mean(axis=0)
    return np.where(undefined, np.nan, p)


def block_orders(n_trs: int, block: int, n_draws: int, seed: int) -> NDArray[np.int64]:
    """Orders of TRs whose blocks took each other's places on a circle, as of `permutation_p`.

    Parameters
    ----------
    n_trs, block, n_draws, seed : int
        As of `permutation_p`.

    Returns
    -------
    array of shape (1 + n_draws, n_trs)
        Permutations of ``arange(n_trs)``; the first one leaves all TRs where they are.

    Raises
    ------
    ValueError
        If `block` or `n_draws` is below 1.
    """
    lengths = _block_lengths(n_trs, block, n_draws)
    lags = _block_lags(lengths, n_draws, np.random.default_rng(seed))
    return (np.arange(n_trs) + np.repeat(lags, lengths, axis=1)) % n_trs


def _block_lengths(n_trs: int, block: int, n_draws: int) -> NDArray[np.int64]:
    if min(block, n_draws) < 1:
        raise ValueError(f"{n_draws} draws of blocks of {block} TRs: give one or more of each")
    n_blocks = max(round(n_trs / block), 1)
    return np.diff(np.linspace(0, n_trs, n_blocks + 1).astype(int))


def _block_lags(lengths: NDArray, n_draws: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """How many TRs after a block of predictions its responses are found: (1 + draw, block).

    The first row is of the responses as they are. In the others, responses from a random TR on are
    dealt to the blocks in random order: to each as many as it has predictions.
    """
    n_trs, starts = lengths.sum(), np.cumsum(lengths) - lengths
    order = rng.permuted(np.tile(np.arange(len(lengths)), (n_draws, 1)), axis=1)
    dealt = lengths[order]
    found = rng.integers(n_trs, size=(n_draws, 1)) + np.cumsum(dealt, axis=1) - dealt
    lags = np.zeros((1 + n_draws, len(lengths)), dtype=np.int64)
    np.put_along_axis(lags[1:], order, (found - starts[order]) % n_trs, axis=1)
    return lags


def _lagged_products(
    x: NDArray, y: NDArray, lengths: NDArray, lags: NDArray
) -> NDArray[np.float64]:
    """Sums (draw, voxel) of x times y where each block of x meets y at a lag, on a circle.

    For each block of x, one Fourier transform gives the sums at all lags, of which draws take one.
    """
    edges = np.concatenate([[0], np.cumsum(lengths)])
    spectrum = fft.rfft(y, axis=0)
    sums = np.zeros((len(lags), x.shape[1]))
    for (start, stop), lag in zip(pairwise(edges), lags.T, strict=True):
        of_block = np.zeros_like(x)
        of_block[start:stop] = x[start:stop]
        at_lags = fft.irfft(fft.rfft(of_block, axis=0).conj() * spectrum, n=len(x), axis=0)
        sums += at_lags[lag]
    return sums
