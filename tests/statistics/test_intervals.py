import numpy as np
import pytest
import xarray as xr
from intervals_by_hand import by_hand
from scipy import stats

from bthelpers.statistics.bootstrap import resampling_counts
from bthelpers.statistics.intervals import (
    TAILS,
    corrected_error,
    interval,
    one_sided_p,
    spread,
)


def estimate(values, draws, n_drawn=None):
    """Of participants' values (participant) and their draws (participant, draw)."""
    values, draws = np.asarray(values, float), np.asarray(draws, float)
    coords = {} if n_drawn is None else {"n_drawn": ("draw", np.full(draws.shape[1], n_drawn))}
    return xr.Dataset(
        {"value": ("participant", values), "draws": (("participant", "draw"), draws)}, coords
    )


def drawn_means(blocks, n_draws, seed):
    """Values (participant) and draws of means over blocks (participant, block)."""
    counts = resampling_counts(blocks.shape[1], n_draws, seed)
    return blocks.mean(axis=1), blocks @ counts.T / blocks.shape[1]


@pytest.mark.parametrize("n_drawn", [None, 6])
@pytest.mark.parametrize("n_participants", [1, 2, 5])
def test_intervals_agree_with_those_by_hand(n_participants, n_drawn):
    rng = np.random.default_rng(n_participants)
    values, draws = rng.normal(size=n_participants), rng.normal(size=(n_participants, 90))
    found = estimate(values, draws, n_drawn)
    expected = by_hand(values, draws, n_drawn or np.inf)
    np.testing.assert_allclose(interval(found, "participant"), expected)
    apart = [
        by_hand(v[None], d[None], n_drawn or np.inf) for v, d in zip(values, draws, strict=True)
    ]
    np.testing.assert_allclose(interval(found).transpose("participant", "bound"), apart)


def test_the_interval_of_a_mean_over_blocks_is_that_of_a_t_test():
    """Blocks that are independent and Gaussian, as the test takes them to be."""
    blocks = np.random.default_rng(0).normal(3, 1, (1, 7))
    found = interval(estimate(*drawn_means(blocks, 60_000, 0), 7), "participant")
    expected = stats.ttest_1samp(blocks[0], 0).confidence_interval()
    np.testing.assert_allclose(found, [expected.low, expected.high], rtol=0.01)
    p = one_sided_p(
        xr.DataArray(blocks.mean() - 2.5),
        spread(estimate(*drawn_means(blocks, 60_000, 0), 7), "participant"),
    )
    assert p == pytest.approx(
        stats.ttest_1samp(blocks[0], 2.5, alternative="greater").pvalue, rel=0.08
    )


def test_participants_whose_draws_say_nothing_are_tested_by_t():
    values = np.array([0.4, 0.9, 0.7])
    exact = estimate(values, np.repeat(values[:, None], 10, axis=1), 8)
    p = one_sided_p(xr.DataArray(values.mean() - 0.2), spread(exact, "participant"))
    expected = stats.ttest_1samp(values, 0.2, alternative="greater").pvalue
    assert p == pytest.approx(expected, rel=0.04)


@pytest.mark.parametrize("n_participants", [1, 3])
def test_p_values_are_the_levels_at_which_intervals_leave_out_a_bound(n_participants):
    rng = np.random.default_rng(1)
    found = estimate(rng.normal(size=n_participants), rng.normal(size=(n_participants, 50)), 9)
    mean, uncertain = found["value"].mean(), spread(found, "participant")
    for bound in (mean - 2, mean - 0.3, mean, mean + 0.5):
        p = one_sided_p(mean - bound, uncertain).item()
        low = interval(found, "participant", level=1 - 2 * min(p, 1 - p))
        end = low.sel(bound="low" if p <= 0.5 else "high")
        width = low.diff("bound").item() + 1e-9
        assert abs(end - bound) < 0.03 * width or p in (TAILS[-1], 1 - TAILS[-1])
        assert one_sided_p(bound - mean, uncertain) == pytest.approx(1 - p)


def test_a_value_without_spread_at_its_bound_is_not_beyond_it():
    exact = spread(estimate([1.0], [[1.0, 1.0, 1.0]], 4))
    assert one_sided_p(xr.DataArray(0.0), exact) == pytest.approx(0.5)
    assert one_sided_p(xr.DataArray(1e-3), exact) == pytest.approx(1e-9)


def test_without_a_value_or_a_draw_there_is_no_p():
    uncertain = spread(estimate([1.0], [[1.0, 2.0, np.nan]], 4), "participant")
    assert np.isnan(one_sided_p(xr.DataArray(1.0), uncertain))
    assert np.isnan(uncertain.half_width(0.025))
    fine = spread(estimate([1.0], [[1.0, 2.0, 3.0]], 4), "participant")
    assert np.isnan(one_sided_p(xr.DataArray(np.nan), fine))
    assert np.isnan(interval(estimate([1.0, np.nan], np.ones((2, 3)), 4), "participant")).all()


def p_values(n_participants, share, n_studies):
    """Of a mean that is zero being above it, one-sided: (study).

    Participants' true effects vary; blocks are common to all, and have noise of each participant.
    `share` is that of the true effects in the variance of the mean, all else is of blocks.
    """
    rng, n_blocks = np.random.default_rng(0), 8
    variances = share * n_participants, 0.7 * (1 - share) * n_blocks
    own = 0.3 * (1 - share) * n_blocks * n_participants
    effects = rng.normal(0, np.sqrt(variances[0]), (n_participants, n_studies, 1))
    common = rng.normal(0, np.sqrt(variances[1]), (n_studies, n_blocks))
    noise = rng.normal(0, np.sqrt(own), (n_participants, n_studies, n_blocks))
    blocks, dims = effects + common + noise, ("participant", "study")
    counts = resampling_counts(n_blocks, 200, 0)
    studies = xr.Dataset(
        {
            "value": (dims, blocks.mean(-1)),
            "draws": ((*dims, "draw"), blocks @ counts.T / n_blocks),
        },
        {"n_drawn": ("draw", np.full(200, n_blocks))},
    )
    value = studies["value"].mean("participant")
    return one_sided_p(value, spread(studies, "participant")).values


@pytest.mark.parametrize("n_participants", [2, 3, 8])
@pytest.mark.parametrize("share", [0.0, 0.4, 0.9])
def test_levels_are_kept_whatever_varies(n_participants, share):
    """Few participants and few blocks; at 5 ‰ too, as the verdicts of many claims need."""
    p = p_values(n_participants, share, 2000)
    for level in (0.05, 0.005):
        found = int((p <= level).sum())
        assert stats.binomtest(found, len(p), level, "greater").pvalue > 0.01


def test_the_corrected_error_is_that_of_a_paired_difference():
    rng = np.random.default_rng(0)
    values = rng.normal(0, 5, (7, 1)) + rng.normal(0, 0.1, (7, 2))
    labelled = xr.DataArray(values, dims=("participant", "condition"))
    error = corrected_error(labelled, "participant", "condition")
    # With two conditions, both errors are that of the mean difference over the root of two.
    paired = stats.sem(values[:, 0] - values[:, 1]) / np.sqrt(2)
    np.testing.assert_allclose(error, [paired, paired])


def test_what_participants_differ_by_in_all_conditions_does_not_count():
    values = np.random.default_rng(1).normal(size=(5, 3))
    offsets = np.array([0, 9, -4, 2, 100])[:, None]
    one, other = (
        corrected_error(xr.DataArray(v, dims=("p", "c")), "p", "c")
        for v in (values, values + offsets)
    )
    np.testing.assert_allclose(one, other)
    uncorrected = stats.sem(values - values.mean(axis=1, keepdims=True)) * np.sqrt(3 / 2)
    np.testing.assert_allclose(one, uncorrected)


def test_one_participant_has_no_error_and_a_gap_none_either():
    one = xr.DataArray([[1.0, 2.0]], dims=("p", "c"))
    assert corrected_error(one, "p", "c").values.tolist() == [0, 0]
    gap = xr.DataArray([[1.0, np.nan], [2.0, 3.0]], dims=("p", "c"))
    assert np.isnan(corrected_error(gap, "p", "c")).any()
