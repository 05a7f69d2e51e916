"""A dataset of one participant's cortex without any story, which several packages read."""

import json
import os
import shutil

import nibabel
import numpy as np

from bthelpers.simulation.anatomy import write_atlas, write_participant_anatomy

PARTICIPANT = "sim01"
VOXEL_SIZE_MM = 8.0


def write_anatomy(root, seed, voxel_size_mm=VOXEL_SIZE_MM):
    write_atlas(root)
    n_voxels = write_participant_anatomy(root, PARTICIPANT, voxel_size_mm, seed=seed)
    transforms = {PARTICIPANT: f"{PARTICIPANT}_auto"}
    (root / "derivative/subject_xfms.json").write_text(json.dumps(transforms))
    return n_voxels


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


def make_read_only(dataset, monkeypatch):
    """Let the dataset be one that cannot be written, without caches and pycortex's own folders."""
    subject = dataset.pycortex_store / PARTICIPANT
    for name in ("cache", "views"):
        shutil.rmtree(subject / name)
    root = str(dataset.root)
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).startswith(root))


def files_of(root):
    return {path: path.stat().st_mtime_ns for path in root.rglob("*")}
