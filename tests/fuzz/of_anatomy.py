"""Trials of a participant's anatomy: surfaces, mask, transform, annotations, spheres."""

from __future__ import annotations

import json

import nibabel
import numpy as np
from fuzz.damages import JSON, TEXT
from fuzz.trial import Reader
from nibabel.freesurfer import read_annot, read_geometry, write_annot, write_geometry
from tiny_dataset import COLOURS, write_anatomy

from bthelpers.data.atlas import read_parcels, read_sphere
from bthelpers.data.dataset import Dataset
from bthelpers.data.regions import GLASSER_AREAS

N_VOXELS, PARTICIPANT = 50, "UTS01"
STORE = f"derivative/pycortex-db/{PARTICIPANT}"
TRANSFORM = f"{STORE}/transforms/{PARTICIPANT}_auto"
SURFACE = f"{STORE}/surfaces/flat_lh.gii"


def _write_anatomy(root):
    write_anatomy(root, PARTICIPANT, N_VOXELS)
    (root / "derivative/subject_xfms.json").write_text(json.dumps({PARTICIPANT: "UTS01_auto"}))


def _read_anatomy(root):
    dataset = Dataset(root)
    dataset.require_anatomy(PARTICIPANT)
    return {"voxels": dataset.n_voxels(PARTICIPANT), "parcels": dataset.vertex_parcels(PARTICIPANT)}


def _says_anatomy(root, anatomy):
    """By nibabel: as many voxels as the mask has; a volume and surfaces of finite numbers."""
    mask = nibabel.load(root / TRANSFORM / "mask_thick.nii.gz").get_fdata()
    points, triangles = (array.data for array in nibabel.load(root / SURFACE).darrays)
    matrix = np.array(json.loads((root / TRANSFORM / "matrices.xfm").read_text("utf-8"))["coord"])
    return (
        anatomy["voxels"] == np.count_nonzero(mask) > 0
        and np.isfinite(mask).all()
        and points.shape == (3, 3)
        and np.isfinite(points).all()
        and triangles.shape == (1, 3)
        and set(triangles.ravel()) <= {0, 1, 2}
        and matrix.shape == (4, 4)
        and np.isfinite(matrix.astype(float)).all()
    )


def _write_sphere(root):
    rng = np.random.default_rng(0)
    points = rng.normal(size=(40, 3))
    points *= 100 / np.linalg.norm(points, axis=1, keepdims=True)
    write_geometry(root / "lh.sphere.reg", points, np.array([[0, 1, 2]]), create_stamp="test")
    names = ["???", *(f"L_{area}_ROI" for area in GLASSER_AREAS)]
    write_annot(root / "lh.annot", np.arange(300) % 181, COLOURS, names, fill_ctab=True)


def _read_sphere(root):
    return {
        "sphere": read_sphere(root / "lh.sphere.reg"),
        "parcels": read_parcels(root / "lh.annot", "lh"),
    }


def _says_sphere(root, found):
    """By nibabel: the same points, round and many; names of the table, or none."""
    points, _ = read_geometry(root / "lh.sphere.reg")
    radii = np.linalg.norm(points, axis=1)
    labels, _, names = read_annot(root / "lh.annot")
    differ = [
        parcel
        for label, parcel in zip(labels, found["parcels"], strict=True)
        if parcel not in ("", names[label].decode().removesuffix("_ROI"))
    ]
    return np.array_equal(points, found["sphere"]) and np.ptp(radii) < 2 and not differ


ANATOMY = (
    Reader(
        "anatomy",
        _write_anatomy,
        _read_anatomy,
        {
            f"{TRANSFORM}/mask_thick.nii.gz": (),
            f"{TRANSFORM}/reference.nii.gz": (),
            f"{TRANSFORM}/matrices.xfm": (*JSON, *TEXT),
            SURFACE: TEXT,
        },
        _says_anatomy,
        cases=40,
    ),
    Reader(
        "FreeSurfer",
        _write_sphere,
        _read_sphere,
        {"lh.sphere.reg": (), "lh.annot": ()},
        _says_sphere,
        cases=60,
    ),
)
