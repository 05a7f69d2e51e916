from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from bthelpers.encoding.alignment import bootstrap_alignment, normalized_alignment
from bthelpers.statistics import bootstrap as alignment
from bthelpers.statistics.bootstrap import interval, percent_change


def test_equation_1_by_hand():
    r, ceiling = np.array([0.2, 0.3, 0.9, np.nan]), np.array([0.5, 0.6, 0.0, np.nan])
    mask = np.array([True, True, False, False])
    assert normalized_alignment(r, ceiling, mask) == pytest.approx((0.2 / 0.5 + 0.3 / 0.6) / 2)


@settings(max_examples=50)
@given(seed=st.integers(0, 9999), n_voxels=st.integers(1, 40))
def test_equation_1_agrees_with_a_loop(seed, n_voxels):
    rng = np.random.default_rng(seed)
    r, ceiling = rng.uniform(-1, 1, n_voxels), rng.uniform(0.4, 1, n_voxels)
    mask = rng.random(n_voxels) < 0.5
    mask[rng.integers(n_voxels)] = True
    total = 0.0
    for voxel in range(n_voxels):
        if mask[voxel]:
            total += r[voxel] / ceiling[voxel]
    alignment = normalized_alignment(r, ceiling, mask)
    assert isinstance(alignment, float)
    assert alignment == pytest.approx(total / mask.sum(), abs=1e-12)


@pytest.mark.parametrize(
    ("r", "ceiling", "mask", "message"),
    [
        ([0.1, 0.2], [0.5, 0.5], [False, False], "no voxel"),
        ([0.1, 0.2], [0.5, 0.0], [True, True], "1 of 2 voxels .* ceiling"),
        ([0.1, 0.2], [0.5, np.nan], [True, True], "1 of 2 voxels .* ceiling"),
        ([0.1, np.nan], [0.5, 0.5], [True, True], "1 of 2 voxels have no correlation"),
        ([0.1, 0.2], [0.5, 0.5], [1, 0], "must be bool"),
        ([0.1, 0.2], [0.5, 0.5], [True], "must be bool"),
        ([0.1, 0.2, 0.3], [0.5, 0.5], [True, True], "do not match"),
    ],
)
def test_refuses_voxels_without_a_normalised_alignment(r, ceiling, mask, message):
    with pytest.raises(ValueError, match=message):
        normalized_alignment(r, ceiling, np.array(mask))


def story(n_trs=53, n_voxels=9, seed=0):
    """Predictions, responses and ceilings of one story, and two overlapping regions."""
    rng = np.random.default_rng(seed)
    actual = rng.normal(50, 2, size=(n_trs, n_voxels))
    predicted = 0.3 * actual + rng.standard_normal((n_trs, n_voxels))
    inside = [np.arange(n_voxels) < 5, np.arange(n_voxels) % 2 == 0]
    masks = xr.DataArray(inside, dims=("region", "voxel"), coords={"region": ["late", "early"]})
    return predicted, actual, rng.uniform(0.4, 1, n_voxels), masks


@pytest.mark.parametrize(("n_trs", "block"), [(53, 10), (50, 10), (12, 1), (17, 10)])
def test_bootstrap_agrees_with_resampled_series(n_trs, block, monkeypatch):
    monkeypatch.setattr(alignment, "_VOXELS_AT_ONCE", 4)
    predicted, actual, ceiling, masks = story(n_trs)
    draws = bootstrap_alignment(predicted, actual, ceiling, masks, block, 20, seed=3)
    assert draws.dims == ("region", "draw")
    assert draws.shape == (2, 20)
    rows = np.arange(n_trs)
    blocks = [rows[start : start + block] for start in range(0, n_trs, block)]
    counts = np.random.default_rng(3).multinomial(
        len(blocks), np.full(len(blocks), 1 / len(blocks)), size=20
    )
    assert (counts.sum(axis=1) == len(blocks)).all()
    for draw, count in enumerate(counts):
        drawn = np.concatenate([np.tile(b, c) for b, c in zip(blocks, count, strict=True)]).astype(
            int
        )
        r = np.array([np.corrcoef(predicted[drawn, v], actual[drawn, v])[0, 1] for v in range(9)])
        for region in ("late", "early"):
            mask = masks.sel(region=region).values
            expected = np.mean(r[mask] / ceiling[mask])
            np.testing.assert_allclose(draws.sel(region=region)[draw], expected, atol=1e-9)


def test_bootstrap_surrounds_the_alignment_and_widens_with_noise():
    predicted, actual, ceiling, masks = story(n_trs=291)
    point = normalized_alignment(
        [np.corrcoef(predicted[:, v], actual[:, v])[0, 1] for v in range(9)],
        ceiling,
        masks.sel(region="late").values,
    )
    bounds = interval(bootstrap_alignment(predicted, actual, ceiling, masks, 10, 500, seed=0))
    low, high = bounds.sel(region="late")
    assert low < point < high
    short = bootstrap_alignment(predicted[:60], actual[:60], ceiling, masks, 10, 500, seed=0)
    assert (interval(short).diff("bound") > bounds.diff("bound").values).all()


def test_draws_of_two_conditions_are_paired():
    predicted, actual, ceiling, masks = story()
    draws = bootstrap_alignment(predicted, actual, ceiling, masks, 10, 50, seed=1)
    same = bootstrap_alignment(2 * predicted + 3, actual, ceiling, masks, 10, 50, seed=1)
    np.testing.assert_allclose(same, draws, atol=1e-9)
    other = bootstrap_alignment(predicted, actual, ceiling, masks, 10, 50, seed=2)
    assert (np.abs(other - draws) > 1e-3).any()


def test_bootstrap_in_float32_loses_no_digits_to_large_offsets():
    predicted, actual, ceiling, masks = story()
    single = np.float32(predicted + 1000), np.float32(actual + 1000)
    exact = bootstrap_alignment(*(np.float64(x) for x in single), ceiling, masks, 10, 9, seed=0)
    draws = bootstrap_alignment(*single, ceiling, masks, 10, 9, seed=0)
    np.testing.assert_allclose(draws, exact, atol=1e-10)


def test_bootstrap_ignores_voxels_outside_of_every_region():
    predicted, actual, ceiling, masks = story()
    draws = bootstrap_alignment(predicted, actual, ceiling, masks, 10, 9, seed=0)
    predicted[:, 7] = np.nan  # in neither region
    ceiling[7] = 0
    again = bootstrap_alignment(predicted, actual, ceiling, masks, 10, 9, seed=0)
    np.testing.assert_array_equal(again, draws)


def test_bootstrap_refuses():
    predicted, actual, ceiling, masks = story()
    for block in (0, 53):
        with pytest.raises(ValueError, match="shorter blocks"):
            bootstrap_alignment(predicted, actual, ceiling, masks, block, 9, seed=0)
    with pytest.raises(ValueError, match="cannot correlate"):
        bootstrap_alignment(predicted[1:], actual, ceiling, masks, 10, 9, seed=0)
    with pytest.raises(ValueError, match="no voxel"):
        bootstrap_alignment(predicted, actual, ceiling, masks & False, 10, 9, seed=0)
    predicted[:, 2] = 0.1
    with pytest.raises(ValueError, match="1 of 7 voxels have no correlation"):
        bootstrap_alignment(predicted, actual, ceiling, masks, 10, 9, seed=0)


def test_interval_is_of_percentiles():
    draws = xr.DataArray(np.arange(101.0)[None], dims=("region", "draw"), coords={"region": ["a"]})
    bounds = interval(draws, level=0.9)
    assert bounds.sel(region="a", bound="low") == pytest.approx(5)
    assert bounds.sel(region="a", bound="high") == pytest.approx(95)
    assert np.isnan(interval(draws.where(draws != 7))).all()


def test_percent_change():
    assert percent_change(0.3, 0.2) == pytest.approx(50)
    new = xr.DataArray([0.1, 0.4], dims="region")
    np.testing.assert_allclose(
        percent_change(new, xr.DataArray([0.2, 0.2], dims="region")), [-50, 100]
    )


def test_percent_change_from_nothing_is_not_defined():
    old = np.array([0.0, -0.1, np.nan, 0.2])
    np.testing.assert_allclose(percent_change(0.3, old), [np.nan, np.nan, np.nan, 50])
