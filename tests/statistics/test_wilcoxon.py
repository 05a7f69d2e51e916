from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bthelpers.statistics.wilcoxon import wilcoxon_over_participants, wilcoxon_over_voxels


def signed_rank_by_hand(a, b):
    """Statistic and exact two-sided p-value by all assignments of signs; no ties, no zeros."""
    difference = np.subtract(a, b)
    ranks = stats.rankdata(np.abs(difference))
    statistic = min(ranks[difference > 0].sum(), ranks[difference < 0].sum())
    n = len(ranks)
    signs = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    sums = signs @ ranks
    return statistic, min(1.0, 2 * np.mean(sums <= statistic))


@pytest.mark.parametrize("n", [1, 3, 8, 11])
def test_signed_rank_test_agrees_with_enumeration(n):
    rng = np.random.default_rng(n)
    a, b = rng.normal(0.5, 1, n), rng.normal(0, 1, n)
    result = wilcoxon_over_participants(a, b)
    assert (result.statistic, result.p) == pytest.approx(signed_rank_by_hand(a, b))
    assert (result.n, result.over) == (n, "participants")


def test_three_participants_cannot_be_significant():
    assert wilcoxon_over_participants([0.3, 0.4, 0.5], [0.2, 0.2, 0.2]).p == pytest.approx(0.25)
    smallest = {n: wilcoxon_over_participants(np.arange(n) + 1.0, np.zeros(n)).p for n in (5, 6)}
    assert smallest[6] < 0.05 < smallest[5]


def test_over_voxels_counts_the_pairs_that_differ():
    rng = np.random.default_rng(0)
    a = rng.random(500)
    b = a + rng.normal(0.2, 0.3, 500)
    b[:100] = a[:100]
    result = wilcoxon_over_voxels(a, b)
    assert (result.n, result.over) == (400, "voxels")
    assert result.p < 1e-10
    assert wilcoxon_over_voxels(b, a) == result


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([0.1, 0.2], [0.1, 0.2], "nothing to rank"),
        ([], [], "nothing to rank"),
        ([0.1, np.nan], [0.2, 0.2], "not finite"),
        ([0.1, 0.2], [0.2], "cannot pair"),
        ([[0.1]], [[0.2]], "cannot pair"),
    ],
)
def test_signed_rank_test_refuses(a, b, message):
    for test in (wilcoxon_over_voxels, wilcoxon_over_participants):
        with pytest.raises(ValueError, match=message):
            test(a, b)
