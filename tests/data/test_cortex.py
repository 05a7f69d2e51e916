import os
import shutil

import nibabel
import numpy as np
import pytest
from anatomy_dataset import (
    PARTICIPANT,
    VOXEL_SIZE_MM,
    files_of,
    make_read_only,
    midthickness,
    transform_folder,
    write_anatomy,
)
from scipy.spatial import cKDTree

from bthelpers.core.errors import DatasetError
from bthelpers.data.cortex import parcels, pycortex_subject, region_masks, vertex_voxels
from bthelpers.data.dataset import Dataset
from bthelpers.data.regions import load_regions

FOUR_PARTS = ["angular_gyrus", "lateral_temporal", "inferior_frontal", "middle_frontal"]


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


@pytest.fixture(scope="module")
def voxel_mm(dataset):
    """Centres (voxel, 3) in mm of the voxels, in the order z, y, x of pycortex's volumes."""
    image = nibabel.load(transform_folder(dataset) / "mask_thick.nii.gz")
    zyx = np.argwhere(np.asarray(image.dataobj).T)
    return nibabel.affines.apply_affine(image.affine, zyx[:, ::-1])


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


# Template


def template_points(dataset):
    """Points (vertex, 3) on the template's registered spheres of 100 mm, left then right."""
    surf = dataset.freesurfer_subjects / "fsaverage/surf"
    spheres = [nibabel.freesurfer.read_geometry(surf / f"{h}.sphere.reg")[0] for h in ("lh", "rh")]
    return np.vstack(
        [100 * sphere / np.linalg.norm(sphere, axis=1, keepdims=True) for sphere in spheres]
    )


def test_every_template_vertex_has_the_voxel_where_its_cortex_lies(dataset, voxel_mm):
    """The participant's vertices are the template's: a voxel is at most its diagonal away."""
    voxels = vertex_voxels(dataset, PARTICIPANT)
    assert voxels.shape == (2 * 32_492,)
    assert (voxels >= 0).all()
    away = np.linalg.norm(voxel_mm[voxels] - midthickness(dataset), axis=1)
    assert np.quantile(away, 0.99) < VOXEL_SIZE_MM * np.sqrt(3) / 2 + 2
    assert (voxel_mm[voxels[:32_492], 0] < VOXEL_SIZE_MM).all()
    assert (voxel_mm[voxels[32_492:], 0] > -VOXEL_SIZE_MM).all()


def test_a_smooth_map_is_recovered_on_a_template_of_other_vertices(copied, voxel_mm):
    """Planted by its course on the sphere; folds that meet in a voxel of 8 mm blur it a little."""
    points = template_points(copied)
    _, nearest = cKDTree(midthickness(copied)).query(voxel_mm)
    in_voxels = np.sin(points[nearest] / 40)  # (voxel, 3)
    surf, rng = copied.freesurfer_subjects / "fsaverage/surf", np.random.default_rng(0)
    for hemisphere in ("lh", "rh"):
        sphere, faces = nibabel.freesurfer.read_geometry(surf / f"{hemisphere}.sphere.reg")
        others = sphere[faces[rng.permutation(len(faces))[:5000]]].mean(axis=1)
        nibabel.freesurfer.write_geometry(
            surf / f"{hemisphere}.sphere.reg", others, faces[:1], create_stamp="test"
        )
    voxels = vertex_voxels(copied, PARTICIPANT)
    expected = np.sin(template_points(copied) / 40)
    assert voxels.shape == (10_000,)
    for found, planted in zip(in_voxels[voxels].T, expected.T, strict=True):
        assert np.corrcoef(found, planted)[0, 1] > 0.95


def test_vertices_outside_of_the_mask_have_no_voxel(copied, voxel_mm):
    """A mask without the left of the head moves the numbers of the voxels that it keeps."""
    before = vertex_voxels(copied, PARTICIPANT)
    path = transform_folder(copied) / "mask_thick.nii.gz"
    image = nibabel.load(path)
    mask, left = np.asarray(image.dataobj).copy(), voxel_mm[:, 0] < 0
    z, y, x = np.argwhere(mask.T)[left].T
    mask[x, y, z] = 0
    nibabel.save(nibabel.Nifti1Image(mask, image.affine), path)
    after, stays = vertex_voxels(copied, PARTICIPANT), ~left[before]
    np.testing.assert_array_equal(np.flatnonzero(~left)[after[stays]], before[stays])
    assert (after[~stays] == -1).mean() > 0.95  # the others reach into a voxel that is kept


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fsaverage", r"fsaverage/surf/rh\.sphere\.reg is missing.*fetch_fsaverage"),
        (PARTICIPANT, r"sim01/surf/rh\.sphere\.reg is missing: it comes with FreeSurfer's"),
    ],
)
def test_registered_sphere_missing(copied, name, message):
    (copied.freesurfer_subjects / name / "surf/rh.sphere.reg").unlink()
    with pytest.raises(DatasetError, match=message):
        vertex_voxels(copied, PARTICIPANT)


def test_registered_sphere_of_other_vertices_than_pycortex(copied):
    path = copied.freesurfer_subjects / PARTICIPANT / "surf/rh.sphere.reg"
    points, faces = nibabel.freesurfer.read_geometry(path)
    nibabel.freesurfer.write_geometry(path, points[:-1], faces, create_stamp="test")
    with pytest.raises(DatasetError, match=r"rh\.sphere\.reg has 32491 vertices.*have 32492"):
        vertex_voxels(copied, PARTICIPANT)


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


def test_read_only_store_is_used_and_left_alone(copied, monkeypatch, voxel_parcels):
    make_read_only(copied, monkeypatch)
    before = files_of(copied.root)
    np.testing.assert_array_equal(parcels(copied, PARTICIPANT), voxel_parcels)
    assert files_of(copied.root) == before


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
