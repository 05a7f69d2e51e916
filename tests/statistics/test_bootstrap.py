import numpy as np
import pytest
import xarray as xr

from bthelpers.statistics.bootstrap import clustered_counts, percent_change, resampling_counts


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


def test_clusters_are_drawn_whole():
    clusters = ["b", "a", "b", "b", "c"]
    counts = clustered_counts(clusters, 200, 3)
    of_cluster = resampling_counts(3, 200, 3)  # a, b, c
    np.testing.assert_array_equal(counts, of_cluster[:, [1, 0, 1, 1, 2]])


def test_the_mean_of_alike_items_varies_as_that_of_their_clusters():
    """The draws of single items say that it varies four times less, in variance."""
    rng = np.random.default_rng(0)
    speakers = np.repeat(np.arange(40).astype(str), 4)
    values = np.repeat(rng.standard_normal(40), 4)
    clustered = clustered_counts(speakers, 4000, 0)
    by_speaker = clustered @ values / clustered.sum(axis=1)
    by_item = resampling_counts(160, 4000, 0) @ values / 160
    expected = values.var() / 40
    assert by_speaker.var() == pytest.approx(expected, rel=0.1)
    assert by_item.var() == pytest.approx(expected / 4, rel=0.1)
