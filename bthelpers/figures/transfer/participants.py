"""Transfer between participants, as a matrix of gains for each set of voxels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from bthelpers.figures.style import panels


def transfer_matrices(gains: Mapping[str, xr.DataArray]) -> Figure:
    """Gain of r over pretrained, of each participant by what was tuned to each (figure 3).

    Parameters
    ----------
    gains : mapping of DataArray (tuned_to, participant)
        In percent, by the panel's title: of one region each, as
        `bthelpers.results.transfer.participants.load_transfer` gives it.

    Returns
    -------
    Figure
        Numbers: percent. Grey: a participant who heard other stories, or of whom the pretrained
        model predicts nothing.
    """
    n = max(gain.sizes["participant"] for gain in gains.values())
    rows = max(gain.sizes["tuned_to"] for gain in gains.values())
    cell = 0.62
    figure, [grid] = panels(1, len(gains), len(gains) * (cell * n + 1.1) + 1, cell * rows + 1.4)
    values = np.concatenate([gain.values.ravel() for gain in gains.values()])
    limit = max(np.nanmax(np.abs(values), initial=0), 1)
    for axes, (title, gain) in zip(grid, gains.items(), strict=True):
        cells = gain.transpose("tuned_to", "participant")
        axes.set_facecolor("#CCCCCC")
        image = axes.imshow(cells, cmap="RdBu_r", vmin=-limit, vmax=limit)
        for row, column in np.argwhere(np.isfinite(cells.values)):
            value = cells.values[row, column]
            colour = "white" if abs(value) > 0.6 * limit else "black"
            axes.text(column, row, f"{value:.1f}", ha="center", va="center", color=colour, size=8)
        for dim, set_ticks in (("participant", axes.set_xticks), ("tuned_to", axes.set_yticks)):
            set_ticks(range(cells.sizes[dim]), cells[dim].values)
        axes.set_title(title, fontsize=10)
        axes.tick_params(length=0, labelsize=8)
    grid[0].set_ylabel("Tuned to")
    figure.supxlabel("Evaluated on", fontsize=10)
    figure.colorbar(image, ax=list(grid), label="Change of mean r (%)", shrink=0.8)
    return figure
