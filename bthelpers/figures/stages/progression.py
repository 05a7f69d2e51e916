"""From acoustic to semantic: a row per task or region, a panel per condition, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bthelpers.figures.alignment import region_title
from bthelpers.figures.style import panels, shared_legend
from bthelpers.results.stages.curves import CENTRE, MAXIMUM, middle, placed

TASK_TITLES = {"mfcc": "MFCC", "fbank": "Filter bank", "word": "Words"}


def progression(curves: Mapping[str, xr.Dataset], conditions: Sequence[str]) -> Figure:
    """Draw curves over layers as rows, each from its lowest to its highest value (grey to blue).

    Parameters
    ----------
    curves : mapping of Dataset
        By task or region, in the order of the rows from the bottom: as of
        `bthelpers.results.stages.curves`.
    conditions : sequence of str
        One panel each.

    Returns
    -------
    Figure
        Cells: mean over participants, scaled to the row's range in that condition over the
        transformer layers; circles: layer of the maximum, mean over participants, and lines: the
        middle 95 % of its draws; diamonds: centre of mass.
    """
    figure, [grid] = panels(
        1, len(conditions), 3 * len(conditions) + 1.2, 0.34 * len(curves) + 1.3, sharey=True
    )
    for axes, condition in zip(grid, conditions, strict=True):
        of_condition = [curve.sel(condition=[condition]) for curve in curves.values()]
        _draw_panel(axes, of_condition)
        axes.set_title(condition, fontsize=10)
    names = [TASK_TITLES.get(name, region_title(name)) for name in curves]
    grid[0].set_yticks(range(len(curves)), names)
    figure.supxlabel("Layer", fontsize=10)
    shared_legend(figure, grid)
    return figure


def _draw_panel(axes: Axes, curves: Sequence[xr.Dataset]) -> None:
    rows = [curve["value"].isel(layer=slice(1, None)).mean("participant") for curve in curves]
    values = np.concatenate([row.transpose("condition", "layer").values for row in rows])
    values = values - values.min(axis=1, keepdims=True)
    spans = values.max(axis=1, keepdims=True)
    layers = rows[0]["layer"].values
    edges = np.append(layers, layers[-1] + 1) - 0.5, np.arange(len(rows) + 1) - 0.5
    scaled = np.divide(values, spans, out=np.zeros_like(values), where=spans > 0)
    axes.pcolormesh(*edges, scaled, cmap="Blues", vmin=0, vmax=1.4, edgecolor="white")
    places = np.arange(len(curves))
    maxima = [placed(curve, MAXIMUM).isel(condition=0) for curve in curves]
    low, high = (
        [middle(place).sel(bound=bound).item() for place in maxima] for bound in ("low", "high")
    )
    highest, centres = (
        [placed(curve, by)["value"].mean().item() for curve in curves] for by in (MAXIMUM, CENTRE)
    )
    axes.hlines(places, low, high, "black", linewidth=1.2)
    axes.plot(highest, places, "o", color="black", markersize=6, label=MAXIMUM)
    axes.plot(
        centres, places, "D", color="#D55E00", markersize=5, markeredgecolor="white", label=CENTRE
    )
    axes.set_xticks(layers)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
