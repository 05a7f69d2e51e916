"""What figures share: panels, legends, intervals, and curves over layers."""

from __future__ import annotations

from collections.abc import Iterable

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from bthelpers.statistics.bootstrap import interval

# Okabe and Ito's colour-blind-safe colours; strokes and markers tell the lines apart in grey.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000", "#999999")

STROKES = ("-", "--", "-.", ":")


# Okabe and Ito's colour-blind-safe colours; hatches and markers tell them apart in grey.
STYLES = {
    "pretrained": {"color": "#BBBBBB", "hatch": "", "marker": "o", "line": ":"},
    "brain-tuned": {"color": "#0072B2", "hatch": "", "marker": "s", "line": "-"},
    "block-permuted": {"color": "#E69F00", "hatch": "///", "marker": "^", "line": "--"},
    "big-slm": {"color": "#009E73", "hatch": "...", "marker": "D", "line": "-."},
    "text-lm": {"color": "#CC79A7", "hatch": "xxx", "marker": "v", "line": (0, (5, 1))},
    "stimulus-tuned": {
        "color": "#56B4E9",
        "hatch": "\\\\\\",
        "marker": "P",
        "line": (0, (1, 1, 4, 1)),
    },
}
DARK_GREY = "#666666"  # of lines: the grey of bars is too light for them


def condition_curves(axes: Axes, means: xr.DataArray, bounds: xr.DataArray) -> None:
    """Draw a line and a band per condition.

    Parameters
    ----------
    axes : Axes
    means : DataArray (condition, layer)
    bounds : DataArray (bound, condition, layer)
        Ends of the bands, "low" and "high".
    """
    for condition in means["condition"].values:
        style, mean = STYLES[condition], means.sel(condition=condition)
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
        ends = (bounds.sel(condition=condition, bound=bound) for bound in ("low", "high"))
        axes.fill_between(mean["layer"], *ends, color=colour, alpha=0.15, linewidth=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)


def bootstrap_curves(axes: Axes, values: xr.DataArray, draws: xr.DataArray) -> None:
    """Draw means over participants, and 95 % intervals of the bootstrap.

    Parameters
    ----------
    axes : Axes
    values, draws : DataArray (participant, condition, layer) and (…, draw)
        The same words or clips were drawn for all participants.
    """
    condition_curves(axes, values.mean("participant"), interval(draws.mean("participant")))


def legend_entries(panels: Iterable[Axes]) -> dict[str, Artist]:
    """What stands for each label in the legend that some panels share."""
    entries = {}
    for axes in panels:
        handles, labels = axes.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    return entries


def shared_legend(figure: Figure, panels: Iterable[Axes]) -> None:
    """Put one legend for all panels above them, where it covers nothing."""
    entries = legend_entries(panels)
    figure.legend(
        entries.values(),
        entries,
        frameon=False,
        ncols=min(len(entries), 3),
        loc="outside upper center",
    )


def panel_grid(n: int, columns: int, sharey: bool) -> tuple[Figure, list[Axes]]:
    """Make a figure of n panels, at most so many in a row."""
    columns = min(n, columns)
    rows = -(-n // columns)
    figure, grid = plt.subplots(
        rows,
        columns,
        figsize=(2.6 * columns + 1.2, 2.6 * rows + 0.8),
        sharey=sharey,
        squeeze=False,
        layout="constrained",
    )
    for axes in grid.flat[n:]:
        axes.axis("off")
    for axes in grid.flat[:n]:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, list(grid.flat[:n])


def interval_bars(axes: Axes, x: ArrayLike, draws: xr.DataArray, colour: str = "black") -> None:
    """Draw 95 % intervals of the bootstrap at some places.

    Parameters
    ----------
    axes : Axes
    x : array of shape (place,)
    draws : DataArray (place, draw)
        Whatever its first dim is called.
    colour : str
    """
    low, high = interval(draws).transpose("bound", ...)
    # An interval of percentiles need not hold the mean: it is drawn where it is.
    axes.errorbar(
        x, (low + high) / 2, (high - low) / 2, fmt="none", ecolor=colour, elinewidth=1, capsize=3
    )


def interval_errors(means: xr.DataArray, draws: xr.DataArray) -> np.ndarray:
    """Distances of an interval's ends from a mean, which an interval of percentiles need not hold.

    Parameters
    ----------
    means : DataArray (condition, group)
    draws : DataArray (condition, group, draw)

    Returns
    -------
    array of shape (condition, 2, group), NaN where draws are
    """
    low, high = interval(draws).transpose("bound", *means.dims)
    return np.maximum(np.stack([means - low, high - means], axis=1), 0)


def grouped_bars(
    means: xr.DataArray, errors: np.ndarray, label: str
) -> tuple[Figure, plt.Axes, dict[str, np.ndarray]]:
    """Groups of bars, one bar per condition.

    Parameters
    ----------
    means : DataArray (condition, group)
    errors : array of shape (condition, group) or (condition, 2, group)
    label : str
        What the bars show, with its unit.

    Returns
    -------
    figure, axes, dict of array of shape (group,)
        The last by condition: where its bars stand.
    """
    n_groups = means.shape[1]
    conditions = list(means["condition"].values)
    width = 0.8 / len(conditions)
    figure, axes = plt.subplots(figsize=(max(1.6 + 1.3 * n_groups, 4.2), 3.8), layout="constrained")
    places = {}
    for k, condition in enumerate(conditions):
        style = STYLES[condition]
        places[condition] = np.arange(n_groups) + (k - (len(conditions) - 1) / 2) * width
        axes.bar(
            places[condition],
            means[k],
            width,
            yerr=np.asarray(errors[k]),
            color=style["color"],
            hatch=style["hatch"],
            edgecolor="black",
            linewidth=0.6,
            error_kw={"capsize": 3, "linewidth": 1},
            label=condition,
        )
    axes.set_ylabel(label)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(frameon=False, ncols=min(len(conditions), 3), loc="outside upper center")
    return figure, axes, places
