import shutil

import matplotlib.pyplot as plt
import numpy as np
import pytest
from anatomy_dataset import PARTICIPANT, files_of, make_read_only, write_anatomy

from bthelpers.data.cortex import parcels, region_masks
from bthelpers.data.dataset import Dataset
from bthelpers.data.regions import load_regions
from bthelpers.figures.flatmap import flatmap, symmetric_limits


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
