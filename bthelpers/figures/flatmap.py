"""Static flatmaps of voxel values."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.tri import Triangulation

from bthelpers.data.cortex import pycortex_subject
from bthelpers.data.dataset import Dataset
from bthelpers.data.regions import load_regions

FLATMAP_HEIGHT = 1024  # pixels

LINE_STYLES = ("-", ":", "--", "-.")

COLOUR_BAR_ARROWS = {
    (False, False): "neither",
    (True, False): "min",
    (False, True): "max",
    (True, True): "both",
}


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
