from itertools import permutations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bthelpers.statistics.curves import (
    centre_of_mass,
    first_reaching,
    layer_of_maximum,
    order_p,
    rank_correlation,
    rise_to_last,
    successive_variance,
)

CURVES = st.lists(st.integers(-50, 50), min_size=2, max_size=9).filter(lambda c: len(set(c)) > 1)


def over_layers(values, first=1):
    values = np.asarray(values, float)
    layers = first + np.arange(values.shape[-1])
    return xr.DataArray(values, {"layer": layers}, ("curve", "layer")[-values.ndim :])


def test_the_maximum_is_the_first_of_equals_and_nan_of_a_gap():
    curves = over_layers([[1, 5, 5], [3, 2, 1], [1, np.nan, 7], [-np.inf, -9, -10], [2, 2, 2]])
    np.testing.assert_array_equal(layer_of_maximum(curves), [2, 1, np.nan, 2, 1])


@given(CURVES, st.floats(-100, 100), st.floats(0.01, 100))
def test_the_centre_is_that_of_a_shifted_and_stretched_curve(values, shift, factor):
    curve = over_layers(values)
    np.testing.assert_allclose(
        centre_of_mass(shift + factor * curve), centre_of_mass(curve), rtol=1e-6
    )


@given(CURVES)
def test_the_centre_of_a_mirrored_curve_is_mirrored_and_lies_among_the_layers(values):
    centre = centre_of_mass(over_layers(values)).item()
    mirrored = centre_of_mass(over_layers(values[::-1])).item()
    assert 1 <= centre <= len(values)
    assert mirrored == pytest.approx(len(values) + 1 - centre)


@given(CURVES)
def test_the_centre_is_a_weighted_mean(values):
    weights = np.array(values) - min(values)
    expected = np.average(1 + np.arange(len(values)), weights=weights)
    assert centre_of_mass(over_layers(values)).item() == pytest.approx(expected)


def test_a_constant_curve_and_one_with_a_gap_have_no_centre():
    assert centre_of_mass(over_layers([[3, 3, 3], [1, np.nan, 2]])).isnull().all()


def test_the_rise_is_positive_only_where_the_last_layer_is_highest():
    curves = over_layers([[1, 2, 5], [1, 6, 5], [5, 1, 5], [np.nan, 1, 2]])
    np.testing.assert_array_equal(rise_to_last(curves), [3, -1, 0, np.nan])


@pytest.mark.parametrize("seed", range(3))
def test_rank_correlations_are_scipys(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 4, 7), rng.integers(0, 5, (6, 7))
    expected = [stats.spearmanr(a, row).statistic for row in b]
    np.testing.assert_allclose(rank_correlation(a, b), expected)


def test_equal_values_agree_with_no_order_and_nan_is_passed_on():
    layers = [[2, 2, 2], [1, np.nan, 3]]
    np.testing.assert_array_equal(rank_correlation([1, 2, 3], layers), [0, np.nan])
    assert order_p([1, 2, 3], layers[:1], 10, 0) == 1
    assert np.isnan(order_p([1, 2, 3], layers, 10, 0))


def test_the_p_value_is_the_share_of_all_orders_as_good():
    places = np.array([0, 0, 1, 2, 3])
    layers = np.array([[1, 2, 2, 4, 3], [1, 1, 3, 2, 5]])

    def statistic(order):
        return np.mean([stats.spearmanr(order, row).statistic for row in layers])

    found = [statistic(order) for order in permutations(places)]
    expected = np.mean(np.array(found) >= statistic(places) - 1e-9)
    assert order_p(places, layers, 1000, seed=0) == pytest.approx(expected)


def test_tasks_in_order_are_found_and_others_rarely():
    places = np.arange(7)
    assert order_p(places, places[None], 2000, seed=0) < 0.002
    rng = np.random.default_rng(0)
    by_chance = [order_p(places, rng.permutation(7)[None], 199, seed=k) for k in range(100)]
    assert np.mean(np.array(by_chance) <= 0.05) < 0.12


@pytest.mark.parametrize(
    ("values", "target", "expected"),
    [
        ([0.1, 0.2, 0.4], 0.3, 30),
        ([0.1, 0.2, 0.4], 0.4, 40),
        ([0.1, 0.2, 0.4], 0.05, 10),
        ([0.1, 0.2, 0.4], 0.5, np.inf),
        ([0.1, 0.4, 0.2], 0.25, 15),  # and never mind that it falls again
        ([0.3, 0.3, 0.3], 0.3, 10),
    ],
)
def test_where_a_curve_reaches_a_value(values, target, expected):
    assert first_reaching([10, 20, 40], values, target) == pytest.approx(expected)


def test_one_point_is_a_curve():
    assert first_reaching([10], [0.5], 0.5) == 10


@pytest.mark.parametrize(
    ("places", "values"),
    [([10, 10], [1, 2]), ([10, 20], [1, np.nan]), ([10], [1, 2]), ([], [])],
)
def test_what_is_no_curve_is_an_error(places, values):
    with pytest.raises(ValueError, match="places"):
        first_reaching(places, values, 1.0)


def test_successive_variance_is_that_of_noise_and_not_of_the_trend():
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 3, 20_001)
    trend = np.linspace(0, 500, len(noise))
    assert successive_variance(noise + trend) == pytest.approx(9, rel=0.03)
    assert np.var(noise + trend) > 1000
    assert np.isnan(successive_variance([1.0]))
    assert np.isnan(successive_variance([1.0, np.nan, 2.0]))
    assert successive_variance([4.0] * 5) == 0
