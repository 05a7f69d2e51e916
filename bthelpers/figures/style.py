"""What figures share: panels, legends, bars with intervals, and curves over layers.

Bars and curves are drawn by matplotlib itself: their error bars are intervals of paired draws that
have been computed before, not statistics of the rows of a table, as seaborn would compute them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from bthelpers.statistics.intervals import interval
from bthelpers.statistics.permutation import LEVEL

# Okabe and Ito's colour-blind-safe colours; strokes, hatches and markers tell them apart in grey.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000", "#999999")

STROKES = ("-", "--", "-.", ":")
STYLES = {
    "pretrained": {"color": "#BBBBBB", "hatch": "", "marker": "o", "line": ":"},
    "brain-tuned": {"color": "#0072B2", "hatch": "", "marker": "s", "line": "-"},
    "block-permuted": {"color": "#E69F00", "hatch": "///", "marker": "^", "line": "--"},
    "big-slm": {"color": "#009E73", "hatch": "...", "marker": "D", "line": "-."},
    "text-lm": {"color": "#CC79A7", "hatch": "xxx", "marker": "v", "line": (0, (5, 1))},
    "big-text-lm": {
        "color": "#D55E00",
        "hatch": "++",
        "marker": "X",
        "line": (0, (3, 1, 1, 1, 1, 1)),
    },
    "stimulus-tuned": {
        "color": "#56B4E9",
        "hatch": "\\\\\\",
        "marker": "P",
        "line": (0, (1, 1, 4, 1)),
    },
    "jointly-tuned": {"color": "#000000", "hatch": "oo", "marker": "*", "line": (0, (3, 1))},
}
DARK_GREY = "#666666"  # of lines: the grey of bars is too light for them
LETTER, AROUND = 0.08, 0.5  # inches of a legend: of a letter, and around a label


def panels(
    rows: int, columns: int, width: float, height: float, **shared: bool | str
) -> tuple[Figure, NDArray[np.object_]]:
    """Make a figure of so many inches and its panels, of shape (rows, columns).

    Further arguments are ``sharex`` and ``sharey`` of matplotlib's `subplots`.
    """
    figure, grid = plt.subplots(
        rows, columns, figsize=(width, height), squeeze=False, layout="constrained", **shared
    )
    for axes in grid.flat:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, grid


def panel_grid(n: int, columns: int, sharey: bool) -> tuple[Figure, list[Axes]]:
    """Make a figure of n panels, at most so many in a row."""
    columns = min(n, columns)
    rows = -(-n // columns)
    figure, grid = panels(rows, columns, 2.6 * columns + 1.2, 2.6 * rows + 0.8, sharey=sharey)
    for axes in grid.flat[n:]:
        axes.axis("off")
    return figure, list(grid.flat[:n])


def line_looks(names: Iterable[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Names with the colour and stroke of a line for each."""
    for name, colour, stroke in zip(names, cycle(COLOURS), cycle(STROKES), strict=False):
        yield name, {"color": colour, "linestyle": stroke}


def shared_legend(figure: Figure, grid: Iterable[Axes], title: str | None = None) -> None:
    """Put one legend for all panels above them, where it covers nothing."""
    entries = {}
    for axes in grid:
        handles, labels = axes.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    labels = sorted(entries, key="naive".__eq__)  # the last
    columns = int(figure.get_figwidth() / (AROUND + LETTER * max(map(len, labels))))
    figure.legend(
        [entries[label] for label in labels],
        labels,
        title=title,
        frameon=False,
        ncols=min(len(labels), max(columns, 1)),
        loc="outside upper center",
    )


def condition_curves(
    axes: Axes, means: xr.DataArray, low: xr.DataArray, high: xr.DataArray
) -> None:
    """Draw a line per condition, and a band from `low` to `high`: DataArrays (condition, layer)."""
    for condition in means["condition"].values:
        style = STYLES[condition]
        mean, *ends = (array.sel(condition=condition) for array in (means, low, high))
        colour = DARK_GREY if condition == "pretrained" else style["color"]
        axes.plot(
            mean["layer"],
            mean,
            linestyle=style["line"],
            marker=style["marker"],
            markersize=4,
            color=colour,
            label=condition,
        )
        axes.fill_between(mean["layer"], *ends, color=colour, alpha=0.15, linewidth=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def bootstrap_curves(axes: Axes, values: xr.DataArray, draws: xr.DataArray) -> None:
    """Draw means over participants, and 95 % intervals of the bootstrap.

    Parameters
    ----------
    axes : Axes
    values, draws : DataArray (participant, condition, layer) and (…, draw)
        The same words or clips were drawn for all participants.
    """
    around = xr.Dataset({"value": values, "draws": draws})
    bounds = interval(around, "participant").transpose("bound", ...)
    condition_curves(axes, values.mean("participant"), *bounds)


def error_bars(
    axes: Axes, x: ArrayLike, low: ArrayLike, high: ArrayLike, colour: str = "black"
) -> None:
    """Draw error bars from end to end."""
    axes.errorbar(
        x, (low + high) / 2, (high - low) / 2, fmt="none", ecolor=colour, elinewidth=1, capsize=3
    )


def grouped_bars(
    axes: Axes,
    means: xr.DataArray,
    low: xr.DataArray,
    high: xr.DataArray,
    participants: xr.DataArray | None = None,
    p: xr.DataArray | None = None,
    styles: Mapping[str, Mapping[str, str]] = STYLES,
) -> None:
    """Draw groups of bars, in each a bar with an error bar per condition.

    Parameters
    ----------
    axes : Axes
    means, low, high : DataArray (condition, group), or (condition) where there is one group
        Heights of bars, and ends of error bars.
    participants : DataArray (condition, group, participant), optional
        Dots beside the error bars, in some or all conditions.
    p : DataArray (condition, group), optional
        p-values of some conditions against pretrained; bars with significant ones get an asterisk.
    styles : mapping of mapping of str
        ``color`` and ``hatch`` by condition.
    """
    conditions = list(means["condition"].values)
    width = 0.8 / len(conditions)
    dotted = [] if participants is None else participants["condition"].values
    tested = [] if p is None else p["condition"].values
    for k, condition in enumerate(conditions):
        mean, *ends = (
            np.atleast_1d(array.sel(condition=condition)) for array in (means, low, high)
        )
        places = np.arange(len(mean)) + (k - (len(conditions) - 1) / 2) * width
        axes.bar(
            places,
            mean,
            width,
            color=styles[condition]["color"],
            hatch=styles[condition]["hatch"],
            edgecolor="black",
            linewidth=0.6,
            label=condition,
        )
        error_bars(axes, places, *ends)
        if condition in dotted:
            dots = np.atleast_2d(participants.sel(condition=condition))
            axes.plot(places + width / 4, dots, "k.", markersize=4, alpha=0.6)
        if condition in tested:
            mark_significant(axes, places, np.maximum(mean, ends[1]), p.sel(condition=condition))
    axes.axhline(0, color="black", linewidth=0.8)


def mark_significant(axes: Axes, x: ArrayLike, y: ArrayLike, p: ArrayLike) -> None:
    """Put an asterisk above each place whose p-value is at most 0.05; none where it is NaN."""
    for place in zip(*np.broadcast_arrays(x, y, p), strict=True):
        if place[2] <= LEVEL:
            axes.annotate("*", place[:2], (0, 1), textcoords="offset points", ha="center")
