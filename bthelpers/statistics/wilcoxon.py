"""Wilcoxon signed-rank tests.

Section 3.4.1 of Moussa et al. (ICLR 2025) tests alignment by them, but does not say whether over
voxels or over participants: both are here, and a result says which.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from bthelpers.statistics.permutation import LEVEL

Pair = tuple[ArrayLike, ArrayLike]  # values of the same voxels in two conditions


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


def wilcoxon_over_means(pairs: Sequence[Pair]) -> SignedRankTest:
    """Test over participants the means over voxels; `pairs` are as of `wilcoxon_where_enough`."""
    return wilcoxon_over_participants(*np.transpose([[np.mean(a), np.mean(b)] for a, b in pairs]))


def wilcoxon_where_enough(pairs: Sequence[Pair]) -> SignedRankTest:
    """Test over participants where these are enough, else over all of their voxels together.

    Six participants are enough for p to fall to 0.05. Over voxels it is too small, as
    `wilcoxon_over_voxels` says.

    Parameters
    ----------
    pairs : sequence of pairs of arrays (n_voxels,)
        One per participant: the voxels' values in both conditions.

    Returns
    -------
    SignedRankTest

    Raises
    ------
    ValueError
        As of the tests.
    """
    if 2 / 2 ** len(pairs) <= LEVEL:
        return wilcoxon_over_means(pairs)
    return wilcoxon_over_voxels(*map(np.concatenate, zip(*pairs, strict=True)))


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
