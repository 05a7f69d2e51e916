"""Voxel values on the inflated cortex, in a page that turns it and needs nothing beside itself.

The page is nilearn's (with plotly's WebGL). That of pycortex asks for its surfaces by other
requests, which a browser refuses to a page that was opened from a folder.
"""

from __future__ import annotations

import re

import numpy as np
from nilearn.plotting import view_surf
from nilearn.plotting.surface.html_surface import SurfaceView
from numpy.typing import NDArray

from bthelpers.data.dataset import Dataset
from bthelpers.figures.flatmap import inflated, symmetric_limits

GAP = 5.0  # mm, of each hemisphere to the plane between them
ICON = re.compile(r'<link rel="(?:shortcut )?icon"[^>]*>')


def inflated_view(
    dataset: Dataset, participant: str, values: NDArray, *, label: str
) -> SurfaceView:
    """Make a page of differences on both inflated hemispheres.

    Parameters
    ----------
    dataset : Dataset
    participant : str
    values : array of shape (voxel,)
        In the order of the responses' columns; NaN is left blank, so that the curvature shows.
    label : str
        Of the colour bar: quantity and units.

    Returns
    -------
    SurfaceView
        Shown as it is by a notebook; its ``html`` is the page.

    Raises
    ------
    DatasetError
        If surfaces, transform or mask are missing.
    ValueError
        If no value is finite.
    """
    if not np.isfinite(values).any():
        raise ValueError(f"no finite value to show on the cortex of {participant}")
    dataset.require_anatomy(participant)
    points, faces, curvatures, shown = zip(*inflated(dataset, participant, values), strict=True)
    left, right = points
    # Inflated hemispheres overlap where they are stored in their own coordinates.
    left, right = left - [left[:, 0].max() + GAP, 0, 0], right - [right[:, 0].min() - GAP, 0, 0]
    mesh = [np.concatenate([left, right]), np.concatenate([faces[0], faces[1] + len(left)])]
    view = view_surf(
        mesh,
        np.concatenate(shown),
        bg_map=np.concatenate(curvatures),
        cmap="RdBu_r",
        vmax=symmetric_limits(values)[1],
        title=label,
        title_fontsize=16,
        colorbar_fontsize=14,
    )
    view.html = ICON.sub("", view.html)  # of nilearn, from its repository
    return view
