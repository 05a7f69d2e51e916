import numpy as np
import pytest
import xarray as xr

from bthelpers.statistics.bootstrap import interval, percent_change, resampling_counts


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


def test_each_draw_has_as_many_items():
    counts = resampling_counts(7, 100, 0)
    assert counts.shape == (100, 7)
    assert (counts.sum(axis=1) == 7).all()
    np.testing.assert_allclose(counts.mean(axis=0), 1, atol=0.4)
