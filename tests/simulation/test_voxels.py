import numpy as np
import pytest
import xarray as xr
from least_squares import explained
from scipy.interpolate import CubicSpline
from scipy.signal import lfilter

from bthelpers.core.signals import double_gamma
from bthelpers.params.simulation import PUBLISHED_CEILINGS, SimulationSpec
from bthelpers.simulation.participants import haemodynamic, haemodynamic_responses
from bthelpers.simulation.voxels import (
    Latents,
    planted_ceilings,
    repeated_responses,
    signal_shares,
    voxel_signals,
    voxel_weights,
)

TR = 2.0045


def spec(**changes):
    return SimulationSpec(lexicon="none.yaml", **changes)


def masks(language, auditory):
    return xr.DataArray(
        [language, auditory],
        dims=("region", "voxel"),
        coords={"region": ["late_language", "early_auditory"]},
    )


# Noise ceilings


def test_planted_regions_have_the_higher_ceilings():
    planted = np.arange(5000) < 1000
    quantiles = spec(ceiling_quantiles=(0.0, 0.5, 1.0))
    ceilings = planted_ceilings(quantiles, planted, np.random.default_rng(0))
    np.testing.assert_allclose(np.sort(ceilings), (np.arange(5000) + 0.5) / 5000)
    assert ceilings[planted].mean() > ceilings[~planted].mean() + 0.2
    assert ceilings[~planted].max() > 0.8  # the order is random all the same


@pytest.mark.parametrize(("bonus", "low", "high"), [(0, 0.38, 0.46), (0.6, 0.9, 0.99), (1, 1, 1)])
def test_a_bonus_brings_planted_regions_above_the_published_threshold(bonus, low, high):
    """One voxel in eight is planted, as in a simulated participant; others keep the rest."""
    planted = np.arange(16_000) < 2000
    ceilings = planted_ceilings(
        spec(planted_ceiling_bonus=bonus), planted, np.random.default_rng(0)
    )
    assert low <= (ceilings[planted] > 0.4).mean() <= high
    np.testing.assert_allclose(
        np.quantile(ceilings, np.linspace(0, 1, 21)), PUBLISHED_CEILINGS, atol=5e-3
    )


# Signals


def random_latents(rng, *n_trs, n_responses=2):
    return [
        Latents(*(rng.normal(size=(n_responses, n, d)) for d in (12, 8, 22, 12))) for n in n_trs
    ]


@pytest.fixture
def drawn():
    """Latents of two stories, weights of 60 voxels, and their haemodynamic responses' numbers."""
    rng = np.random.default_rng(0)
    latents = random_latents(rng, 900, 1100)
    response_of = np.repeat([0, 1], 30)
    of_regions = masks([True, False, False] * 20, [False, True, False] * 20)
    shares = signal_shares(of_regions, spec(acoustics_in_language=0.3))
    return latents, voxel_weights(latents, shares, response_of, rng), response_of


def test_shares_of_the_signals(drawn):
    """With orthogonal latents, variances are the planted shares."""
    latents, weights, response_of = drawn
    signals = np.concatenate([voxel_signals(story, weights, response_of) for story in latents])
    assert signals.shape == (2000, 60)
    np.testing.assert_allclose(signals.std(axis=0), 1, atol=1e-5)
    expected = {  # in late language, early auditory and other voxels
        "semantic": (0.91, 0, 0.1),
        "spectral": (0.045, 0.5, 0.05),
        "articulatory": (0.045, 0.5, 0.05),
        "own": (0, 0, 0.8),
    }
    for kind, shares in expected.items():
        regressors = np.concatenate([getattr(story, kind) for story in latents], axis=1)
        found = np.concatenate(
            [explained(signals[:, response_of == k], regressors[k]) for k in (0, 1)]
        )
        for start, share in enumerate(shares):
            assert found[start::3].mean() == pytest.approx(share, abs=0.03), (kind, start)


def test_latents_are_summed_by_their_weights_without_their_means(drawn):
    latents, weights, response_of = drawn
    found = voxel_signals(latents[0], weights, response_of)
    assert found.dtype == np.float32
    joined = np.concatenate(
        [latents[0].semantic, latents[0].spectral, latents[0].articulatory, latents[0].own], axis=2
    )
    for voxel in (0, 29, 30, 59):
        of_voxel = joined[response_of[voxel]] @ weights[:, voxel]
        np.testing.assert_allclose(found[:, voxel], of_voxel - of_voxel.mean(), atol=1e-5)


def test_a_voxel_does_not_depend_on_those_computed_with_it(drawn):
    latents, weights, response_of = drawn
    whole = voxel_signals(latents[1], weights, response_of)
    for voxels in (slice(0, 1), slice(7, 41), slice(59, 60)):
        piece = voxel_signals(latents[1], weights[:, voxels], response_of[voxels])
        np.testing.assert_allclose(piece, whole[:, voxels], atol=1e-5)


def test_stories_differ_in_variance_and_together_have_that_of_one():
    """A story's meanings may be few: nothing is standardised within a story."""
    rng = np.random.default_rng(1)
    latents = random_latents(rng, 50, 150)
    latents[0] = Latents(*(3 * kind + 5 for kind in latents[0].kinds))
    response_of = np.zeros(40, int)
    shares = signal_shares(masks([True] * 40, [False] * 40), spec())
    weights = voxel_weights(latents, shares, response_of, rng)
    first, second = (voxel_signals(story, weights, response_of) for story in latents)
    assert first.std(axis=0).min() > 1.5 > 0.9 > second.std(axis=0).max()
    np.testing.assert_allclose(np.concatenate([first, second]).std(axis=0), 1, atol=1e-5)


def test_peaks_of_the_voxels_are_those_of_a_finite_impulse_response():
    """Fitted to noise-free signals: tents of 1 s, with no assumption on the response's form."""
    rng = np.random.default_rng(0)
    responses = haemodynamic_responses(spec(), rng)
    times = np.arange(600) * TR
    frames = (rng.random((round(times[-1] * 25) + 25, 1)) < 0.01).astype(float)
    driven = haemodynamic(frames, times, responses)
    latents = Latents(driven, driven, driven, driven)
    response_of = rng.integers(len(responses), size=300)
    shares = signal_shares(masks([True] * 300, [False] * 300), spec())
    weights = voxel_weights([latents], shares, response_of, rng)
    signals = voxel_signals(latents, weights, response_of)

    ages = times[:, None] - np.flatnonzero(frames[:, 0]) / 25
    tents = np.stack([np.maximum(0, 1 - np.abs(ages - k)).sum(axis=1) for k in range(33)], axis=1)
    design = np.column_stack([np.ones(len(times)), tents])
    fitted = np.linalg.lstsq(design, signals, rcond=None)[0][1:]
    fitted *= np.sign(fitted.sum(axis=0))  # weights are positive and negative
    fine = np.linspace(0, 15, 1501)
    peaks = fine[CubicSpline(np.arange(33), fitted)(fine).argmax(axis=0)]
    planted = responses[response_of, 0]
    np.testing.assert_allclose(peaks, planted, atol=0.35)
    assert (peaks.min(), peaks.max()) == pytest.approx((4, 7), abs=0.35)
    assert np.corrcoef(peaks, planted)[0, 1] > 0.98


# Repeats


def test_the_mean_of_the_repeats_correlates_with_the_signal_as_the_ceiling_says():
    rng = np.random.default_rng(0)
    ceilings = np.repeat([0, 0.2, 0.5, 0.9, 1], 200)
    ages = np.arange(30) * TR
    signals = lfilter(double_gamma(ages), [1.0], rng.normal(size=(2000, 1000)), axis=0)
    signals = ((signals - signals.mean(axis=0)) / signals.std(axis=0)).astype(np.float32)
    repeats = np.stack(list(repeated_responses(signals, ceilings, spec(repeats=5), 5, rng)))
    assert repeats.shape == (5, 2000, 1000)
    assert repeats.dtype == np.float64
    np.testing.assert_allclose(repeats.mean(axis=1), 0, atol=1e-10)
    np.testing.assert_allclose(repeats.std(axis=1), 1, atol=1e-10)
    mean = repeats.mean(axis=0)
    r = np.mean(signals * (mean - mean.mean(axis=0)), axis=0) / mean.std(axis=0)
    np.testing.assert_allclose(r.reshape(5, 200).mean(axis=1), [0, 0.2, 0.5, 0.9, 1], atol=0.01)
