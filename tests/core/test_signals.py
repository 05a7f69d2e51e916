import math

import numpy as np
import pytest
from scipy.integrate import quad

from bthelpers.core.signals import autocorrelated_noise, double_gamma


def naive(age):
    if age <= 0:
        return 0.0
    peak = age**5 * math.exp(-age) / math.factorial(5)
    undershoot = age**15 * math.exp(-age) / math.factorial(15)
    return peak - undershoot / 6


def test_closed_form():
    ages = np.array([[-3.0, 0.0, 0.04, 1.0], [5.0, 12.3, 16.0, 60.0]])
    expected = [[naive(age) for age in row] for row in ages]
    np.testing.assert_allclose(double_gamma(ages), expected, rtol=1e-10, atol=1e-15)


def test_nothing_before_the_event():
    assert (double_gamma(np.linspace(-50, 0, 101)) == 0).all()


def test_peak_and_undershoot_are_where_the_docstring_says():
    ages = np.linspace(0, 40, 40_001)
    response = double_gamma(ages)
    assert ages[response.argmax()] == pytest.approx(5, abs=0.1)
    assert ages[response.argmin()] == pytest.approx(15, abs=1)
    assert response.min() < 0


def test_area_is_that_of_the_two_densities():
    area, _ = quad(double_gamma, 0, 100)
    assert area == pytest.approx(1 - 1 / 6, abs=1e-6)


def test_whole_ages_are_not_truncated():
    assert double_gamma([5]) == pytest.approx([naive(5)])


def test_other_shapes_in_closed_form():
    """Densities of shape 1 + peak / dispersion: here whole, so that factorials give them."""
    for peak, dispersion, undershoot in ((4.0, 2.0, 0.3), (6.0, 1.0, 0.05), (5.0, 0.5, 0.0)):
        first, second = round(peak / dispersion), round((peak + 10) / dispersion)
        for age in (0.7, 4.0, 11.5, 20.0):
            x = age / dispersion
            expected = x**first * math.exp(-x) / math.factorial(first)
            expected -= undershoot * x**second * math.exp(-x) / math.factorial(second)
            found = double_gamma(age, peak, dispersion, undershoot)
            assert found == pytest.approx(expected / dispersion, rel=1e-9)


@pytest.mark.parametrize("peak", [4.0, 5.5, 7.0])
@pytest.mark.parametrize("dispersion", [0.8, 1.3])
def test_peak_is_where_the_parameter_says_and_dispersion_widens(peak, dispersion):
    ages = np.linspace(0, 40, 40_001)
    response = double_gamma(ages, peak, dispersion, 0.3)
    assert ages[response.argmax()] == pytest.approx(peak, abs=0.15)
    above = ages[response > response.max() / 2]
    wider = double_gamma(ages, peak, 1.2 * dispersion, 0.3)
    assert np.ptp(ages[wider > wider.max() / 2]) > np.ptp(above)


@pytest.mark.parametrize("coefficient", [0.0, 0.4, 0.9])
def test_noise_is_autoregressive_and_stationary(coefficient):
    noise = autocorrelated_noise((400, 2000), coefficient, np.random.default_rng(0))
    np.testing.assert_allclose(noise.var(axis=1), 1, atol=0.2)  # from the first row on
    assert noise.var() == pytest.approx(1, abs=0.02)
    for lag in (1, 2, 5):
        product = (noise[lag:] * noise[:-lag]).mean()
        assert product == pytest.approx(coefficient**lag, abs=0.02)
    assert abs((noise[:, 1:] * noise[:, :-1]).mean()) < 0.01  # voxels are independent
