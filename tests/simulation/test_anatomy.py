import json

import nibabel
import numpy as np
import pytest
from anatomy_dataset import (
    PARTICIPANT,
    VOXEL_SIZE_MM,
    midthickness,
    transform_folder,
    write_anatomy,
)
from scipy.spatial import cKDTree

from bthelpers.data.dataset import Dataset
from bthelpers.data.regions import GLASSER_AREAS
from bthelpers.simulation import anatomy


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("anatomy")
    write_anatomy(root, seed=1)
    return Dataset(root)


def test_atlas_is_on_the_template(dataset):
    folder = dataset.freesurfer_subjects / "fsaverage"
    for hemisphere, side in (("lh", "L"), ("rh", "R")):
        labels, _, names = nibabel.freesurfer.read_annot(
            folder / f"label/{hemisphere}.HCPMMP1.annot"
        )
        assert len(names) == 181
        assert f"{side}_A1_ROI".encode() in names
        assert set(np.unique(labels)) == set(range(181))  # every parcel has a colour of its own
        sphere, _ = nibabel.freesurfer.read_geometry(folder / f"surf/{hemisphere}.sphere.reg")
        assert len(sphere) == len(labels)


def test_anatomy_is_complete(dataset):
    dataset.require_anatomy(PARTICIPANT)
    folder = dataset.freesurfer_subjects / PARTICIPANT
    assert not (folder / "label").exists()  # as in ds003020, which has no Glasser labels
    for hemisphere, side in (("lh", "L"), ("rh", "R")):
        sphere, _ = nibabel.freesurfer.read_geometry(folder / f"surf/{hemisphere}.sphere.reg")
        np.testing.assert_allclose(np.linalg.norm(sphere, axis=1), 100, atol=0.1)
        for freesurfer, pycortex in (("white", "wm"), ("pial", "pia")):
            points, faces = nibabel.freesurfer.read_geometry(
                folder / f"surf/{hemisphere}.{freesurfer}"
            )
            same = nibabel.load(
                dataset.pycortex_store / PARTICIPANT / f"surfaces/{pycortex}_{hemisphere}.gii"
            ).agg_data()
            np.testing.assert_allclose(points, same[0], atol=1e-4)
            np.testing.assert_array_equal(faces, same[1])
            assert len(sphere) == len(points)
            assert (points[:, 0].mean() < 0) == (side == "L")


def test_transform_takes_mm_to_voxels(dataset):
    mask = nibabel.load(transform_folder(dataset) / "mask_thick.nii.gz")
    matrices = json.loads((transform_folder(dataset) / "matrices.xfm").read_text())
    np.testing.assert_allclose(matrices["coord"], np.linalg.inv(mask.affine), atol=1e-5)
    np.testing.assert_allclose(mask.header.get_zooms(), VOXEL_SIZE_MM, rtol=1e-5)


def test_mask_holds_the_voxels_within_8_mm(dataset):
    mask = nibabel.load(transform_folder(dataset) / "mask_thick.nii.gz")
    every = nibabel.affines.apply_affine(mask.affine, np.argwhere(np.ones(mask.shape)))
    distance, _ = cKDTree(midthickness(dataset)).query(every)
    expected = distance.reshape(mask.shape) < 8
    assert (expected != np.asarray(mask.dataobj).astype(bool)).mean() < 1e-4
    edges = [expected[:, :, [0, -1]], expected[:, [0, -1]], expected[[0, -1]]]
    assert not any(edge.any() for edge in edges)  # the field of view cuts nothing off


def test_seed_makes_the_head(dataset, tmp_path):
    for seed, root in ((1, tmp_path / "same"), (2, tmp_path / "other")):
        root.mkdir()
        n_voxels = write_anatomy(root, seed)
        assert n_voxels == Dataset(root).n_voxels(PARTICIPANT)
    same, other = Dataset(tmp_path / "same"), Dataset(tmp_path / "other")
    assert same.n_voxels(PARTICIPANT) == dataset.n_voxels(PARTICIPANT)
    assert other.n_voxels(PARTICIPANT) != dataset.n_voxels(PARTICIPANT)
    np.testing.assert_array_equal(midthickness(same), midthickness(dataset))
    moved = np.linalg.norm(midthickness(other) - midthickness(dataset), axis=1)
    assert 0.5 < moved.mean() < 10  # mm: another head, still a head


def test_areas_are_those_of_the_atlas():
    for hemisphere in ("lh", "rh"):
        _, _, names = anatomy._hcp_parcels(hemisphere)
        assert sorted(name[2:-4] for name in names[1:]) == sorted(GLASSER_AREAS)
