"""Cortical regions of a participant's voxels, and their places on the template.

Glasser parcels of the surface reach the voxels through pycortex's mapping between surface and
functional volume; voxels reach the template's surface through the same mapping.
"""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse
import xarray as xr

from bthelpers.data.atlas import template_vertices
from bthelpers.data.dataset import HEMISPHERES, Dataset
from bthelpers.data.regions import load_regions, masks_of

if TYPE_CHECKING:
    import cortex


@contextlib.contextmanager
def pycortex_subject(store: Path, subject: str) -> Iterator[ModuleType]:
    """Let pycortex work on one subject of a store other than the user's own.

    pycortex looks up everything in one global database. Within the context it is a scratch store
    with links to the subject's files; afterwards it is the user's again, and new files, such as
    caches, move to the given store. So a killed process leaves no truncated cache, and a store that
    cannot be written can be used all the same: nothing is kept then. pycortex's messages are
    dropped.

    Parameters
    ----------
    store : Path
        A dataset's ``derivative/pycortex-db``.
    subject : str
        Name of the subject's folder in it, which need not exist yet.

    Yields
    ------
    module
        ``cortex``.
    """
    tree = list(os.walk(store / subject, followlinks=True))
    folders = [store.parent, *(folder for folder, _, _ in tree)]
    kept = all(os.access(folder, os.W_OK) for folder in folders)
    with (
        contextlib.redirect_stdout(io.StringIO()),
        warnings.catch_warnings(action="ignore", category=scipy.sparse.SparseEfficiencyWarning),
        tempfile.TemporaryDirectory(
            prefix=".pycortex-", dir=store.parent if kept else None
        ) as scratch,
    ):
        import cortex  # slow, and prints about Inkscape

        for folder, _, files in tree:
            linked = Path(scratch, Path(folder).relative_to(store))
            linked.mkdir()
            for file in map(Path(folder).joinpath, files):
                # What a link promises may not be here: content that was never fetched.
                if file.exists() and not _outdated(file, store / subject):
                    (linked / file.name).symlink_to(file.resolve())
        database, basic = cortex.db, cortex.options.config["basic"]
        users_database, users_options = dict(vars(database)), dict(basic)
        vars(database).update(filestore=scratch, auxfile=None, _subjects=None, _memocache={})
        basic.pop("cache", None)  # the user's own, under which subjects of one name would meet
        try:
            yield cortex
        finally:
            vars(database).clear()
            vars(database).update(users_database)
            basic.clear()
            basic.update(users_options)
        for made in Path(scratch).rglob("*") if kept else ():
            target = store / made.relative_to(scratch)
            if made.is_dir():
                target.mkdir(exist_ok=True)
            elif not made.is_symlink() and not target.is_symlink():
                os.replace(made, target)


def _outdated(cached: Path, subject: Path) -> bool:
    """Whether something cached is older than what it was made of.

    pycortex looks at the transform only, and would write through a link to what it makes anew.
    """
    sources = (file for name in ("surfaces/*", "transforms/*/*") for file in subject.glob(name))
    return cached.parent.name == "cache" and any(
        cached.stat().st_mtime <= source.stat().st_mtime for source in sources if source.exists()
    )


def parcels(dataset: Dataset, participant: str) -> np.ndarray:
    """Glasser parcel of every voxel.

    A voxel belongs to the parcel that fills most of its part of the cortical ribbon (pycortex's
    ``line_nearest`` mapper); the first in alphabetical order on a tie.

    Parameters
    ----------
    dataset : Dataset
    participant : str

    Returns
    -------
    str array of shape (voxel,)
        Names such as ``L_A1``, in the order of the responses' columns, which is that of the
        thick mask. '' where no vertex maps to the voxel, or mostly such outside of the atlas.

    Raises
    ------
    DatasetError
        If the atlas or the pycortex subject is missing or they do not fit together.
    """
    dataset.require_anatomy(participant)
    names, vertex_label = np.unique(dataset.vertex_parcels(participant), return_inverse=True)
    weights = scipy.sparse.vstack(_ribbon(dataset, participant))
    one_hot = scipy.sparse.csr_array(
        (np.ones(len(vertex_label)), (np.arange(len(vertex_label)), vertex_label))
    )
    votes = np.round((weights.T @ one_hot).toarray(), 9)  # (voxel, name); rounded for exact ties
    return np.where(votes.any(1), names[votes.argmax(1)], "")


def _ribbon(dataset: Dataset, participant: str) -> list[scipy.sparse.csr_array]:
    """How much of a vertex's way through the cortex lies in a voxel, (vertex, voxel), by side."""
    transform = dataset.transform(participant)
    with pycortex_subject(dataset.pycortex_store, participant) as cortex:
        mapper = cortex.get_mapper(participant, transform, "line_nearest")
        in_mask = cortex.db.get_mask(participant, transform, "thick").ravel()
    return [scipy.sparse.csr_array(side)[:, in_mask] for side in mapper.masks]


def vertex_voxels(dataset: Dataset, participant: str) -> np.ndarray:
    """Voxel of a participant at every vertex of fsaverage, where all participants meet.

    A vertex of fsaverage is, on the registered spheres, nearest to one of the participant's, whose
    way through the cortical ribbon lies mostly in one voxel (pycortex's ``line_nearest`` mapper).

    Parameters
    ----------
    dataset : Dataset
    participant : str

    Returns
    -------
    int array of shape (template vertex,)
        Columns of the responses, vertices of the left hemisphere first; -1 where the vertex lies
        outside of the thick mask. Several vertices may share a voxel, and voxels may be at none.

    Raises
    ------
    DatasetError
        If the pycortex subject, or a registered sphere, is missing or they do not fit together.

    Examples
    --------
    Responses (tr, voxel) as (tr, template vertex), NaN where there is no voxel::

        voxels = vertex_voxels(dataset, participant)
        np.where(voxels >= 0, responses[:, voxels], np.nan)
    """
    dataset.require_anatomy(participant)
    subjects, found = dataset.freesurfer_subjects, []
    for hemisphere, weights in zip(HEMISPHERES, _ribbon(dataset, participant), strict=True):
        voxels = np.where(weights.sum(axis=1) > 0, weights.argmax(axis=1), -1)
        found.append(voxels[template_vertices(subjects, participant, hemisphere, len(voxels))])
    return np.concatenate(found)


def vertex_means(
    mapper: cortex.mapper.Mapper, in_mask: np.ndarray, values: np.ndarray
) -> list[np.ndarray]:
    """Bring voxel values to the vertices of each hemisphere, left then right.

    Parameters
    ----------
    mapper : pycortex's ``line_nearest`` mapper
        From the whole volume to vertices.
    in_mask : bool array of shape (z * y * x,)
        Voxels of the thick mask in that volume.
    values : array of shape (voxel,)
        In the order of the responses' columns; NaN where there is none.

    Returns
    -------
    list of array of shape (vertex,)
        Mean over those voxels of a vertex's part of the cortical ribbon that have a value; NaN
        where none has.
    """
    known = np.isfinite(values)
    means = []
    for mask in mapper.masks:
        weights = mask.tocsc()[:, in_mask]  # (vertex, voxel)
        with np.errstate(invalid="ignore"):  # vertices without any voxel: 0 / 0
            means.append(weights @ np.where(known, values, 0) / (weights @ known.astype(float)))
    return means


def region_masks(
    dataset: Dataset, participant: str, regions: Mapping[str, tuple[str, ...]] | None = None
) -> xr.DataArray:
    """Voxels of each region.

    Parameters
    ----------
    dataset : Dataset
    participant : str
    regions : mapping of str to parcels, optional
        As `load_regions` returns them. Default: those of the ICLR paper.

    Returns
    -------
    DataArray of bool, dims (region, voxel)
        Voxels in the order of the responses' columns.

    Raises
    ------
    DatasetError
        If the participant's anatomy is missing, or a region holds no voxel.
    """
    regions = load_regions() if regions is None else regions
    return masks_of(parcels(dataset, participant), regions, participant)
