from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bthelpers.claims.null_studies import (
    attainable_level,
    equal_models,
    null_intervals,
    null_over_participants,
    null_over_voxels,
    rejection_rates,
    simulated_alignment,
    simulated_repeats,
)
from bthelpers.statistics.correlation import pearson_r


def rate(p, level=0.05):
    """Share of p-values up to a level, and its 95 % binomial interval."""
    return rejection_rates({"test": p <= level}).loc["test", ["rate", "low", "high"]] / 100


@settings(max_examples=30)
@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_rates_have_the_intervals_of_clopper_and_pearson(trials):
    rates = rejection_rates({"all": np.ones(5, bool), "some": trials})
    assert list(rates.index) == ["all", "some"]
    n, k = len(trials), sum(trials)
    low = stats.beta.ppf(0.025, k, n - k + 1) if k else 0
    high = stats.beta.ppf(0.975, k + 1, n - k) if k < n else 1
    assert rates.loc["some"].tolist() == pytest.approx([100 * k / n, 100 * low, 100 * high, n])
    assert rates.loc["all", ["rate", "high"]].tolist() == [100, 100]


@pytest.mark.parametrize("n", [1, 5, 6, 8])
def test_the_attainable_level_is_that_of_all_choices_of_signs(n):
    values = np.arange(1, n + 1)
    p = [stats.wilcoxon(values * signs).pvalue for signs in product([-1, 1], repeat=n)]
    assert attainable_level(n) == np.mean(np.array(p) <= 0.05)


def test_equal_models_are_as_correlated_as_said():
    rng = np.random.default_rng(0)
    for one_story in (False, True):
        studies = [equal_models(3, 4, one_story, rng) for _ in range(120)]
        a, b, actual = np.concatenate(studies, axis=1)
        np.testing.assert_allclose(np.var([a, b, actual]), 1, atol=0.05)
        for predicted in (a, b):
            r = pearson_r(predicted.reshape(-1, 12), actual.reshape(-1, 12))
            np.testing.assert_allclose(r, 0.5, atol=0.03)
        between_voxels = np.corrcoef(actual[:, 0].T)[np.triu_indices(4, 1)]
        np.testing.assert_allclose(between_voxels, 0.3, atol=0.05)
        between_participants = np.corrcoef(actual[:, 0, 0], actual[:, 1, 0])[0, 1]
        assert between_participants == pytest.approx(0.5 * one_story, abs=0.05)
        assert (a[:, 0] == a[:, 1]).all() == one_story


def test_wilcoxon_over_voxels_finds_differences_between_equal_models():
    few, many = (
        rate(null_over_voxels(150, n_voxels, np.random.default_rng(0))) for n_voxels in (10, 100)
    )
    assert few["low"] > 0.05
    assert many["low"] > few["high"]


@pytest.mark.parametrize("n_participants", [6, 8])
def test_wilcoxon_over_participants_is_calibrated(n_participants):
    found = rate(null_over_participants(300, n_participants, False, np.random.default_rng(0)))
    assert found["low"] <= attainable_level(n_participants) <= found["high"]


def test_wilcoxon_over_participants_does_not_generalise_from_their_one_story():
    found = rate(null_over_participants(100, 8, True, np.random.default_rng(0)))
    assert found["low"] > 0.05


@pytest.mark.parametrize("n_participants", [1, 3])
def test_intervals_miss_no_more_than_they_say(n_participants):
    missed = null_intervals(150, n_participants, 30, 200, np.random.default_rng(0))
    rates = rejection_rates({"missed": missed}).loc["missed"]
    assert missed.shape == (150,)
    assert rates["low"] < 5
    if n_participants == 1:
        assert rates["high"] > 5


def test_models_may_be_equal_over_participants_but_not_for_each():
    """Without noise that differs, only what is planted is left of the differences."""
    study = equal_models(400, 1, True, np.random.default_rng(0), varied=0.1, n_models=3)
    assert study.shape == (4, 240, 400, 1)
    signal_and_error = study[0, :, :, 0]
    # A prediction is share * signal + sqrt(1 - share²) * error: two series span all of them.
    series = signal_and_error[:, :2]
    weights = np.linalg.lstsq(series, signal_and_error, rcond=None)[0]
    np.testing.assert_allclose(series @ weights, signal_and_error, atol=1e-8)
    assert np.ptp(weights[0]) > 0.1


@pytest.mark.parametrize("true", [0.0, 0.3, 0.8, 1.0])
def test_simulated_repeats_have_the_ceilings_that_were_asked_for(true):
    n_repeats, n_trs = 4, 40_000
    ceilings = np.array([true, 0.5, true])
    repeats = simulated_repeats(ceilings, n_repeats, n_trs, np.random.default_rng(5))
    assert repeats.shape == (n_repeats, n_trs, 3)
    np.testing.assert_allclose(repeats.mean(axis=0).var(axis=0), 1, atol=0.03)
    for voxel, expected in enumerate(ceilings):
        # What two repeats have in common is signal, of power ceiling^2.
        common = np.cov(repeats[:, :, voxel])[np.triu_indices(n_repeats, 1)]
        assert common.mean() == pytest.approx(expected**2, abs=0.03)
    again = simulated_repeats(ceilings, n_repeats, n_trs, np.random.default_rng(5))
    np.testing.assert_array_equal(repeats, again)


def test_simulated_alignment_is_what_was_asked_for():
    """Of correlations over ceilings; noise, but not the signal, is as white as it should be."""
    ceilings = np.array([0.2, 0.7, 1.0])
    repeats, predicted = simulated_alignment(ceilings, 0.6, 4, 40_000, np.random.default_rng(0))
    assert (repeats.shape, predicted.shape) == ((4, 40_000, 3), (40_000, 3))
    r = pearson_r(predicted, repeats.mean(axis=0))
    np.testing.assert_allclose(r, 0.6 * ceilings, atol=0.02)
    noise = (repeats[0] - repeats[1])[:, :2]
    for series, coefficient in ((noise, 0.4), (predicted, 0.8)):
        np.testing.assert_allclose(pearson_r(series[1:], series[:-1]), coefficient, atol=0.02)
    with pytest.raises(ValueError, match="simulated voxels: 1 of 1 noise ceilings are NaN"):
        simulated_alignment([1.1], 0.6, 4, 30, np.random.default_rng(0))
