import numpy as np
import pytest
import xarray as xr
from scipy import stats

from bthelpers.statistics.bootstrap import resampling_counts
from bthelpers.statistics.intervals import interval, spread
from bthelpers.statistics.power import detectable_shift, smallest_difference, units_needed


@pytest.mark.parametrize("n_speakers", [2, 3, 6, 40])
@pytest.mark.parametrize("power", [0.5, 0.8])
def test_a_t_test_finds_the_shift_as_often_as_said(n_speakers, power):
    """Against simulated studies, whose interval is that of scipy's t-test."""
    rng = np.random.default_rng(n_speakers)
    shift = detectable_shift(n_speakers - 1, power) / np.sqrt(n_speakers)
    studies = rng.normal(shift, 1, (20_000, n_speakers))
    found = stats.ttest_1samp(studies, 0, axis=1).pvalue < 0.05
    assert found.mean() == pytest.approx(power, abs=0.012)


def test_large_samples_have_the_shift_of_textbooks():
    expected = stats.norm.isf(0.025) + stats.norm.isf(0.2)
    assert detectable_shift(1e6) == pytest.approx(expected, abs=1e-3)


def drawn_differences(n_speakers):
    """An estimate of two tasks, of the mean over speakers of a paired difference."""
    speakers = np.random.default_rng(0).normal([[0.1], [0.0]], [[1.0], [0.2]], (2, n_speakers))
    draws = speakers @ resampling_counts(n_speakers, 4000, seed=0).T / n_speakers
    return speakers, xr.Dataset(
        {"value": ("task", speakers.mean(axis=1)), "draws": (("task", "draw"), draws)},
        {"n_drawn": ("draw", np.full(4000, n_speakers))},
    )


@pytest.mark.parametrize("n_speakers", [2, 7])
def test_the_smallest_difference_is_that_of_the_interval(n_speakers):
    speakers, estimate = drawn_differences(n_speakers)
    found = smallest_difference(spread(estimate))
    assert found.dims == ("task",)
    error = stats.sem(speakers, axis=1)
    np.testing.assert_allclose(found, detectable_shift(n_speakers - 1) * error, rtol=0.05)
    low, high = interval(estimate).transpose("bound", "task").values
    assert (found > (high - low) / 2).all()  # at the half width, half of the studies find it


def test_one_speaker_tells_nothing():
    one = xr.Dataset(
        {"value": 0.3, "draws": ("draw", [0.3, 0.3, 0.3])}, {"n_drawn": ("draw", [1, 1, 1])}
    )
    assert np.isnan(smallest_difference(spread(one)))
    assert np.isnan(units_needed(spread(one), 0.02))


@pytest.mark.parametrize("difference", [0.1, 0.4, 30.0])
def test_the_number_needed_is_the_first_that_suffices(difference):
    _, estimate = drawn_differences(7)
    uncertain = spread(estimate)
    for of_one, n in zip(
        np.sqrt(7 * uncertain.drawn.values), units_needed(uncertain, difference).values, strict=True
    ):
        found = [detectable_shift(k - 1) * of_one / np.sqrt(k) <= difference for k in (n - 1, n)]
        assert found == [False, True] or n == 2


def test_two_speakers_need_fewer_more_than_their_interval_seems_to_say():
    """Most of what is wide about it is Student's t."""
    _, estimate = drawn_differences(2)
    uncertain = spread(estimate)
    smallest, needed = smallest_difference(uncertain), units_needed(uncertain, 0.1)
    assert (needed < 2 * (smallest / 0.1) ** 2 / 10).all()
