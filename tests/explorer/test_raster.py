import numpy as np
import pytest
from anatomy_dataset import PARTICIPANT, midthickness
from matplotlib.path import Path
from unpacked import unpack

from bthelpers.data.cortex import parcels, pycortex_subject
from bthelpers.data.regions import load_regions
from bthelpers.explorer.raster import flatmap_raster


@pytest.fixture(scope="module")
def dataset(catalogue):
    return catalogue.drawn_on(None, PARTICIPANT)


@pytest.fixture(scope="module")
def raster(dataset):
    regions = {name: load_regions()[name] for name in ("early_auditory", "late_language")}
    return flatmap_raster(dataset, PARTICIPANT, regions)


def test_a_pixel_shows_the_voxel_halfway_through_the_cortex(dataset, raster):
    """Against the vertex that lies at the pixel, and the affine of the functional volume."""
    transform = dataset.transform(PARTICIPANT)
    with pycortex_subject(dataset.pycortex_store, PARTICIPANT) as cortex:
        flat, faces = cortex.db.get_surf(PARTICIPANT, "flat", merge=True, nudge=True)
        xfm = cortex.db.get_xfm(PARTICIPANT, transform, xfmtype="coord")
        mask = cortex.db.get_mask(PARTICIPANT, transform, "thick")
    used = np.unique(faces)
    low, high = flat[used].min(axis=0), flat[used].max(axis=0)
    rows, columns = raster.voxel.shape
    share = ((flat[used] - low) / np.where(high > low, high - low, 1))[:, :2]
    x, y = np.rint(share * (columns - 1, rows - 1)).astype(int).T
    shown = raster.voxel[rows - 1 - y, x]
    i, j, k = np.rint(xfm(midthickness(dataset)[used])).astype(int).T
    numbers = np.full(mask.shape, -1)
    numbers[mask] = np.arange(mask.sum())
    assert (
        shown == numbers[k, j, i]
    ).mean() > 0.9  # the others are less than a pixel from a border


def test_voxels_on_no_pixel_are_counted(dataset, raster):
    n_voxels = dataset.n_voxels(PARTICIPANT)
    seen = set(raster.voxel.ravel().tolist()) - {-1}
    assert raster.n_voxels == n_voxels
    assert raster.unseen == n_voxels - len(seen)
    assert seen <= set(range(n_voxels))


def test_outlines_surround_their_region(dataset, raster):
    names = parcels(dataset, PARTICIPANT)
    inside = np.isin(names, load_regions()["early_auditory"])
    rows, columns = np.nonzero((raster.voxel >= 0) & inside[raster.voxel])
    lines = raster.outlines["early_auditory"]
    points = np.stack([columns, rows], axis=1)
    within = sum(Path(line).contains_points(points).astype(int) for line in lines)
    assert within.mean() > 0.7  # coarse voxels reach over the border of their parcel


def test_curvature_covers_the_cortex(raster):
    cortex, some = raster.curvature > 0, raster.voxel[::2, ::2] >= 0
    assert raster.curvature.max() <= 15
    assert (cortex >= some).mean() > 0.99


def test_the_catalogue_hands_the_raster_on(catalogue, raster):
    described = catalogue.description["participants"][PARTICIPANT]
    arrays = unpack(catalogue.chunk(described["map"]))
    np.testing.assert_array_equal(arrays["voxel"], raster.voxel + 1)
    assert described["unseen"] == raster.unseen
