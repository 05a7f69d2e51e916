import shutil

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from anatomy_dataset import PARTICIPANT, files_of, make_read_only, write_anatomy
from drawn_figures import bars_and_errors, drawn

from bthelpers.data.cortex import parcels, region_masks
from bthelpers.data.dataset import Dataset
from bthelpers.data.regions import load_regions
from bthelpers.figures.alignment import alignment_overview
from bthelpers.figures.flatmap import SIDES, brain_map, flatmap, symmetric_limits


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("anatomy")
    write_anatomy(root, seed=1)
    return Dataset(root)


@pytest.fixture
def copied(dataset, tmp_path):
    """Copy of the dataset to change."""
    shutil.copytree(dataset.root, tmp_path / "data")
    return Dataset(tmp_path / "data")


@pytest.fixture(scope="module")
def voxel_parcels(dataset):
    return parcels(dataset, PARTICIPANT)


@pytest.fixture(scope="module")
def masks(dataset):
    return region_masks(dataset, PARTICIPANT)


@pytest.fixture
def draw(dataset):
    """Draw a flatmap and return its figure and the image of the values."""

    def draw(values, dataset=dataset, **kwargs):
        figure = flatmap(dataset, PARTICIPANT, values, label="alignment (correlation)", **kwargs)
        return figure, figure.axes[0].get_images()[1].get_array().filled(np.nan)

    yield draw
    plt.close("all")


def test_flatmap_shows_all_values(dataset, draw):
    figure, image = draw(np.full(dataset.n_voxels(PARTICIPANT), 0.25), vmin=0, vmax=1)
    assert 0.3 < np.isfinite(image).mean() < 0.9  # the rest lies off the cortex
    np.testing.assert_allclose(image[np.isfinite(image)], 0.25)
    colour_bar = figure.axes[1]
    assert colour_bar.get_xlabel() == "alignment (correlation)"
    figure.canvas.draw()
    assert len(np.unique(np.asarray(figure.canvas.buffer_rgba())[..., :3])) > 20


def test_flatmap_leaves_nan_blank(dataset, draw, voxel_parcels):
    left = np.char.startswith(voxel_parcels, "L_")
    _, image = draw(np.where(left, 1.0, np.nan), vmin=0, vmax=1)
    half = image.shape[1] // 2
    assert np.isfinite(image[:, :half]).mean() > 0.3
    assert np.isfinite(image[:, half:]).mean() < 0.03  # both hemispheres share midline voxels


def test_flatmap_puts_visual_cortex_in_the_middle(dataset, draw, voxel_parcels):
    early_visual = np.isin(voxel_parcels, ["L_V1", "R_V1"])
    _, image = draw(np.where(early_visual, 1.0, np.nan), vmin=0, vmax=1)
    columns = np.nonzero(np.isfinite(image).any(axis=0))[0] / image.shape[1]
    assert columns.min() > 0.25
    assert columns.max() < 0.75


def test_flatmap_outlines_surround_their_region(dataset, draw, masks):
    regions = {"early_auditory": load_regions()["early_auditory"]}
    inside = masks.sel(region="early_auditory").values
    figure, image = draw(np.where(inside, 1.0, np.nan), vmin=0, vmax=1, outlines=regions)
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["early auditory"]
    (outline,) = axes.collections
    left, right, bottom, top = axes.get_images()[1].get_extent()
    rows, columns = np.nonzero(np.isfinite(image))
    pixels = np.stack(
        [
            left + (columns + 0.5) / image.shape[1] * (right - left),
            top - (rows + 0.5) / image.shape[0] * (top - bottom),
        ],
        axis=1,
    )
    within = sum(path.contains_points(pixels).astype(int) for path in outline.get_paths())
    assert within.mean() > 0.7  # coarse voxels reach over the border of their parcel


@pytest.mark.parametrize(
    ("limits", "arrows"),
    [((0, 1), "neither"), ((0.5, 1), "min"), ((0, 0.5), "max"), ((0.4, 0.5), "both")],
)
def test_colour_bar_shows_that_values_lie_beyond(dataset, draw, limits, arrows):
    values = np.linspace(0, 1, dataset.n_voxels(PARTICIPANT))
    figure, _ = draw(values, vmin=limits[0], vmax=limits[1])
    assert figure.axes[0].get_images()[1].colorbar.extend == arrows


def test_flatmap_into_given_axes(dataset, draw):
    figure, axes = plt.subplots(1, 2)
    returned, _ = draw(np.zeros(dataset.n_voxels(PARTICIPANT)), ax=axes[0])
    assert returned is figure
    assert not axes[1].get_images()


def red(figure, side):
    """Columns and rows of a panel that are red, from 0 (left, bottom) to 1, and their share."""
    figure.canvas.draw()
    image = np.asarray(figure.canvas.buffer_rgba())[::-1, :, :3].astype(int)
    [axes] = [axes for axes in figure.axes if axes.get_title() == side]
    (left, bottom), (right, top) = axes.get_window_extent().get_points().astype(int)
    panel = image[bottom:top, left:right]
    is_red = panel[..., 0] > 2 * panel[..., 1:].max(axis=-1)
    rows, columns = np.nonzero(is_red)
    return columns / is_red.shape[1], rows / is_red.shape[0], is_red.mean()


@pytest.fixture
def seen(dataset, voxel_parcels):
    """Where parcels are seen from each side when they alone have a value, drawn in red."""

    def seen(*members):
        values = np.where(np.isin(voxel_parcels, members), 1.0, np.nan)
        figure = brain_map(dataset, PARTICIPANT, values, label="", cmap="Reds", vmin=0, vmax=1.2)
        return {side: red(figure, side) for side in SIDES}

    yield seen
    plt.close("all")


def test_sides_show_what_lies_on_them(seen):
    lateral = seen("L_TE1a", "L_TE1p", "R_TE1a", "R_TE1p")  # middle temporal gyrus
    medial = seen("L_V1", "R_V1", "L_POS1", "R_POS1", "L_7m", "R_7m")  # calcarine, precuneus
    for side in SIDES:
        seen_more, seen_less = (lateral, medial) if "lateral" in side else (medial, lateral)
        assert seen_more[side][2] > 0.02, side
        assert seen_less[side][2] < seen_more[side][2] / 3, side


def test_a_hemisphere_is_seen_from_its_own_sides(seen):
    left = seen("L_TE1a", "L_TE1p", "L_POS1", "L_7m")
    assert all((left[side][2] > 0.01) == side.startswith("left") for side in SIDES)


def test_the_front_of_the_brain_points_away_from_the_midline_of_the_figure(seen):
    """Lateral views as neurologists print them: the left hemisphere looks left, the right right."""
    occipital = seen("L_V1", "R_V1", "L_V2", "R_V2")
    superior = seen("L_4", "R_4", "L_3b", "R_3b")  # about the central sulcus
    behind = {side: np.median(occipital[side][0]) for side in SIDES}
    assert behind["left, medial"] < 0.5 < behind["right, medial"]
    assert all(np.median(superior[side][1]) > 0.5 for side in SIDES)  # up is up
    frontal = seen("L_45", "R_45", "L_47l", "R_47l")
    assert np.median(frontal["left, lateral"][0]) < 0.5 < np.median(frontal["right, lateral"][0])


def test_sides_have_the_colours_of_the_flatmap(dataset):
    values = np.full(dataset.n_voxels(PARTICIPANT), 0.25)
    figure = brain_map(dataset, PARTICIPANT, values, label="r", cmap="viridis", vmin=0, vmax=1)
    expected = plt.get_cmap("viridis")(0.25)[:3]
    for axes in figure.axes:
        if axes.get_title() in SIDES:
            [mesh] = axes.collections
            shaded = mesh.get_facecolors()[:, :3]
            brightness = shaded.max(axis=1, keepdims=True) / max(expected)
            hue = np.abs(shaded / brightness - expected).max(axis=1)
            assert (hue < 0.01).mean() > 0.85  # the rest, the medial wall, has no voxels: grey
            assert brightness.min() >= 0.5
            assert brightness.max() <= 1.001
    plt.close(figure)


def test_a_side_without_values_shows_curvature(dataset, voxel_parcels):
    left = np.where(np.char.startswith(voxel_parcels, "L_"), 0.5, np.nan)
    figure = brain_map(dataset, PARTICIPANT, left, label="r")
    [axes] = [axes for axes in figure.axes if axes.get_title() == "right, lateral"]
    colours = axes.collections[0].get_facecolors()
    assert len(np.unique(colours[:, 0])) > 20
    assert (np.ptp(colours[:, :3], axis=1) < 1e-6).mean() > 0.97
    plt.close(figure)


def test_flatmap_of_wrong_values(dataset):
    with pytest.raises(ValueError, match="voxels, got values"):
        flatmap(dataset, PARTICIPANT, np.zeros(3), label="")
    with pytest.raises(ValueError, match="no finite value"):
        flatmap(dataset, PARTICIPANT, np.full(dataset.n_voxels(PARTICIPANT), np.nan), label="")


def test_symmetric_limits():
    values = np.array([-3.0, 1.0, np.nan, 2.0])
    assert symmetric_limits(values, quantile=1) == (-3, 3)
    low, high = symmetric_limits(values, quantile=0.5)
    assert (low, high) == (-2, 2)


def test_read_only_store_is_drawn_from_and_left_alone(copied, monkeypatch, voxel_parcels, draw):
    make_read_only(copied, monkeypatch)
    before = files_of(copied.root)
    draw(voxel_parcels == "L_A1", dataset=copied)
    assert files_of(copied.root) == before


@pytest.mark.parametrize("n_participants", [1, 3])
def test_an_overview_has_the_gain_beside_bars_of_all_participants(dataset, n_participants):
    n_voxels = dataset.n_voxels(PARTICIPANT)
    gain = np.where(np.arange(n_voxels) % 2, 0.1, np.nan)
    values = np.random.default_rng(0).uniform(0.1, 0.5, (n_participants, 2, 4, 1))
    dims = ("participant", "condition", "layer", "region")
    coords = {"condition": ["pretrained", "brain-tuned"], "region": ["late_language"]}
    alignment = xr.DataArray(values, coords, dims)
    figure = alignment_overview(dataset, PARTICIPANT, gain, alignment, "late_language")
    flat, bars, *_ = drawn(figure).axes
    shown = flat.get_images()[1].get_array().compressed()
    np.testing.assert_allclose(shown[np.isfinite(shown)], 0.1)
    heights = [bar[0].get_height() for bar in bars_and_errors(bars)[0]]
    np.testing.assert_allclose(heights, values[:, :, 1:].mean(axis=(0, 2, 3)))
