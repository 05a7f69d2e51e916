"""Figures of the studies of scale: bars of three models, and gains along size or data."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle

import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from bthelpers.figures.style import STYLES, error_bars, grouped_bars, panel_grid, shared_legend
from bthelpers.results.scale import COMPARED, compare_gains
from bthelpers.statistics.intervals import interval

LARGER = {"color": "#D55E00", "hatch": "///"}  # of Okabe and Ito's colours
BARS = dict(zip(COMPARED, (STYLES["pretrained"], STYLES["brain-tuned"], LARGER), strict=True))
LINES = [("#0072B2", "o", "-"), ("#D55E00", "s", "--"), ("#009E73", "^", ":")]
BESIDE = 1.04  # factor from a line's places to the next one's, so that error bars are apart
COLUMNS = 3
GAINS = {"difference": "Gain (brain-tuned − pretrained)", "percent": "Gain (% of pretrained)"}
ALONG = {
    "stories": "Stories that models were tuned on",
    "parameters": "Parameters of the transformer (millions)",
}


def against_large_bars(panels: Mapping[str, xr.Dataset]) -> Figure:
    """Bars of a smaller model, pretrained and brain-tuned, and a larger one (Fig. 5 and 11).

    Parameters
    ----------
    panels : mapping of Dataset
        By what a panel's axis shows, with its unit: as
        `bthelpers.results.scale.load_against_large` returns it, without task.

    Returns
    -------
    Figure
        Error bars: 95 % intervals of the bootstrap.
    """
    figure, grid = panel_grid(len(panels), COLUMNS, sharey=False)
    for axes, (label, run) in zip(grid, panels.items(), strict=True):
        bars = run.rename(compared="condition")
        bounds = interval(bars, "participant").transpose("bound", ...)
        means = bars["value"].mean("participant", skipna=False)
        grouped_bars(axes, means, *bounds, styles=BARS)
        axes.set_xticks([])
        axes.set_ylabel(label)
    shared_legend(figure, grid)
    return figure


def gain_curves(
    panels: Mapping[str, Mapping[str, xr.Dataset]], kind: str, along: str, title: str
) -> Figure:
    """Gain of brain-tuning along model size or amount of data (Fig. 12), on a logarithmic axis.

    Parameters
    ----------
    panels : mapping of mapping of Dataset
        By the panel's title and the line's name: as `bthelpers.results.scale.load_gains` returns
        it, without task.
    kind : str
        Of `GAINS`.
    along : str
        Of `ALONG`.
    title : str
        What is gained.

    Returns
    -------
    Figure
        Error bars: 95 % intervals of the bootstrap.
    """
    figure, grid = panel_grid(len(panels), COLUMNS, sharey=True)
    for axes, (name, lines) in zip(grid, panels.items(), strict=True):
        ticks = set()
        for k, (line, style) in enumerate(zip(lines, cycle(LINES), strict=False)):
            gains, (colour, marker, dashes) = lines[line].sortby(along), style
            compared = compare_gains(gains, kind)
            exact = gains[along].values / (1e6 if along == "parameters" else 1)
            x = exact * BESIDE**k
            gain = compared["change"]
            axes.plot(x, gain, dashes, marker=marker, markersize=5, color=colour, label=line)
            error_bars(axes, x, compared["low"], compared["high"], colour)
            ticks.update(exact)
        axes.set_xscale("log")
        axes.set_xticks(sorted(ticks), [f"{tick:.3g}" for tick in sorted(ticks)])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.margins(x=0.15)
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set_title(name, fontsize=10)
    figure.supxlabel(ALONG[along], fontsize=10)
    figure.supylabel(f"{title}\n{GAINS[kind]}", fontsize=10)
    shared_legend(figure, grid)
    return figure
