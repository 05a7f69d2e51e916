"""The flattened cortex as pixels: which voxel each of them shows, and lines around regions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.tri import Triangulation
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from bthelpers.data.cortex import pycortex_subject
from bthelpers.data.dataset import Dataset

HEIGHT = 1024  # pixels
CURVATURE_STEP = 2  # pixels of the raster that one of the curvature covers, along each side
CURVATURES = 15  # shades, beside none off the cortex
LARGEST_CURVATURE = 1.5
LINE_DETAIL = 1.0  # pixels; the corners of a line are further apart


@dataclass(frozen=True)
class FlatmapRaster:
    """Pixels of a flattened cortex, both hemispheres side by side.

    Attributes
    ----------
    voxel : int32 array of shape (row, column)
        Number of the voxel that a pixel shows, the one halfway through the cortex; -1 where there
        is none.
    curvature : uint8 array, of every other row and column
        1 (sulci) to 15 (gyri); 0 off the cortex.
    outlines : dict of str to list of float array of shape (point, 2)
        Lines around each region: columns and rows of pixels.
    n_voxels : int
        Of the participant, shown or not.
    """

    voxel: NDArray[np.int32]
    curvature: NDArray[np.uint8]
    outlines: dict[str, list[NDArray[np.float64]]]
    n_voxels: int

    @property
    def unseen(self) -> int:
        """How many voxels no pixel shows."""
        return self.n_voxels - len(np.unique(self.voxel[self.voxel >= 0]))


def flatmap_raster(
    dataset: Dataset, participant: str, regions: Mapping[str, tuple[str, ...]]
) -> FlatmapRaster:
    """Find which voxel each pixel of a participant's flatmap shows.

    A pixel is a place on the flat surface, which lies somewhere halfway between white matter and
    pial surface. It shows the voxel there, by pycortex's pixelwise mapping with its sampler
    ``nearest``. Static flatmaps show means across the cortical ribbon instead.

    Parameters
    ----------
    dataset : Dataset
    participant : str
    regions : mapping of str to parcels
        Regions to outline, as `bthelpers.data.regions.load_regions` returns them.

    Returns
    -------
    FlatmapRaster

    Raises
    ------
    DatasetError
        If surfaces, transform, mask or parcels are missing, or do not fit together.
    """
    dataset.require_anatomy(participant)
    transform = dataset.transform(participant)
    with pycortex_subject(dataset.pycortex_store, participant) as cortex:
        mask = cortex.db.get_mask(participant, transform, "thick")
        on_cortex, _ = cortex.quickflat.utils.get_flatmask(participant, height=HEIGHT)
        # A hundred thousand tiny systems of equations, each of which would wait for other threads.
        with threadpool_limits(1, "blas"):
            sampled = cortex.quickflat.utils.get_flatcache(
                participant, transform, thick=1, sampler="nearest", height=HEIGHT
            ).tocoo()
        curvature, _ = cortex.quickflat.make_flatmap_image(
            cortex.db.get_surfinfo(participant, "curvature"), height=HEIGHT
        )
        points, faces = cortex.db.get_surf(participant, "flat", merge=True, nudge=True)
    number = np.where(mask.ravel(), np.cumsum(mask.ravel()) - 1, -1).astype(np.int32)
    pixels = np.full(on_cortex.sum(), -1, np.int32)
    pixels[sampled.row] = number[sampled.col]
    voxel = np.full(on_cortex.shape, -1, np.int32)
    voxel[on_cortex] = pixels
    voxel = voxel.T[::-1]  # pycortex counts columns first, and rows from below
    parcels = dataset.vertex_parcels(participant)
    outlines = {
        name: _outlines(points[:, :2], faces, np.isin(parcels, members), voxel.shape)
        for name, members in regions.items()
    }
    return FlatmapRaster(voxel, _shades(curvature), outlines, int(mask.sum()))


def _shades(curvature: np.ma.MaskedArray) -> NDArray[np.uint8]:
    """Curvatures of some pixels in few shades."""
    some = np.ma.masked_invalid(curvature[::CURVATURE_STEP, ::CURVATURE_STEP])
    share = (np.clip(some, -LARGEST_CURVATURE, LARGEST_CURVATURE) / LARGEST_CURVATURE + 1) / 2
    return np.ma.filled(1 + np.rint(share * (CURVATURES - 1)), 0).astype(np.uint8)


def _outlines(
    points: NDArray, faces: NDArray, inside: NDArray[np.bool_], shape: tuple[int, int]
) -> list[NDArray[np.float64]]:
    """Borders of some vertices on the flat mesh, in pixels of a raster that spans it."""
    used = points[np.unique(faces)]
    low, high = used.min(axis=0), used.max(axis=0)
    (x, y), (rows, columns) = ((points - low) / (high - low)).T, shape
    mesh = Triangulation(x * (columns - 1), (1 - y) * (rows - 1), faces)
    contours = Figure().add_subplot().tricontour(mesh, inside.astype(float), levels=[0.5])
    lines = [line for path in contours.get_paths() for line in path.to_polygons(closed_only=False)]
    return [_simplified(line) for line in lines]


def _simplified(line: NDArray[np.float64]) -> NDArray[np.float64]:
    """Corners of a line without those that are less than a pixel from the last one kept."""
    kept = [0]
    for place in range(1, len(line) - 1):
        if np.hypot(*(line[place] - line[kept[-1]])) >= LINE_DETAIL:
            kept.append(place)
    return np.round(line[[*kept, -1]], 1)
