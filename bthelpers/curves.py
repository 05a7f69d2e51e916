"""Curves over layers, a line per condition, and what figures of conditions share."""

from __future__ import annotations

from collections.abc import Iterable

import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from bthelpers.alignment import interval

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
