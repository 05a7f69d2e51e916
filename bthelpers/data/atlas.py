"""Glasser parcels of a participant's surface vertices, from FreeSurfer's own files.

A participant's own annotation is taken where there is one. Otherwise the atlas on fsaverage is
brought over by the registered spheres (``?h.sphere.reg``), on which FreeSurfer has aligned the
participant's folds with those of fsaverage: a vertex gets the label of the nearest one there.
The same spheres bring what is known of a participant's vertices to those of fsaverage.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import nibabel
import numpy as np
from nibabel.freesurfer import read_annot, read_geometry
from scipy.spatial import cKDTree

from bthelpers.core.errors import DatasetError, MissingError, listed, parsing
from bthelpers.data.files import RESTORE, existing_file
from bthelpers.data.regions import GLASSER_AREAS

TEMPLATE = "fsaverage"
ATLASES = ("HCP-MMP1", "HCPMMP1")  # as many name an own annotation, and as MNE names fsaverage's
SPHERE = "surf/{}.sphere.reg"  # of a hemisphere of a subject
ROUNDNESS = 0.01  # share of its radius within which a sphere's vertices lie


def vertex_parcels(subjects: Path, participant: str, hemisphere: str) -> np.ndarray:
    """Read or transfer the Glasser parcel of every surface vertex.

    Parameters
    ----------
    subjects : Path
        FreeSurfer's folder of subjects: the participants and, where they have no annotation of
        their own, fsaverage.
    participant : str
    hemisphere : str
        ``lh`` or ``rh``.

    Returns
    -------
    str array of shape (vertex,)
        Names such as ``L_A1``; '' outside the atlas.

    Raises
    ------
    DatasetError
        If a file is missing (a MissingError), truncated or does not fit the others. Where there is
        no annotation, the message says how to get it.
    """
    own, atlas = (_annotation(subjects / name, hemisphere) for name in (participant, TEMPLATE))
    if own.exists():
        return read_parcels(own, hemisphere)
    if not atlas.exists():
        raise MissingError(
            f"{atlas} is missing; it labels participants without an annotation of their own. "
            f"{_get_atlas(subjects)}"
        )
    labels = read_parcels(atlas, hemisphere)
    vertices, reference = _registered(subjects, participant, hemisphere)
    if len(labels) != len(reference):
        template = subjects / TEMPLATE / SPHERE.format(hemisphere)
        raise DatasetError(
            f"{atlas} labels {len(labels)} vertices, {template} has {len(reference)}: delete both. "
            f"{_get_atlas(subjects)}"
        )
    return labels[nearest_on_sphere(vertices, reference)]


def template_vertices(
    subjects: Path, participant: str, hemisphere: str, n_vertices: int
) -> np.ndarray:
    """Find the participant's vertex that lies nearest to each of fsaverage's.

    Parameters
    ----------
    subjects, participant, hemisphere
        As of `vertex_parcels`.
    n_vertices : int
        Vertices of the participant's hemisphere in pycortex, which must be as many.

    Returns
    -------
    int array of shape (template vertex,)
        Numbers of vertices of the participant's hemisphere.

    Raises
    ------
    DatasetError
        If a registered sphere is missing (a MissingError), truncated or of another number of
        vertices.
    """
    vertices, reference = _registered(subjects, participant, hemisphere)
    if len(vertices) != n_vertices:
        raise DatasetError(
            f"{subjects / participant / SPHERE.format(hemisphere)} has {len(vertices)} vertices,"
            f" the participant's pycortex surfaces have {n_vertices}: both must come from one"
            f" reconstruction: {RESTORE}"
        )
    return nearest_on_sphere(reference, vertices)


def _registered(subjects: Path, participant: str, hemisphere: str) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (vertex, 3) on the registered spheres of a participant and of fsaverage."""
    sphere, template = (
        subjects / name / SPHERE.format(hemisphere) for name in (participant, TEMPLATE)
    )
    if not template.exists():
        raise MissingError(
            f"{template} is missing; participants are registered to it. {_get_atlas(subjects)}"
        )
    if not sphere.exists():
        raise MissingError(
            f"{sphere} is missing: it comes with FreeSurfer's reconstruction of the participant,"
            " which the published dataset holds for UTS01 to UTS08"
        )
    return read_sphere(sphere), read_sphere(template)


def _annotation(subject: Path, hemisphere: str) -> Path:
    """File of a subject's Glasser annotation under the first name that is there, or would be."""
    paths = [subject / f"label/{hemisphere}.{name}.annot" for name in ATLASES]
    return next((path for path in paths if path.exists()), paths[-1])


def _get_atlas(subjects: Path) -> str:
    """End an error message about the atlas on fsaverage."""
    folder = str(subjects.absolute())
    return (
        "Get fsaverage and the Glasser atlas on it (terms of use: https://balsa.wustl.edu/WN56) by "
        "MNE (`pip install mne`):"
        f' python -c "import mne; mne.datasets.fetch_fsaverage({folder!r});'
        f' mne.datasets.fetch_hcp_mmp_parcellation({folder!r})"'
    )


def nearest_on_sphere(points: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Find the reference point at the smallest angle from each point.

    Parameters
    ----------
    points : array of shape (point, 3)
        On a sphere around the origin, of any radius.
    reference : array of shape (reference point, 3)
        On a sphere of any other radius.

    Returns
    -------
    int array of shape (point,)
        Indices of reference points.
    """
    points, reference = (
        array / np.linalg.norm(array, axis=1, keepdims=True) for array in (points, reference)
    )
    return cKDTree(reference).query(points)[1]


def read_parcels(path: Path, hemisphere: str) -> np.ndarray:
    """Read a Glasser annotation: names such as ``L_A1``, '' outside the atlas, shape (vertex,).

    Raises
    ------
    DatasetError
        If the file is truncated or labels another atlas.
    """
    # The raw values: nibabel's own look-up gives a value that the table lacks its neighbour's name
    values, table, names = _read(lambda file: read_annot(file, orig_ids=True), path)
    side = hemisphere[0].upper()
    atlas = {f"{side}_{area}" for area in GLASSER_AREAS}
    known = {
        value: parcel
        for (*_, value), name in zip(table.tolist(), names, strict=True)
        if (parcel := name.decode(errors="replace").removesuffix("_ROI")) in atlas
    }
    if missing := sorted(atlas.difference(known.values())):
        raise DatasetError(
            f"{path} is no annotation of the 180 Glasser areas of this hemisphere, it lacks "
            f"{len(missing)} ({listed(missing[:3])} ...): replace it"
        )
    found, value_of_vertex = np.unique(values, return_inverse=True)
    return np.array([known.get(value, "") for value in found.tolist()])[value_of_vertex]


def read_sphere(path: Path) -> np.ndarray:
    """Read the vertices (vertex, 3) in mm of a registered sphere.

    Raises
    ------
    DatasetError
        If the file is missing, truncated or no sphere around the origin.
    """
    points, _ = _read(read_geometry, path)
    radii = np.linalg.norm(points, axis=1)
    if not radii.size or not np.ptp(radii) < ROUNDNESS * radii.max():  # neither of NaNs
        raise DatasetError(f"{path} is no sphere around the origin: {RESTORE}")
    return points


def count_vertices(surface: Path) -> int:
    """Count the vertices of a pycortex surface, GIfTI or NumPy archive, and check its triangles.

    Raises
    ------
    DatasetError
        If it is missing, truncated or no surface of finite points.
    """
    points, triangles = _read(_surface, surface)
    n_vertices = len(points)
    if (
        (points.ndim, points.shape[-1], triangles.shape[-1]) != (2, 3, 3)
        or not np.isfinite(points).all()
        or triangles.dtype.kind not in "iu"
        or not (triangles.size and triangles.min() >= 0 and triangles.max() < n_vertices)
    ):
        raise DatasetError(
            f"{surface} is no surface of triangles between finite points: delete it, and {RESTORE}"
        )
    return n_vertices


def require_surfaces(files: Sequence[Path]) -> None:
    """Raise a DatasetError unless all files are surfaces of as many vertices."""
    n_vertices = [count_vertices(file) for file in files]
    if len(set(n_vertices)) > 1:
        names = listed(file.name for file in files)
        raise DatasetError(
            f"{files[0].parent}: {names} have other numbers of vertices, {n_vertices}: {RESTORE}"
        )


def _surface(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Points (vertex, 3) and triangles (face, 3)."""
    if file.suffix == ".npz":
        with np.load(file) as archive:
            return archive["pts"], archive["polys"]
    # nibabel counts up to this number, whatever it is.
    if re.search(rb'Dimensionality="\d\d', file.read_bytes()):
        raise ValueError("arrays of more than 9 dimensions")
    image = nibabel.load(file)
    kinds = ("pointset", "triangle")
    return tuple(image.get_arrays_from_intent(kind)[0].data for kind in kinds)


def _read(reader: Callable, path: Path):
    existing_file(path)
    with parsing(path, "file of a cortex", f"delete it, and {RESTORE}"):
        return reader(path)
