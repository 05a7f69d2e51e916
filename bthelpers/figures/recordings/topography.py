"""Topographic maps: values of electrodes on the head, seen from above, as MNE draws them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from bthelpers.figures.style import panel_grid

EQUATOR = np.pi / 2  # angle from the top, at which the outline of the head is drawn: a radius of 1
PIXELS = 160  # of a map, from side to side
FEWEST = 4  # electrodes: of fewer, neither a sphere nor a surface follows


def project(positions: NDArray) -> NDArray[np.float64]:
    """Places of electrodes on a map of the head, seen from above with the nose on top.

    The sphere that fits best is unrolled from its top: the distance on the map is the angle from
    there (azimuthal equidistant projection).

    Parameters
    ----------
    positions : array of shape (electrode, 3)
        To the right, front and top, in any unit.

    Returns
    -------
    array of shape (electrode, 2)
        To the right and front; 1 is a quarter of the way around the head.

    Raises
    ------
    ValueError
        If positions are fewer than four, not finite, or all in one plane.

    Examples
    --------
    >>> project(np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0], [-1, 0, 0]])).round(6) + 0
    array([[ 0.,  0.],
           [ 1.,  0.],
           [ 0.,  1.],
           [-1.,  0.]])
    """
    positions = np.asarray(positions, float)
    # |p - c|^2 = r^2 is linear in c and r^2 - |c|^2.
    terms = np.column_stack([2 * positions, np.ones(len(positions))])
    if len(positions) < FEWEST or not np.isfinite(positions).all():
        raise ValueError(f"a map needs {FEWEST} finite positions of electrodes or more")
    solved, _, rank, _ = np.linalg.lstsq(terms, (positions**2).sum(axis=1))
    if rank < 4:
        raise ValueError("electrodes are all in one plane: no head fits them")
    right, front, top = (positions - solved[:3]).T
    angle = np.arctan2(np.hypot(right, front), top) / EQUATOR
    around = np.arctan2(front, right)
    return np.column_stack([angle * np.cos(around), angle * np.sin(around)])


def topographies(maps: Mapping[str, NDArray], positions: NDArray, label: str) -> Figure:
    """Draw maps of electrodes' values, with one scale of colours from 0 or below.

    Between electrodes, colours are interpolated; electrodes without a value are hollow and do not
    take part.

    Parameters
    ----------
    maps : mapping of str to array of shape (electrode,)
        By the panel's title; NaN where there is no value.
    positions : array of shape (electrode, 3)
        In any unit, to the right, front and top.
    label : str
        What the colours are, with its unit.

    Raises
    ------
    ValueError
        If a map has another number of electrodes, or fewer than four values.
    """
    places = project(positions)
    for title, values in maps.items():
        if np.shape(values) != (len(places),) or np.isfinite(values).sum() < FEWEST:
            raise ValueError(
                f"{title}: {np.isfinite(values).sum()} values of {np.size(values)} electrodes, a"
                f" map needs {FEWEST} or more of {len(places)}"
            )
    known = np.concatenate([values[np.isfinite(values)] for values in maps.values()])
    limits = min(known.min(), 0), max(known.max(), 0)
    figure, grid = panel_grid(len(maps), 3, sharey=True)
    for axes, (title, values) in zip(grid, maps.items(), strict=True):
        image = _draw(axes, places, np.asarray(values, float), limits)
        axes.set_title(title)
    figure.colorbar(image, ax=grid, label=label, shrink=0.8)
    return figure


def _draw(axes: Axes, places: NDArray, values: NDArray, limits: tuple[float, float]) -> AxesImage:
    """Draw one map, and return what a scale of colours is made from."""
    from mne.viz import plot_topomap  # slow

    known = np.isfinite(values)
    image, _ = plot_topomap(
        values[known],
        places[known],
        axes=axes,
        sphere=1.0,  # the outline of the head is the circle of this radius
        vlim=limits,
        cmap="viridis",
        contours=0,
        res=PIXELS,
        sensors=False,
        show=False,
    )
    for chosen, face in ((known, "black"), (~known, "none")):
        axes.scatter(*places[chosen].T, s=9, facecolors=face, edgecolors="black", linewidths=0.6)
    return image
