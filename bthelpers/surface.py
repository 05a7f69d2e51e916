"""Cortical regions of a participant's voxels, and flatmaps.

Glasser parcels of the surface reach the voxels through pycortex's mapping between surface and
functional volume.
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

import matplotlib.pyplot as plt
import numpy as np
import scipy.sparse
import xarray as xr
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.tri import Triangulation

from bthelpers.dataset import Dataset, DatasetError
from bthelpers.formats import listed
from bthelpers.regions import load_regions

FLATMAP_HEIGHT = 1024  # pixels
LINE_STYLES = ("-", ":", "--", "-.")
COLOUR_BAR_ARROWS = {
    (False, False): "neither",
    (True, False): "min",
    (False, True): "max",
    (True, True): "both",
}


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
    transform = dataset.transform(participant)
    with pycortex_subject(dataset.pycortex_store, participant) as cortex:
        mapper = cortex.get_mapper(participant, transform, "line_nearest")
        in_mask = cortex.db.get_mask(participant, transform, "thick").ravel()
    weights = scipy.sparse.vstack(mapper.masks).tocsc()[:, in_mask]  # (vertex, voxel)
    one_hot = scipy.sparse.csr_array(
        (np.ones(len(vertex_label)), (np.arange(len(vertex_label)), vertex_label))
    )
    votes = np.round((weights.T @ one_hot).toarray(), 9)  # (voxel, name); rounded for exact ties
    return np.where(votes.any(1), names[votes.argmax(1)], "")


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
    voxel_parcels = parcels(dataset, participant)
    masks = np.array([np.isin(voxel_parcels, members) for members in regions.values()])
    for name, mask in zip(regions, masks, strict=True):
        if not mask.any():
            raise DatasetError(
                f"region {name!r} holds no voxel of {participant}: none lies mostly in one of its "
                f"parcels ({listed(regions[name])}); add others in the table of regions"
            )
    return xr.DataArray(masks, dims=("region", "voxel"), coords={"region": list(regions)})


def symmetric_limits(values: np.ndarray, quantile: float = 0.99) -> tuple[float, float]:
    """Colour limits around 0 for differences.

    Parameters
    ----------
    values : array
        NaNs are ignored.
    quantile : float
        Share of the absolute values within the limits.

    Returns
    -------
    vmin, vmax : float
        ``-vmax`` and the quantile of the absolute values.
    """
    limit = float(np.nanquantile(np.abs(values), quantile))
    return -limit, limit


def flatmap(
    dataset: Dataset,
    participant: str,
    values: np.ndarray | xr.DataArray,
    *,
    label: str,
    cmap: str = "viridis",
    vmin: float | None = None,
    vmax: float | None = None,
    outlines: Mapping[str, tuple[str, ...]] | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw voxel values on the participant's flattened cortex.

    Values are averaged across the cortical ribbon. Where there is none the curvature shows, gyri
    lighter than sulci.

    Parameters
    ----------
    dataset : Dataset
    participant : str
    values : array of shape (voxel,)
        In the order of the responses' columns; NaN is left blank.
    label : str
        Of the colour bar: quantity and units.
    cmap : str
        Matplotlib's name of the colour map.
    vmin, vmax : float, optional
        Limits of the colours, by default those of `values`. The colour bar has an arrow where
        values lie beyond.
    outlines : mapping of str to parcels, optional
        Regions to outline, at most four, as `load_regions` returns them. Default: late language
        and early auditory regions.
    ax : Axes, optional
        By default those of a new figure.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If the number of values is not that of the voxels, or there is nothing to show.
    """
    values = np.asarray(values, dtype=float)
    finite = values[np.isfinite(values)]
    if not finite.size:
        raise ValueError(f"no finite value to show on the flatmap of {participant}")
    vmin = finite.min() if vmin is None else vmin
    vmax = finite.max() if vmax is None else vmax
    if outlines is None:
        outlines = {name: load_regions()[name] for name in ("late_language", "early_auditory")}

    image, curvature, extent, (points, faces) = _flatten(dataset, participant, values)
    if ax is None:
        _, ax = plt.subplots(figsize=(9, 4.6), layout="constrained")
    ax.imshow(curvature, cmap="gray", vmin=-1.5, vmax=0.5, extent=extent)
    shown = ax.imshow(image, cmap=cmap, vmin=vmin, vmax=vmax, extent=extent)
    _outline(ax, points, faces, dataset.vertex_parcels(participant), outlines)
    for name, x in (("left", 0.02), ("right", 0.98)):
        ax.text(x, 0.98, name, transform=ax.transAxes, ha=name, va="top", color="0.3")
    ax.set_axis_off()
    beyond = (bool(finite.min() < vmin), bool(finite.max() > vmax))
    ax.figure.colorbar(
        shown,
        ax=ax,
        label=label,
        orientation="horizontal",
        shrink=0.35,
        aspect=25,
        pad=0.01,
        extend=COLOUR_BAR_ARROWS[beyond],
    )
    return ax.figure


def _flatten(dataset: Dataset, participant: str, values: np.ndarray) -> tuple:
    """Images of values and curvature, their extent in mm, and the flat mesh (points, faces)."""
    dataset.require_anatomy(participant)
    transform = dataset.transform(participant)
    with pycortex_subject(dataset.pycortex_store, participant) as cortex:
        mask = cortex.db.get_mask(participant, transform, "thick")
        if values.shape != (mask.sum(),):
            raise ValueError(f"{participant} has {mask.sum()} voxels, got values {values.shape}")
        volume = np.full(mask.shape, np.nan)
        volume[mask] = values
        image, extent = cortex.quickflat.make_flatmap_image(
            cortex.Volume(volume, participant, transform, vmin=0, vmax=1),
            height=FLATMAP_HEIGHT,
            pixelwise=False,  # through the vertices: a tenth of the time, and as `parcels` does
            sampler="line_nearest",
        )
        curvature, _ = cortex.quickflat.make_flatmap_image(
            cortex.db.get_surfinfo(participant, "curvature"), height=FLATMAP_HEIGHT
        )
        mesh = cortex.db.get_surf(participant, "flat", merge=True, nudge=True)
    return image, curvature, extent, mesh


def _outline(
    ax: Axes,
    points: np.ndarray,
    faces: np.ndarray,
    vertex_parcel: np.ndarray,
    regions: Mapping[str, tuple[str, ...]],
) -> None:
    """Draw the borders of regions on the flat mesh, one line style each, with a legend."""
    mesh = Triangulation(points[:, 0], points[:, 1], faces)
    legend = []
    for (name, members), style in zip(regions.items(), LINE_STYLES, strict=False):
        inside = np.isin(vertex_parcel, members).astype(float)
        border = ax.tricontour(
            mesh, inside, levels=[0.5], colors="k", linewidths=0.9, linestyles=style
        )
        border.set_path_effects([patheffects.withStroke(linewidth=2.2, foreground="w")])
        legend.append(Line2D([], [], color="k", lw=0.9, ls=style, label=name.replace("_", " ")))
    if legend:
        ax.legend(handles=legend, loc="lower left", frameon=False, fontsize="small")
