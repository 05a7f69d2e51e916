import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bthelpers.claims.null_studies import rejection_rates
from bthelpers.core.signals import autocorrelated_noise
from bthelpers.statistics import permutation as significance
from bthelpers.statistics.permutation import block_orders, permutation_p


def story(n_trs=53, n_voxels=9, seed=0):
    rng = np.random.default_rng(seed)
    actual = rng.normal(50, 2, size=(n_trs, n_voxels))
    return 0.1 * actual + rng.standard_normal((n_trs, n_voxels)), actual


def arrangements(n_trs, block, n_draws, seed):
    """Which response each TR's prediction meets, (draw, tr), and the blocks' lengths."""
    n_blocks = max(round(n_trs / block), 1)
    lengths = np.diff(np.linspace(0, n_trs, n_blocks + 1).astype(int))
    lags = significance._block_lags(lengths, n_draws, np.random.default_rng(seed))
    return (np.arange(n_trs) + np.repeat(lags, lengths, axis=1)) % n_trs, lengths


@settings(max_examples=50)
@given(n_trs=st.integers(2, 70), block=st.integers(1, 80), seed=st.integers(0, 99))
def test_each_arrangement_permutes_blocks_of_a_circle(n_trs, block, seed):
    rows, lengths = arrangements(n_trs, block, 20, seed)
    assert lengths.sum() == n_trs
    assert np.ptp(lengths) <= 1
    assert len(lengths) == 1 or abs(n_trs / len(lengths) - block) <= block
    np.testing.assert_array_equal(rows[0], np.arange(n_trs))
    np.testing.assert_array_equal(np.sort(rows, axis=1), np.tile(np.arange(n_trs), (21, 1)))
    breaks = (np.diff(rows, axis=1, append=rows[:, :1]) % n_trs != 1 % n_trs).sum(axis=1)
    assert (breaks <= len(lengths)).all()


def test_every_order_and_place_of_blocks_is_drawn():
    rows, _ = arrangements(7, 2, 20_000, seed=0)  # 4 blocks; 7 places x 3! orders on a circle
    found, counts = np.unique(rows[1:], axis=0, return_counts=True)
    assert len(found) == 7 * 6
    assert stats.chisquare(counts).pvalue > 0.001


@pytest.mark.parametrize(("n_trs", "block"), [(53, 10), (60, 10), (12, 1), (17, 10), (9, 50)])
def test_p_agrees_with_correlating_rearranged_responses(n_trs, block, monkeypatch):
    monkeypatch.setattr(significance, "_VOXELS_AT_ONCE", 4)
    predicted, actual = story(n_trs)
    p = permutation_p(predicted, actual, block, 99, seed=3)
    rows, _ = arrangements(n_trs, block, 99, seed=3)
    for voxel in range(9):
        null = [np.corrcoef(predicted[:, voxel], actual[row, voxel])[0, 1] for row in rows[1:]]
        r = np.corrcoef(predicted[:, voxel], actual[:, voxel])[0, 1]
        assert p[voxel] == (1 + np.sum(np.array(null) >= r - 1e-12)) / 100


def test_p_is_exact_at_its_ends():
    _, actual = story(n_trs=101)
    rows, _ = arrangements(101, 20, 200, seed=0)
    n_same = (rows == rows[0]).all(axis=1).sum()  # the first, and any draw that moves nothing
    np.testing.assert_array_equal(permutation_p(actual, actual, 20, 200, 0), n_same / 201)
    np.testing.assert_array_equal(permutation_p(-actual, actual, 20, 200, 0), 1)


def test_p_depends_on_the_seed_and_on_no_scale_and_no_other_voxel():
    predicted, actual = story()
    p = permutation_p(predicted, actual, 10, 300, seed=0)
    np.testing.assert_array_equal(permutation_p(predicted, actual, 10, 300, seed=0), p)
    assert (permutation_p(predicted, actual, 10, 300, seed=1) != p).any()
    some = [4, 1]
    np.testing.assert_array_equal(
        permutation_p(7 * predicted[:, some] - 3, actual[:, some] / 9, 10, 300, seed=0), p[some]
    )
    single = np.float32(predicted + 1000), np.float32(actual + 1000)
    exact = permutation_p(*(np.float64(x) for x in single), 10, 300, seed=0)
    np.testing.assert_array_equal(permutation_p(*single, 10, 300, seed=0), exact)


def test_voxels_without_a_correlation_have_no_p():
    predicted, actual = story()
    p = permutation_p(predicted, actual, 10, 50, seed=0)
    predicted[:, 2], actual[5, 4], actual[:, 7] = 0.1, np.nan, 3
    again = permutation_p(predicted, actual, 10, 50, seed=0)
    assert np.flatnonzero(np.isnan(again)).tolist() == [2, 4, 7]
    np.testing.assert_array_equal(np.delete(again, [2, 4, 7]), np.delete(p, [2, 4, 7]))


def test_permutation_refuses():
    predicted, actual = story()
    with pytest.raises(ValueError, match="cannot correlate"):
        permutation_p(predicted[1:], actual, 10, 9, seed=0)
    with pytest.raises(ValueError, match="9 draws of blocks of 0 TRs"):
        permutation_p(predicted, actual, 0, 9, seed=0)
    with pytest.raises(ValueError, match="0 draws of blocks of 10 TRs"):
        permutation_p(predicted, actual, 10, 0, seed=0)


def rate(p, level=0.05):
    """Share of p-values up to a level, and its 95 % binomial interval."""
    return rejection_rates({"test": p <= level}).loc["test", ["rate", "low", "high"]] / 100


@pytest.mark.parametrize("coefficient", [0.4, 0.7])
@pytest.mark.parametrize("level", [0.05, 0.01])
def test_permuting_long_blocks_finds_as_many_unrelated_voxels_as_it_should(coefficient, level):
    rng = np.random.default_rng(0)
    predicted = autocorrelated_noise((240, 4000), 0.8, rng)
    actual = autocorrelated_noise((240, 4000), coefficient, rng)
    found = rate(permutation_p(predicted, actual, 50, 500, seed=0), level)
    assert found["low"] <= level <= found["high"]


def test_permuting_short_blocks_finds_too_many_unrelated_voxels():
    rng = np.random.default_rng(0)
    predicted = autocorrelated_noise((240, 4000), 0.8, rng)
    actual = autocorrelated_noise((240, 4000), 0.7, rng)
    assert rate(permutation_p(predicted, actual, 10, 500, seed=0))["low"] > 0.05


@given(st.integers(1, 60), st.integers(1, 20), st.integers(1, 5), st.integers(0, 9))
def test_orders_hold_every_tr_once_and_the_first_is_as_it_was(n_trs, block, n_draws, seed):
    orders = block_orders(n_trs, block, n_draws, seed)
    assert orders.shape == (1 + n_draws, n_trs)
    np.testing.assert_array_equal(orders[0], np.arange(n_trs))
    np.testing.assert_array_equal(np.sort(orders, axis=1), np.tile(orders[0], (1 + n_draws, 1)))


def test_p_values_are_those_of_the_orders():
    predicted, actual = np.random.default_rng(0).normal(size=(2, 31, 3))
    products = [
        [stats.pearsonr(predicted[:, k], actual[order, k]).statistic for k in range(3)]
        for order in block_orders(31, 7, 40, seed=5)
    ]
    expected = np.mean(np.array(products) >= np.array(products[0]) - 1e-12, axis=0)
    np.testing.assert_allclose(permutation_p(predicted, actual, 7, 40, seed=5), expected)


def test_correlated_voxels_without_alignment_are_seldom_discovered():
    n_participants, n_voxels = 200, 25
    rng = np.random.default_rng(0)
    predicted, actual = (
        autocorrelated_noise((240, n_participants, 1), coefficient, rng)
        + autocorrelated_noise((240, n_participants, n_voxels), coefficient, rng)
        for coefficient in (0.8, 0.4)
    )
    p = permutation_p(predicted.reshape(240, -1), actual.reshape(240, -1), 50, 1000, seed=0)
    adjusted = stats.false_discovery_control(p.reshape(n_participants, n_voxels), axis=1)
    assert rate(adjusted.min(axis=1))["low"] <= 0.05


def test_permutation_finds_related_voxels():
    rng = np.random.default_rng(0)
    predicted = autocorrelated_noise((240, 200), 0.8, rng)
    actual = 0.5 * predicted + autocorrelated_noise((240, 200), 0.4, rng)
    assert (permutation_p(predicted, actual, 50, 500, seed=0) < 0.01).mean() > 0.95
