"""Voxel values as images that other programs open: NIfTI volumes and GIFTI surfaces.

Names are those of BIDS derivatives (Gorgolewski et al., 2016): ``sub-SIM01_task-listening_…``.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Mapping
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray

from bthelpers.core.errors import DatasetError
from bthelpers.core.files import atomic_path, atomic_write_text
from bthelpers.data.cortex import pycortex_subject, vertex_means
from bthelpers.data.dataset import Dataset
from bthelpers.results.maps import voxel_alignment, whole_brain
from bthelpers.results.store import Results

HEMISPHERES = ("L", "R")
STRUCTURES = {"L": "CortexLeft", "R": "CortexRight"}
DESCRIPTION = {
    "Name": "Brain alignment of speech models",
    "BIDSVersion": "1.10.0",
    "DatasetType": "derivative",
}


def volume_image(dataset: Dataset, participant: str, values: NDArray) -> nibabel.Nifti1Image:
    """Put voxel values into the participant's functional volume.

    Parameters
    ----------
    dataset : Dataset
    participant : str
    values : array of shape (voxel,)
        In the order of the responses' columns.

    Returns
    -------
    Nifti1Image
        float32, on the grid and with the affine of the thick mask; NaN outside of it.

    Raises
    ------
    DatasetError
        If the mask is missing, or has another number of voxels.
    """
    mask = nibabel.load(dataset.mask(participant))
    # pycortex's order of axes is that of the scanner's slices: (z, y, x).
    inside = np.asarray(mask.dataobj).T.astype(bool)
    if len(values) != inside.sum():
        raise DatasetError(
            f"{dataset.mask(participant)} has {inside.sum()} voxels, and there are {len(values)}"
            " values: these results are of another dataset"
        )
    volume = np.full(inside.shape, np.nan, np.float32)
    volume[inside] = values
    return nibabel.Nifti1Image(volume.T, mask.affine)


def surface_images(
    dataset: Dataset, participant: str, values: NDArray
) -> dict[str, nibabel.GiftiImage]:
    """Bring voxel values to the vertices of both hemispheres, as flatmaps do.

    Parameters
    ----------
    dataset, participant, values
        As of `volume_image`.

    Returns
    -------
    dict of GiftiImage
        By hemisphere, "L" and "R": the mean over the voxels of a vertex's part of the cortical
        ribbon that have a value; NaN where none has.

    Raises
    ------
    DatasetError
        If the anatomy is missing, or has another number of voxels.
    """
    dataset.require_anatomy(participant)
    volume_image(dataset, participant, values)  # says so if the voxels do not fit
    transform = dataset.transform(participant)
    with pycortex_subject(dataset.pycortex_store, participant) as cortex:
        in_mask = cortex.db.get_mask(participant, transform, "thick").ravel()
        mapper = cortex.get_mapper(participant, transform, "line_nearest")
    images = {}
    for hemisphere, shown in zip(HEMISPHERES, vertex_means(mapper, in_mask, values), strict=True):
        array = nibabel.gifti.GiftiDataArray(
            shown.astype(np.float32), intent="NIFTI_INTENT_SHAPE", datatype="NIFTI_TYPE_FLOAT32"
        )
        meta = nibabel.gifti.GiftiMetaData(AnatomicalStructurePrimary=STRUCTURES[hemisphere])
        images[hemisphere] = nibabel.GiftiImage(meta=meta, darrays=[array])
    return images


def bids_label(name: str) -> str:
    """Name as a BIDS label, which holds letters and digits only.

    Examples
    --------
    >>> bids_label("brain-tuned")
    'braintuned'
    """
    return re.sub("[^A-Za-z0-9]", "", name)


def write_alignment_images(
    results: Results, dataset: Dataset, model: str, participant: str, condition: str, root: Path
) -> list[Path]:
    """Write r / ceiling of a run's voxels as a volume and as two surfaces, with a sidecar.

    Parameters
    ----------
    results : Results
    dataset : Dataset
        That of the results: its participant has their voxels.
    model, participant, condition : str
        The run.
    root : Path
        Folder of the derivatives; ``dataset_description.json`` is written into it.

    Returns
    -------
    list of Path
        The files of the run.

    Raises
    ------
    DatasetError
        If dataset and results do not fit together.
    ResultsError
        If the run is missing, or a file cannot be written.
    """
    alignment = voxel_alignment(results, model, participant, condition)
    values = whole_brain(alignment, results.voxels(participant).sizes["voxel"])
    images = {"": volume_image(dataset, participant, values)}
    images |= {
        f"_hemi-{hemisphere}": image
        for hemisphere, image in surface_images(dataset, participant, values).items()
    }
    subject = f"sub-{bids_label(participant)}"
    described = f"desc-{bids_label(model)}{bids_label(condition).capitalize()}"
    files = []
    for hemisphere, image in images.items():
        end = "shape.gii" if hemisphere else "statmap.nii.gz"
        file = root / subject / "func" / f"{subject}_task-listening{hemisphere}_{described}_{end}"
        with atomic_path(file) as temporary:
            temporary.write_bytes(_encoded(image, file))
        files.append(file)
    run = results.open(model, participant, condition, "alignment").attrs
    sidecar = files[0].with_name(files[0].name.replace(".nii.gz", ".json"))
    _write_json(sidecar, _sidecar(run, model, condition))
    _write_json(root / "dataset_description.json", DESCRIPTION | {"SourceData": run["dataset"]})
    return [*files, sidecar]


def _encoded(image: nibabel.filebasedimages.SerializableImage, file: Path) -> bytes:
    content = image.to_bytes()
    return gzip.compress(content, mtime=0) if file.name.endswith(".gz") else content


def _sidecar(run: Mapping[str, str], model: str, condition: str) -> dict[str, str]:
    return {
        "Description": "r / noise ceiling on the test story, mean over transformer layers",
        "Model": model,
        "Condition": condition,
        "Dataset": run["dataset"],
        "Commit": run["commit"],
        "Date": run["date"],
    }


def _write_json(path: Path, content: Mapping) -> None:
    atomic_write_text(path, json.dumps(content, indent=1) + "\n")
