import math

import numpy as np
import pytest
from scipy.integrate import quad

from bthelpers.core.signals import double_gamma


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
