import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from bthelpers.encoding.stages.dimension import (
    NEIGHBOURS,
    layer_dimensions,
    participation_ratio,
    two_nearest_neighbours,
)


def cube(dimensions, features, n_points=2000, seed=0):
    """Points of a cube of few dimensions, turned into a space of more."""
    rng = np.random.default_rng(seed)
    points = np.zeros((n_points, features))
    points[:, :dimensions] = rng.random((n_points, dimensions))
    return points @ np.linalg.qr(rng.normal(size=(features, features)))[0]


@pytest.mark.parametrize("dimensions", [1, 2, 5, 8])
def test_both_find_the_planted_dimension(dimensions):
    points = cube(dimensions, 20)
    assert participation_ratio(points) == pytest.approx(dimensions, rel=0.02)
    assert two_nearest_neighbours(points) == pytest.approx(dimensions, rel=0.15)


def test_a_curved_sheet_has_two_dimensions_and_a_linear_one_of_three():
    """The intrinsic dimension is that of the sheet, the linear one that of the room it needs."""
    rng = np.random.default_rng(0)
    angle, height = rng.uniform(0, 2 * np.pi, 3000), rng.uniform(-1, 1, 3000)
    sheet = np.column_stack([np.cos(angle), np.sin(angle), height])
    assert two_nearest_neighbours(sheet) == pytest.approx(2, rel=0.08)
    assert participation_ratio(sheet) > 2.7


@given(st.integers(0, 100), st.floats(0.1, 10))
def test_the_participation_ratio_is_that_of_the_eigenvalues(seed, scale):
    points = scale * np.random.default_rng(seed).normal(size=(13, 4)) * [1, 2, 3, 4]
    eigenvalues = np.linalg.eigvalsh(np.cov(points.T))
    expected = eigenvalues.sum() ** 2 / (eigenvalues**2).sum()
    assert participation_ratio(points) == pytest.approx(expected)


def test_neighbours_are_those_of_a_plain_loop_over_several_blocks_of_rows(monkeypatch):
    monkeypatch.setattr("bthelpers.encoding.stages.dimension.ROWS_AT_ONCE", 7)
    points = np.random.default_rng(0).normal(size=(41, 3))
    story = np.repeat(["a", "b"], [19, 22])
    logs = []
    for k, point in enumerate(points):
        others = [
            np.linalg.norm(point - other)
            for j, other in enumerate(points)
            if story[j] != story[k] or abs(j - k) > NEIGHBOURS
        ]
        first, second = np.sort(others)[:2]
        logs.append(np.log(second / first))
    assert two_nearest_neighbours(points, story) == pytest.approx(40 / np.sum(logs))


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([[0, 1], [np.nan, 1], [2, 2]], "1 values of the points are not finite"),
        ([[1, 2], [1, 2], [1, 2]], "nothing varies"),
        ([[0, 0], [0, 0], [1, 2]], "two points are the same"),
        ([[0, 0], [1, 2]], "fewer than two neighbours"),
        ([[0.0], [1], [3], [4]], None),
    ],
)
def test_points_without_a_dimension_are_refused(points, message):
    if message is None:
        assert two_nearest_neighbours(points) > 0
    else:
        with pytest.raises(ValueError, match=message):
            two_nearest_neighbours(points)


def test_layers_are_measured_each_and_repeated_trs_are_counted():
    layers = np.stack([cube(2, 9, 400), cube(5, 9, 400)])
    layers[1, 300] = layers[1, 20]
    representations = xr.DataArray(
        layers, {"layer": [0, 3], "story": ("tr", ["a"] * 250 + ["b"] * 150)}, ("layer", "tr", "x")
    ).rename(x="feature")
    found = layer_dimensions(representations)
    np.testing.assert_allclose(found["participation_ratio"], [2, 5], rtol=0.1)
    np.testing.assert_allclose(found["two_nearest_neighbours"], [2, 5], rtol=0.25)
    assert found["n_repeated"].values.tolist() == [0, 1]
    assert found["n_points"] == 400
    assert found["layer"].values.tolist() == [0, 3]
