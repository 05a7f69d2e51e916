from __future__ import annotations

import json

import nibabel
import numpy as np
import pytest
from alignment_results import ABOVE, MODEL
from anatomy_dataset import PARTICIPANT, VOXEL_SIZE_MM, midthickness, transform_folder

from bthelpers.core.errors import DatasetError
from bthelpers.publishing.brain_images import (
    bids_label,
    surface_images,
    volume_image,
    write_alignment_images,
)


@pytest.fixture(scope="module")
def voxel_mm(dataset):
    """Centres (voxel, 3) in mm of the voxels, in the order z, y, x of pycortex's volumes."""
    image = nibabel.load(transform_folder(dataset) / "mask_thick.nii.gz")
    zyx = np.argwhere(np.asarray(image.dataobj).T)
    return nibabel.affines.apply_affine(image.affine, zyx[:, ::-1])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_voxels_value_is_where_the_voxel_is(dataset, voxel_mm, axis):
    image = volume_image(dataset, PARTICIPANT, voxel_mm[:, axis])
    content = np.asarray(image.dataobj)
    assert content.dtype == np.float32
    ijk = np.argwhere(np.isfinite(content))
    assert len(ijk) == len(voxel_mm)
    there = nibabel.affines.apply_affine(image.affine, ijk)[:, axis]
    np.testing.assert_allclose(content[tuple(ijk.T)], there, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_vertex_has_the_value_of_the_voxels_around_it(dataset, voxel_mm, axis):
    images = surface_images(dataset, PARTICIPANT, voxel_mm[:, axis])
    shown = np.concatenate([image.darrays[0].data for image in images.values()])
    where = midthickness(dataset)[:, axis]
    known = np.isfinite(shown)
    assert known.mean() > 0.9
    assert np.abs(shown - where)[known].max() < 1.5 * VOXEL_SIZE_MM
    structures = {name: image.meta["AnatomicalStructurePrimary"] for name, image in images.items()}
    assert structures == {"L": "CortexLeft", "R": "CortexRight"}


def test_voxels_without_a_value_leave_blanks_and_do_not_spread(dataset, voxel_mm):
    values = np.full(len(voxel_mm), np.nan)
    values[:50] = 1
    for image in surface_images(dataset, PARTICIPANT, values).values():
        assert set(np.unique(image.darrays[0].data[np.isfinite(image.darrays[0].data)])) <= {1.0}
    assert np.nansum(np.asarray(volume_image(dataset, PARTICIPANT, values).dataobj)) == 50


@pytest.mark.parametrize("make", [volume_image, surface_images])
def test_values_of_another_dataset_are_refused(dataset, make):
    with pytest.raises(DatasetError, match=r"these results are of another dataset"):
        make(dataset, PARTICIPANT, np.zeros(7))


@pytest.mark.parametrize(
    ("name", "label"), [("SIM01", "SIM01"), ("hubert-mini_2", "hubertmini2"), ("a.b+c", "abc")]
)
def test_labels_hold_letters_and_digits_only(name, label):
    assert bids_label(name) == label


def test_a_run_is_written_under_names_of_derivatives(dataset, results, tmp_path):
    root = tmp_path / "images"
    files = write_alignment_images(results, dataset, MODEL, PARTICIPANT, "brain-tuned", root)
    start = f"sub-{PARTICIPANT}_task-listening"
    end = "desc-hubertminiBraintuned"
    assert [file.name for file in files] == [
        f"{start}_{end}_statmap.nii.gz",
        f"{start}_hemi-L_{end}_shape.gii",
        f"{start}_hemi-R_{end}_shape.gii",
        f"{start}_{end}_statmap.json",
    ]
    assert {file.parent for file in files} == {root / f"sub-{PARTICIPANT}" / "func"}
    content = np.asarray(nibabel.load(files[0]).dataobj)
    shown = content.T[np.isfinite(content.T)]
    r = results.open(MODEL, PARTICIPANT, "brain-tuned", "alignment")["r"]
    np.testing.assert_allclose(shown, r[1:].mean("layer") / 0.5, rtol=1e-6)
    assert len(shown) == len(ABOVE)
    assert len(nibabel.load(files[1]).darrays[0].data) > 0
    assert json.loads(files[3].read_text())["Condition"] == "brain-tuned"
    described = json.loads((root / "dataset_description.json").read_text())
    assert described["DatasetType"] == "derivative"


def test_the_same_run_gives_the_same_bytes(dataset, results, tmp_path):
    run = (results, dataset, MODEL, PARTICIPANT, "pretrained")
    once, again = (
        [file.read_bytes() for file in write_alignment_images(*run, tmp_path / name)]
        for name in ("once", "again")
    )
    assert once == again
