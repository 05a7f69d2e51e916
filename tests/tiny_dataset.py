"""Dataset folders to break: names, forms and layout as published, silent and nearly empty."""

import json
import os
import shutil
import struct

import h5py
import nibabel
import numpy as np
from nibabel.freesurfer import write_annot
from nibabel.gifti import GiftiDataArray, GiftiImage
from praatio import textgrid

from bthelpers.data.manifest import PACKAGED
from bthelpers.data.regions import GLASSER_AREAS

RESPDICT = json.loads((PACKAGED / "respdict.json").read_text())  # of all published stories
N_VERTICES = 3
COLOURS = np.column_stack([np.arange(1, 182), np.arange(181), np.zeros((181, 2))]).astype(int)


def write_tree(root, stories, participants, write_responses):
    """Write a dataset that `take_inventory` finds no fault with.

    Parameters
    ----------
    root : Path
    stories : dict of str to int
        The table of ``respdict.json``.
    participants : dict of str to int
        Numbers of voxels.
    write_responses : callable
        Fills an open response file: ``(file, participant, story)``.
    """
    for folder in ("stimuli", "derivative/TextGrids"):
        (root / folder).mkdir(parents=True)
    transforms = {participant: f"{participant}_auto" for participant in participants}
    (root / "dataset_description.json").write_text('{"Name": "Nearly empty"}')
    (root / "derivative/respdict.json").write_text(json.dumps(stories))
    (root / "derivative/subject_xfms.json").write_text(json.dumps(transforms))
    for story, n in stories.items():
        duration = (n - 5) * 2.0045 - 10
        write_silence(root / f"stimuli/{story}.wav", duration)
        write_transcription(root / f"derivative/TextGrids/{story}.TextGrid", duration)
    for participant, n_voxels in participants.items():
        write_anatomy(root, participant, n_voxels)
        folder = root / "derivative/preprocessed_data" / participant
        folder.mkdir(parents=True)
        for story in stories:
            with h5py.File(folder / f"{story}.hf5", "w") as file:
                write_responses(file, participant, story)


def write_silence(path, duration, rate=44_100, channels=2, bits=16):
    """Write a wav file of zeros, which take no place on the disk."""
    n_bytes = round(duration * rate) * channels * bits // 8
    frame = channels * bits // 8
    form = struct.pack("<HHIIHH", 1, channels, rate, rate * frame, frame, bits)
    path.unlink(missing_ok=True)
    path.write_bytes(
        struct.pack("<4sI4s4sI", b"RIFF", 36 + n_bytes, b"WAVE", b"fmt ", 16)
        + form
        + struct.pack("<4sI", b"data", n_bytes)
    )
    os.truncate(path, 44 + n_bytes)


def write_transcription(path, duration):
    grid = textgrid.Textgrid()
    phones = [(0.0, 0.5, "sp"), (0.5, 0.75, "K"), (0.75, 1.0, "AE1"), (1.0, 1.25, "T")]
    words, rest = [(0.5, 1.25, "cat")], (1.25, duration, "sp")
    grid.addTier(textgrid.IntervalTier("phone", [*phones, rest], 0, duration))
    grid.addTier(textgrid.IntervalTier("word", [*words, rest], 0, duration))
    grid.save(str(path), "short_textgrid", includeBlankSpaces=True)


def write_anatomy(root, participant, n_voxels):
    store = root / "derivative/pycortex-db" / participant
    transform = store / f"transforms/{participant}_auto"
    labels = root / f"derivative/freesurfer_subjdir/{participant}/label"
    for folder in (store / "surfaces", transform, labels):
        folder.mkdir(parents=True)
    for hemisphere in ("lh", "rh"):
        for surface in ("wm", "pia", "inflated", "flat"):
            points = GiftiDataArray(np.eye(N_VERTICES, 3, dtype=np.float32), "pointset")
            faces = GiftiDataArray(np.array([[0, 1, 2]], np.int32), "triangle")
            nibabel.save(
                GiftiImage(darrays=[points, faces]), store / f"surfaces/{surface}_{hemisphere}.gii"
            )
        names = ["???", *(f"{hemisphere[0].upper()}_{area}_ROI" for area in GLASSER_AREAS)]
        path = labels / f"{hemisphere}.HCP-MMP1.annot"
        write_annot(path, np.arange(N_VERTICES), COLOURS, names, fill_ctab=True)
    (transform / "matrices.xfm").write_text(json.dumps({"coord": np.eye(4).tolist()}))
    side = int(np.ceil(n_voxels ** (1 / 3)))
    mask = np.zeros((side, side + 1, side + 2), np.uint8)
    mask.flat[:n_voxels] = 1
    nibabel.save(nibabel.Nifti1Image(mask, np.eye(4)), transform / "mask_thick.nii.gz")
    nibabel.save(nibabel.Nifti1Image(0 * mask, np.eye(4)), transform / "reference.nii.gz")


def copy_tree(source, target):
    """Copy a dataset; its sounds, which are large, are links: unlink before writing."""

    def copy(file, to):
        (os.link if file.endswith(".wav") else shutil.copy2)(file, to)

    shutil.copytree(source, target, copy_function=copy)
    return target
