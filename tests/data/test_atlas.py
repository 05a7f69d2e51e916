import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nibabel.freesurfer import read_annot, write_annot, write_geometry
from scipy.spatial.transform import Rotation

from bthelpers.core.errors import DatasetError, MissingError
from bthelpers.data.atlas import (
    count_vertices,
    nearest_on_sphere,
    read_parcels,
    read_sphere,
    vertex_parcels,
)
from bthelpers.data.regions import GLASSER_AREAS

N_TEMPLATE = 541
COLOURS = np.column_stack([np.arange(1, 182), np.arange(181), np.zeros((181, 2))]).astype(int)
FACES = np.array([[0, 1, 2]])


def sphere(n, seed, radius=100.0):
    points = np.random.default_rng(seed).normal(size=(n, 3))
    return radius * points / np.linalg.norm(points, axis=1, keepdims=True)


def table(side):
    return ["???", *(f"{side}_{area}_ROI" for area in GLASSER_AREAS)]


TEMPLATE_SPHERE = sphere(N_TEMPLATE, seed=0)
TEMPLATE_LABELS = np.arange(N_TEMPLATE) % 181
TEMPLATE_PARCELS = np.array(["", *(f"L_{area}" for area in GLASSER_AREAS)])[TEMPLATE_LABELS]


def write_sphere(subjects, name, points, hemisphere="lh"):
    path = subjects / name / f"surf/{hemisphere}.sphere.reg"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_geometry(path, points, FACES, create_stamp="test")
    return path


def write_labels(subjects, name, labels, hemisphere="lh", atlas="HCPMMP1", names=None):
    path = subjects / name / f"label/{hemisphere}.{atlas}.annot"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_annot(path, labels, COLOURS, names or table(hemisphere[0].upper()), fill_ctab=True)
    return path


@pytest.fixture
def subjects(tmp_path):
    """FreeSurfer subjects: fsaverage with the atlas; UTS01 has only a registered sphere."""
    write_sphere(tmp_path, "fsaverage", TEMPLATE_SPHERE)
    write_labels(tmp_path, "fsaverage", TEMPLATE_LABELS)
    write_sphere(tmp_path, "UTS01", sphere(300, seed=1))
    return tmp_path


# Nearest neighbours on the sphere


@given(
    n_points=st.integers(0, 20),
    n_reference=st.integers(1, 20),
    radii=st.tuples(st.sampled_from([1.0, 100.0]), st.floats(0.01, 1000)),
    seed=st.integers(0, 2**31),
)
def test_nearest_is_the_smallest_angle(n_points, n_reference, radii, seed):
    points = sphere(n_points, [seed, 0], radii[0])
    reference = sphere(n_reference, [seed, 1], radii[1])
    found = nearest_on_sphere(points, reference)
    assert found.shape == (n_points,)
    for point, index in zip(points, found, strict=True):
        cosines = [point @ other / (radii[0] * radii[1]) for other in reference]
        assert cosines[index] == pytest.approx(max(cosines), abs=1e-12)


def test_rotating_both_spheres_changes_nothing():
    points, reference = sphere(200, 2), sphere(300, 3)
    rotation = Rotation.from_rotvec([0.3, -1.1, 2.0])
    np.testing.assert_array_equal(
        nearest_on_sphere(rotation.apply(points), rotation.apply(reference)),
        nearest_on_sphere(points, reference),
    )


# Labels of a participant


def test_equal_spheres_give_the_labels_exactly(subjects):
    write_sphere(subjects, "UTS01", TEMPLATE_SPHERE)
    np.testing.assert_array_equal(vertex_parcels(subjects, "UTS01", "lh"), TEMPLATE_PARCELS)


def test_radius_of_the_sphere_does_not_matter(subjects):
    write_sphere(subjects, "UTS01", TEMPLATE_SPHERE / 100)
    np.testing.assert_array_equal(vertex_parcels(subjects, "UTS01", "lh"), TEMPLATE_PARCELS)


def test_permuted_vertices_give_permuted_labels(subjects):
    order = np.random.default_rng(4).permutation(N_TEMPLATE)[:400]
    write_sphere(subjects, "UTS01", TEMPLATE_SPHERE[order])
    np.testing.assert_array_equal(vertex_parcels(subjects, "UTS01", "lh"), TEMPLATE_PARCELS[order])


@pytest.mark.parametrize("n_vertices", [1, 300, 700])
def test_any_number_of_vertices_takes_the_nearest_label(subjects, n_vertices):
    points = sphere(n_vertices, seed=5)
    write_sphere(subjects, "UTS01", points)
    expected = [
        TEMPLATE_PARCELS[np.argmin([np.linalg.norm(point - other) for other in TEMPLATE_SPHERE])]
        for point in points
    ]
    np.testing.assert_array_equal(vertex_parcels(subjects, "UTS01", "lh"), expected)


@pytest.mark.parametrize("atlas", ["HCP-MMP1", "HCPMMP1"])
def test_own_annotation_goes_first(subjects, atlas):
    write_labels(subjects, "UTS01", np.array([5, 0, 7]), atlas=atlas)
    expected = [f"L_{GLASSER_AREAS[4]}", "", f"L_{GLASSER_AREAS[6]}"]
    np.testing.assert_array_equal(vertex_parcels(subjects, "UTS01", "lh"), expected)


def test_right_hemisphere_has_parcels_of_its_own(subjects):
    write_sphere(subjects, "fsaverage", TEMPLATE_SPHERE, "rh")
    write_labels(subjects, "fsaverage", TEMPLATE_LABELS, "rh")
    write_sphere(subjects, "UTS01", TEMPLATE_SPHERE, "rh")
    expected = np.char.replace(TEMPLATE_PARCELS, "L_", "R_")
    np.testing.assert_array_equal(vertex_parcels(subjects, "UTS01", "rh"), expected)


def test_vertices_outside_the_atlas_have_no_parcel(tmp_path):
    """Those of the medial wall, without a label, and with one that the table lacks."""
    path = write_labels(tmp_path, "UTS01", np.array([1, 0, -1, 180, 2]))
    raw = bytearray(path.read_bytes())
    values, *_ = read_annot(path, orig_ids=True)
    assert values[2] == 0
    raw[4 + 5 * 8 - 4 : 4 + 5 * 8] = np.array(values[4] + 1, ">i4").tobytes()
    path.write_bytes(raw)
    expected = [f"L_{GLASSER_AREAS[0]}", "", "", f"L_{GLASSER_AREAS[-1]}", ""]
    np.testing.assert_array_equal(read_parcels(path, "lh"), expected)


# Files that are missing or wrong


def fails(subjects, *fragments, error=DatasetError):
    with pytest.raises(error) as caught:
        vertex_parcels(subjects, "UTS01", "lh")
    for fragment in fragments:
        assert str(fragment) in str(caught.value)


@pytest.mark.parametrize("file", ["label/lh.HCPMMP1.annot", "surf/lh.sphere.reg"])
def test_missing_atlas_says_how_to_get_it(subjects, file):
    path = subjects / "fsaverage" / file
    path.unlink()
    fails(
        subjects,
        f"{path} is missing",
        f"mne.datasets.fetch_fsaverage('{subjects}')",
        f"mne.datasets.fetch_hcp_mmp_parcellation('{subjects}')",
        error=MissingError,
    )


def test_missing_registered_sphere(subjects):
    path = subjects / "UTS01/surf/lh.sphere.reg"
    path.unlink()
    fails(subjects, f"{path} is missing: it comes with FreeSurfer", error=MissingError)


@pytest.mark.parametrize("share", [0, 0.001, 0.3, 0.7, 0.99])
@pytest.mark.parametrize(
    "file", ["fsaverage/label/lh.HCPMMP1.annot", "fsaverage/surf/lh.sphere.reg"]
)
def test_truncated_file(subjects, file, share):
    path = subjects / file
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    fails(subjects, f"{path} is truncated or no", "delete it")


def test_annotation_of_another_atlas(subjects):
    path = write_labels(subjects, "UTS01", TEMPLATE_LABELS, names=table("R"))
    fails(subjects, path, "no annotation of the 180 Glasser areas", "lacks 180 (L_1, ")


def test_atlas_of_another_template(subjects):
    write_labels(subjects, "fsaverage", TEMPLATE_LABELS[:-1])
    fails(subjects, "labels 540 vertices", "sphere.reg has 541", "fetch_fsaverage")


@pytest.mark.parametrize(
    "points",
    [
        TEMPLATE_SPHERE * [1, 1, 1.1],
        TEMPLATE_SPHERE + np.array([5, 0, 0]),
        np.where(np.arange(N_TEMPLATE)[:, None] == 7, np.nan, TEMPLATE_SPHERE),
        np.zeros((3, 3)),
        np.zeros((0, 3)),
    ],
    ids=["ellipsoid", "off centre", "NaN", "all in the centre", "empty"],
)
def test_surface_that_is_no_sphere(subjects, points):
    path = write_sphere(subjects, "UTS01", points)
    with pytest.raises(DatasetError, match="is no sphere around the origin"):
        read_sphere(path)
    fails(subjects, path)


# Surfaces of pycortex


def test_vertices_are_counted_in_both_formats(tmp_path):
    points = sphere(7, 0).astype(np.float32)
    arrays = [
        nibabel.gifti.GiftiDataArray(points, intent="pointset"),
        nibabel.gifti.GiftiDataArray(FACES.astype(np.int32), intent="triangle"),
    ]
    nibabel.save(nibabel.gifti.GiftiImage(darrays=arrays), tmp_path / "wm_lh.gii")
    np.savez(tmp_path / "wm_lh.npz", pts=points, polys=FACES)
    for name in ("wm_lh.gii", "wm_lh.npz"):
        path = tmp_path / name
        assert count_vertices(path) == 7
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(DatasetError, match=f"{name} is truncated or no"):
            count_vertices(path)
