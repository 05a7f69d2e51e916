from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bthelpers import ceiling
from bthelpers.ceiling import noise_ceiling, select_voxels


def ceiling_by_loops(repeats, ddof):
    """CC_max of Schoppe et al. (2016), voxel by voxel."""
    n_repeats, n_trs, n_voxels = repeats.shape

    def variance(series):
        mean = math.fsum(series) / n_trs
        return math.fsum((value - mean) ** 2 for value in series) / (n_trs - ddof)

    result = []
    for voxel in range(n_voxels):
        total = sum(variance(repeat[:, voxel]) for repeat in repeats) / n_repeats
        of_mean = variance([math.fsum(column) / n_repeats for column in repeats[:, :, voxel].T])
        signal = (n_repeats * of_mean - total) / (n_repeats - 1)
        result.append(1 / math.sqrt(1 + (total / signal - 1) / n_repeats) if signal > 0 else 0)
    return np.array(result)


def simulated(share, n_repeats=10, n_trs=291, n_voxels=400, seed=0):
    """Voxels of unit variance of which `share` is a signal that all repeats have in common."""
    rng = np.random.default_rng(seed)
    signal = rng.standard_normal((n_trs, n_voxels))
    noise = rng.standard_normal((n_repeats, n_trs, n_voxels))
    return np.sqrt(share) * signal + np.sqrt(1 - share) * noise


@pytest.mark.parametrize("ddof", [0, 1])
@pytest.mark.parametrize("shape", [(2, 2, 1), (3, 7, 5), (10, 31, 4), (5, 16, 9)])
def test_agrees_with_loops_whichever_the_degrees_of_freedom(shape, ddof):
    rng = np.random.default_rng(1)
    repeats = rng.standard_normal(shape) + rng.standard_normal(shape[1:]) * rng.random(shape[2])
    np.testing.assert_allclose(
        noise_ceiling(repeats), ceiling_by_loops(repeats, ddof), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("n_repeats", [5, 10])
@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 0.9])
def test_recovers_a_known_signal_share(share, n_repeats):
    # With TP = 1 and SP = share, known exactly.
    expected = 1 / np.sqrt(1 + (1 / share - 1) / n_repeats)
    estimated = noise_ceiling(simulated(share, n_repeats))
    assert np.median(estimated) == pytest.approx(expected, abs=0.02)


def test_is_the_correlation_of_the_true_signal_with_the_mean_of_the_repeats():
    rng = np.random.default_rng(2)
    signal = rng.standard_normal((2000, 1))
    repeats = signal + 2 * rng.standard_normal((10, 2000, 1))
    r = np.corrcoef(signal[:, 0], repeats.mean(0)[:, 0])[0, 1]
    assert noise_ceiling(repeats)[0] == pytest.approx(r, abs=0.02)


def test_pure_noise_is_finite_and_zero_for_about_half_of_the_voxels():
    estimated = noise_ceiling(simulated(0.0, n_voxels=2000))
    assert np.isfinite(estimated).all()
    assert 0.4 < (estimated == 0).mean() < 0.65
    assert estimated.max() < 0.6


def test_the_same_response_to_every_repeat_is_fully_explainable():
    repeats = np.repeat(np.random.default_rng(3).standard_normal((1, 50, 300)), 10, axis=0)
    estimated = noise_ceiling(repeats)
    np.testing.assert_allclose(estimated, 1)
    assert estimated.max() <= 1


def test_voxels_without_a_ceiling_are_zero():
    repeats = simulated(0.5, n_voxels=7)
    repeats[3, 100, 0] = np.nan
    repeats[:, :, 1] = np.nan
    repeats[0, 0, 2] = np.inf
    repeats[:, :, 3] = 0.1  # constant: its variance rounds to more than zero
    repeats[:, :, 4] = np.arange(10)[:, None] + 0.1  # constant in each repeat
    estimated = noise_ceiling(repeats)
    np.testing.assert_array_equal(estimated[:5], 0)
    np.testing.assert_allclose(estimated[5:], ceiling_by_loops(repeats[:, :, 5:], 1), atol=1e-12)


def test_one_repeat_that_is_constant_is_an_ordinary_repeat():
    repeats = simulated(0.8, n_repeats=4, n_trs=30, n_voxels=3)
    repeats[2] = 0
    np.testing.assert_allclose(noise_ceiling(repeats), ceiling_by_loops(repeats, 1), atol=1e-12)


def test_one_tr_explains_nothing():
    np.testing.assert_array_equal(noise_ceiling(np.random.default_rng(4).random((3, 1, 5))), 0)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 999),
    exponents=st.lists(st.integers(-6, 6), min_size=6, max_size=6),
    shift=st.floats(-10, 10),
)
def test_is_invariant_to_scale_sign_offset_and_order(seed, exponents, shift):
    repeats = simulated(0.3, n_repeats=4, n_trs=20, n_voxels=6, seed=seed)
    scale = -(10.0 ** np.array(exponents))
    estimated = noise_ceiling(repeats)
    assert ((estimated >= 0) & (estimated <= 1)).all()
    np.testing.assert_allclose(noise_ceiling((repeats + shift) * scale), estimated, atol=1e-6)
    np.testing.assert_allclose(noise_ceiling(repeats[::-1, ::-1]), estimated, atol=1e-9)


def test_float32_is_summed_in_float64():
    repeats = simulated(0.4, n_voxels=20).astype(np.float32)
    estimated = noise_ceiling(repeats)
    assert estimated.dtype == np.float64
    np.testing.assert_allclose(estimated, noise_ceiling(repeats.astype(np.float64)), atol=1e-15)


def test_voxels_do_not_depend_on_how_many_are_handled_at_once(monkeypatch):
    repeats = simulated(0.4, n_repeats=3, n_trs=20, n_voxels=11)
    whole = noise_ceiling(repeats)
    monkeypatch.setattr(ceiling, "_VOXELS_AT_ONCE", 4)
    np.testing.assert_allclose(noise_ceiling(repeats), whole, rtol=1e-12)
    assert noise_ceiling(repeats[:, :, :0]).shape == (0,)


@pytest.mark.parametrize("shape", [(1, 30, 4), (30, 4), (3, 0, 4)])
def test_refuses_what_has_no_repeats(shape):
    with pytest.raises(ValueError, match="two or more repeats"):
        noise_ceiling(np.zeros(shape))


def test_selects_voxels_above_the_threshold_within_the_mask():
    ceilings = [0.0, 0.4, 0.41, 0.9]
    np.testing.assert_array_equal(select_voxels(ceilings, 0.4), [False, False, True, True])
    mask = np.array([True, True, False, True])
    np.testing.assert_array_equal(select_voxels(ceilings, 0.4, mask), [False, False, False, True])


@pytest.mark.parametrize(
    ("ceilings", "mask"),
    [([0.5, np.nan], None), ([0.5, 0.5], [0, 1]), ([0.5, 0.5], [True])],
)
def test_selection_refuses_nan_and_masks_that_do_not_fit(ceilings, mask):
    with pytest.raises(ValueError, match=r"NaN|mask"):
        select_voxels(ceilings, 0.4, mask)
