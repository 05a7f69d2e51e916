import matplotlib.pyplot as plt
import numpy as np
import pytest

from bthelpers.figures.recordings.topography import project, topographies
from bthelpers.simulation.recordings.cap import electrodes

PLACES = np.stack([*electrodes().values()])
SMOOTH = PLACES[:, 1] / PLACES[:, 1].max()


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.mark.parametrize(("scale", "centre"), [(1, (0, 0, 0)), (1000, (3, -20, 40))])
def test_the_map_is_that_of_angles_on_the_sphere(scale, centre):
    """Wherever the head is in its coordinates, and in any unit."""
    unit = PLACES / np.linalg.norm(PLACES, axis=1, keepdims=True)
    distance = 2 * np.arccos(np.clip(unit[:, 2], -1, 1)) / np.pi
    around = np.arctan2(unit[:, 1], unit[:, 0])
    expected = np.column_stack([distance * np.cos(around), distance * np.sin(around)])
    np.testing.assert_allclose(project(scale * PLACES + centre), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("positions", "message"),
    [
        (PLACES[:3], "4 finite positions"),
        (np.full((5, 3), np.nan), "4 finite positions"),
        (np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0], [2, 1, 0.0]]), "in one plane"),
    ],
)
def test_electrodes_that_make_no_head(positions, message):
    with pytest.raises(ValueError, match=message):
        project(positions)


def test_colours_pass_through_the_values():
    figure = topographies({"one": SMOOTH, "other": 2 * SMOOTH}, PLACES, "r")
    one, other = (axes for axes in figure.axes if axes.get_title())
    image = one.images[0]
    assert image.get_clim() == other.images[0].get_clim() == (2 * SMOOTH.min(), 2)
    pixels, (left, right, bottom, top) = image.get_array(), image.get_extent()
    for (across, front), value in zip(project(PLACES), SMOOTH, strict=True):
        column = int((across - left) / (right - left) * len(pixels))
        row = int((front - bottom) / (top - bottom) * len(pixels))
        assert pixels[row, column] == pytest.approx(value, abs=0.03)
    assert image.get_clip_path() is not None  # colours end around the head
    (scale,) = (axes for axes in figure.axes if not axes.get_title())
    assert scale.get_ylabel() == "r"


def test_electrodes_without_a_value_are_hollow():
    values = SMOOTH.copy()
    values[::2] = np.nan
    axes = topographies({"half": values}, PLACES, "r").axes[0]
    full, hollow = axes.collections
    assert (len(full.get_offsets()), len(hollow.get_offsets())) == (32, 32)
    assert len(hollow.get_facecolors()) == 0


@pytest.mark.parametrize("values", [SMOOTH[:-1], np.r_[SMOOTH[:3], np.full(61, np.nan)]])
def test_too_few_values(values):
    with pytest.raises(ValueError, match=r"few: .* a map needs 4 or more of 64"):
        topographies({"few": values}, PLACES, "r")
