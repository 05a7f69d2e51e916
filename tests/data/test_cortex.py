import json
import os
import shutil

import matplotlib.pyplot as plt
import nibabel
import numpy as np
import pytest
from scipy.spatial import cKDTree

from bthelpers.core.errors import DatasetError
from bthelpers.data.cortex import parcels, pycortex_subject, region_masks
from bthelpers.data.dataset import Dataset
from bthelpers.data.regions import load_regions
from bthelpers.figures.flatmap import flatmap, symmetric_limits
from bthelpers.simulation.anatomy import write_atlas, write_participant_anatomy

PARTICIPANT = "sim01"
VOXEL_SIZE_MM = 8.0
FOUR_PARTS = ["angular_gyrus", "lateral_temporal", "inferior_frontal", "middle_frontal"]


def write_dataset(root, seed):
    write_atlas(root)
    n_voxels = write_participant_anatomy(root, PARTICIPANT, VOXEL_SIZE_MM, seed=seed)
    transforms = {PARTICIPANT: f"{PARTICIPANT}_auto"}
    (root / "derivative/subject_xfms.json").write_text(json.dumps(transforms))
    return n_voxels


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("anatomy")
    write_dataset(root, seed=1)
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


@pytest.fixture(scope="module")
def voxel_mm(dataset):
    """Centres (voxel, 3) in mm of the voxels, in the order z, y, x of pycortex's volumes."""
    image = nibabel.load(transform_folder(dataset) / "mask_thick.nii.gz")
    zyx = np.argwhere(np.asarray(image.dataobj).T)
    return nibabel.affines.apply_affine(image.affine, zyx[:, ::-1])


def transform_folder(dataset):
    return dataset.pycortex_store / PARTICIPANT / "transforms" / f"{PARTICIPANT}_auto"


def midthickness(dataset):
    """Points (vertex, 3) halfway through the cortex, left then right, from FreeSurfer's files."""
    folder = dataset.freesurfer_subjects / PARTICIPANT / "surf"
    white, pial = (
        np.vstack(
            [nibabel.freesurfer.read_geometry(folder / f"{h}.{name}")[0] for h in ("lh", "rh")]
        )
        for name in ("white", "pial")
    )
    return (white + pial) / 2


# The written anatomy


# Voxels of regions


def test_masks_are_labelled(dataset, masks):
    assert masks.dims == ("region", "voxel")
    assert masks.dtype == bool
    assert list(masks.region.values) == list(load_regions())
    assert masks.sizes["voxel"] == dataset.n_voxels(PARTICIPANT)
    assert masks.any("voxel").all()


def test_sets_nest(masks):
    mask = {str(name): masks.sel(region=name).values for name in masks.region.values}
    assert (mask["early_auditory"] >= mask["primary_auditory"]).all()
    assert mask["early_auditory"].sum() > mask["primary_auditory"].sum()
    np.testing.assert_array_equal(mask["late_language"], sum(mask[part] for part in FOUR_PARTS) > 0)
    assert not (mask["late_language"] & mask["early_auditory"]).any()


def test_masks_are_the_parcels(dataset, voxel_parcels):
    one_side = {"left": ("L_A1", "L_A4"), "right": ("R_A1",)}
    masks = region_masks(dataset, PARTICIPANT, one_side)
    for name, members in one_side.items():
        expected = [parcel in members for parcel in voxel_parcels]
        np.testing.assert_array_equal(masks.sel(region=name), expected)


def test_hemispheres_by_coordinate(voxel_parcels, voxel_mm):
    side = np.array([parcel[:1] for parcel in voxel_parcels])
    assert set(side) == {"", "L", "R"}
    assert (voxel_mm[side == "L", 0] < VOXEL_SIZE_MM).all()
    assert (voxel_mm[side == "R", 0] > -VOXEL_SIZE_MM).all()


def test_parcels_agree_with_the_nearest_vertex(dataset, voxel_parcels, voxel_mm):
    _, nearest = cKDTree(midthickness(dataset)).query(voxel_mm)
    expected = dataset.vertex_parcels(PARTICIPANT)[nearest]
    has_parcel = voxel_parcels != ""
    assert has_parcel.mean() > 0.5
    assert (voxel_parcels == expected)[has_parcel].mean() > 0.9


def test_region_without_voxels(dataset):
    absent = {"auditory": ("L_A1",), "nowhere": ("L_V9", "R_V9")}
    message = r"'nowhere' holds no voxel of sim01.*\(L_V9, R_V9\)"
    with pytest.raises(DatasetError, match=message):
        region_masks(dataset, PARTICIPANT, absent)


def test_template_may_have_other_vertices_in_another_order(copied, voxel_parcels):
    """Those of the participant are among them, so that the nearest ones are known."""
    folder, rng = copied.freesurfer_subjects / "fsaverage", np.random.default_rng(0)
    for hemisphere in ("lh", "rh"):
        sphere, annotation = (
            folder / f"{name.format(hemisphere)}"
            for name in ("surf/{}.sphere.reg", "label/{}.HCPMMP1.annot")
        )
        points, faces = nibabel.freesurfer.read_geometry(sphere)
        labels, colours, names = nibabel.freesurfer.read_annot(annotation)
        points = np.vstack([points, points[faces].mean(axis=1)])
        labels = np.concatenate([labels, rng.integers(0, 181, len(faces))])
        order = rng.permutation(len(points))
        nibabel.freesurfer.write_geometry(sphere, 0.5 * points[order], faces, create_stamp="test")
        nibabel.freesurfer.write_annot(annotation, labels[order], colours, names, fill_ctab=False)
    np.testing.assert_array_equal(parcels(copied, PARTICIPANT), voxel_parcels)


def test_own_annotation_needs_no_template(copied, voxel_parcels):
    template = copied.freesurfer_subjects / "fsaverage"
    (template / "label").rename(copied.freesurfer_subjects / PARTICIPANT / "label")
    shutil.rmtree(template)
    np.testing.assert_array_equal(parcels(copied, PARTICIPANT), voxel_parcels)


def test_atlas_missing(copied):
    shutil.rmtree(copied.freesurfer_subjects / "fsaverage")
    with pytest.raises(DatasetError, match=r"lh.HCPMMP1.annot is missing.*fetch_hcp_mmp"):
        parcels(copied, PARTICIPANT)


def test_sphere_of_another_reconstruction(copied):
    path = copied.freesurfer_subjects / PARTICIPANT / "surf/rh.sphere.reg"
    points, faces = nibabel.freesurfer.read_geometry(path)
    nibabel.freesurfer.write_geometry(path, points[:-1], faces, create_stamp="test")
    with pytest.raises(DatasetError, match=r"wm_rh.gii has 32492 vertices.*of the rh.*have 32491"):
        parcels(copied, PARTICIPANT)


def test_surfaces_as_older_pycortex_wrote_them(copied, voxel_parcels):
    """Those of UTS02 are archives of NumPy."""
    for path in (copied.pycortex_store / PARTICIPANT / "surfaces").glob("*.gii"):
        points, faces = nibabel.load(path).agg_data()
        np.savez(path.with_suffix(".npz"), pts=points.astype(float), polys=faces.astype(int))
        path.unlink()
    shutil.rmtree(copied.pycortex_store / PARTICIPANT / "cache")
    np.testing.assert_array_equal(parcels(copied, PARTICIPANT), voxel_parcels)


def test_pycortex_subject_missing(copied):
    shutil.rmtree(copied.pycortex_store / PARTICIPANT)
    with pytest.raises(DatasetError, match="pycortex-db/sim01 is missing"):
        parcels(copied, PARTICIPANT)


# pycortex's store


def test_users_store_is_left_alone(dataset):
    with pycortex_subject(dataset.pycortex_store, PARTICIPANT) as cortex:
        assert list(cortex.db) == [PARTICIPANT]
    assert cortex.db.filestore != str(dataset.pycortex_store)
    assert not cortex.options.config.has_option("basic", "cache")
    assert PARTICIPANT not in cortex.db


def test_interrupted_work_leaves_no_cache(copied):
    cache = copied.pycortex_store / PARTICIPANT / "cache"

    def work(name):
        with pycortex_subject(copied.pycortex_store, PARTICIPANT) as cortex:
            (known := sorted(path.name for path in cache.glob("*")))
            with open(f"{cortex.db.get_cache(PARTICIPANT)}/{name}", "w") as file:
                file.write("half")
                if name == "killed.npz":
                    raise KeyboardInterrupt
        return known

    with pytest.raises(KeyboardInterrupt):
        work("killed.npz")
    before = work("whole.npz")
    assert "killed.npz" not in before
    assert sorted(path.name for path in cache.iterdir()) == sorted([*before, "whole.npz"])
    assert (cache / "whole.npz").read_text() == "half"
    assert not list(copied.pycortex_store.parent.glob(".pycortex-*"))


@pytest.fixture
def read_only(copied, monkeypatch):
    """A dataset that cannot be written, with neither caches nor the folders pycortex makes."""
    subject = copied.pycortex_store / PARTICIPANT
    for name in ("cache", "views"):
        shutil.rmtree(subject / name)
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).startswith(str(copied.root)))
    return copied


def files_of(root):
    return {path: path.stat().st_mtime_ns for path in root.rglob("*")}


def test_read_only_store_is_used_and_left_alone(read_only, voxel_parcels, draw):
    before = files_of(read_only.root)
    np.testing.assert_array_equal(parcels(read_only, PARTICIPANT), voxel_parcels)
    draw(voxel_parcels == "L_A1", dataset=read_only)
    assert files_of(read_only.root) == before


def test_outdated_mapping_is_made_again(copied, voxel_parcels):
    cache = copied.pycortex_store / PARTICIPANT / f"cache/{PARTICIPANT}_auto_linenn.npz"
    parcels(copied, PARTICIPANT)
    cache.write_bytes(b"of an earlier transform")
    os.utime(cache, (1, 1))
    with pycortex_subject(copied.pycortex_store, PARTICIPANT) as cortex:
        cortex.get_mapper(PARTICIPANT, f"{PARTICIPANT}_auto", "line_nearest")
        assert cache.read_bytes() == b"of an earlier transform"  # until the new one is complete
    assert cache.stat().st_size > 1000
    np.testing.assert_array_equal(parcels(copied, PARTICIPANT), voxel_parcels)


def test_folders_may_be_links(copied, tmp_path, voxel_parcels):
    subject = copied.pycortex_store / PARTICIPANT
    shutil.rmtree(subject / "cache")
    for folder in (subject / "surfaces", subject):
        folder.rename(tmp_path / folder.name)
        folder.symlink_to(tmp_path / folder.name)
    np.testing.assert_array_equal(parcels(copied, PARTICIPANT), voxel_parcels)
    assert (subject / "cache").is_dir()


# Flatmaps


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
