"""Static maps of voxel values: on the flattened cortex, and on the inflated one from its sides."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.tri import Triangulation

from bthelpers.data.cortex import pycortex_subject, vertex_means
from bthelpers.data.dataset import Dataset
from bthelpers.data.regions import load_regions

FLATMAP_HEIGHT = 1024  # pixels

LINE_STYLES = ("-", ":", "--", "-.")

SIDES = {  # hemisphere (0: left), and where the viewer stands: at negative or positive x
    "left, lateral": (0, -1),
    "left, medial": (0, 1),
    "right, medial": (1, -1),
    "right, lateral": (1, 1),
}
SHADE = 0.5  # brightness of faces that are seen edge-on

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


def brain_map(
    dataset: Dataset,
    participant: str,
    values: np.ndarray | xr.DataArray,
    *,
    label: str,
    cmap: str = "viridis",
    vmin: float | None = None,
    vmax: float | None = None,
) -> Figure:
    """Draw a flatmap and, below it, lateral and medial views of the inflated hemispheres.

    All are in the same colours, and show the same means across the cortical ribbon.

    Parameters
    ----------
    dataset, participant, values, label, cmap, vmin, vmax
        As of `flatmap`.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        As `flatmap`.
    """
    figure, axes = plt.subplot_mosaic(
        [["flat"] * len(SIDES), list(SIDES)],
        figsize=(9, 6.4),
        height_ratios=(3, 1),
        layout="constrained",
    )
    limits = {"vmin": vmin, "vmax": vmax}
    flatmap(dataset, participant, values, label=label, cmap=cmap, **limits, ax=axes["flat"])
    curvature_colours, value_colours = axes["flat"].get_images()
    hemispheres = inflated(dataset, participant, np.asarray(values, dtype=float))
    for side, (hemisphere, viewer) in SIDES.items():
        points, faces, curvature, shown = hemispheres[hemisphere]
        colours = value_colours.to_rgba(_of_faces(shown, faces))
        blank = colours[:, 3] == 0
        colours[blank] = curvature_colours.to_rgba(_of_faces(curvature, faces)[blank])
        _draw_side(axes[side], points, faces, colours, viewer)
        axes[side].set_title(side, fontsize=9, color="0.3")
    return figure


def _of_faces(values: np.ndarray, faces: np.ndarray) -> np.ma.MaskedArray:
    """Mean over those vertices of each face that have a value; masked where none has."""
    return np.ma.masked_invalid(values)[faces].mean(axis=1)


def _draw_side(
    ax: Axes, points: np.ndarray, faces: np.ndarray, colours: np.ndarray, viewer: int
) -> None:
    """Draw a mesh as it is seen along x: faces that are turned away hidden, the nearest last."""
    corners = points[faces]  # (face, corner, xyz)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    outward = np.sign(np.einsum("fx,fx->f", normals, corners.mean(axis=1) - points.mean(0)).sum())
    facing = outward * viewer * normals[:, 0]
    order = np.argsort(viewer * corners[..., 0].mean(axis=1))
    order = order[facing[order] > 0]
    shaded = colours[order]
    shaded[:, :3] *= (SHADE + (1 - SHADE) * facing[order])[:, None]
    seen = corners[order][..., 1:] * (viewer, 1)
    ax.add_collection(PolyCollection(seen, facecolors=shaded, linewidths=0, antialiaseds=False))
    ax.set_aspect("equal")
    ax.autoscale_view()
    ax.set_axis_off()


def inflated(dataset: Dataset, participant: str, values: np.ndarray) -> list[tuple]:
    """Bring voxel values to the vertices of the inflated hemispheres.

    Parameters
    ----------
    dataset : Dataset
    participant : str
    values : array of shape (voxel,)
        In the order of the responses' columns; NaN where there is none.

    Returns
    -------
    list of tuple, left and right
        Points (vertex, xyz) in mm, faces (face, corner), curvature (vertex,) and mean values across
        the cortical ribbon (vertex,), NaN where no voxel has one.
    """
    transform = dataset.transform(participant)
    with pycortex_subject(dataset.pycortex_store, participant) as cortex:
        in_mask = cortex.db.get_mask(participant, transform, "thick").ravel()
        mapper = cortex.get_mapper(participant, transform, "line_nearest")
        surfaces = cortex.db.get_surf(participant, "inflated")
        curvature = cortex.db.get_surfinfo(participant, "curvature")
    shown = vertex_means(mapper, in_mask, values)
    curvatures = (curvature.left, curvature.right)
    return [
        (*surface, curved, means)
        for surface, curved, means in zip(surfaces, curvatures, shown, strict=True)
    ]


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
