"""Speed beside others, with the agreement of results, and how time grows with the work."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bthelpers.figures.style import COLOURS, panel_grid, panels

OURS, OTHER = COLOURS[0], "#BBBBBB"
MARKERS = "os^vDPX*"
COLUMNS, WIDTH, HEIGHT = 2, 7.5, 4.4  # inches: of a figure, and of a panel with its legend


def speed_bars(rows: pd.DataFrame) -> Figure:
    """Bars of how fast each contender is, with the agreement of its results beside them.

    Parameters
    ----------
    rows : DataFrame
        Of one size per study, as of `bthelpers.results.benchmarks.record.largest`.

    Returns
    -------
    Figure
    """
    studies = list(rows.groupby("study", sort=False))
    figure, grid = panels(len(studies), 1, 7.5, 0.33 * len(rows) + 0.6 * len(studies))
    figure.get_layout_engine().set(hspace=0.05)
    grid[0, 0].get_gridspec().set_height_ratios([len(of_study) for _, of_study in studies])
    for axes, (study, of_study) in zip(grid.flat, studies, strict=True):
        _bars(axes, of_study)
        axes.set_title(f"{study}: {of_study['size'].iloc[0]:,.6g} {of_study['unit'].iloc[0]}")
    grid.flat[-1].set_xlabel("Times as fast as the fastest other in full precision")
    return figure


def _bars(axes: Axes, rows: pd.DataFrame) -> None:
    colours = [OURS if ours else OTHER for ours in rows["ours"]]
    bars = axes.barh(rows["contender"], rows["speed"], color=colours, edgecolor="black")
    labels = [
        f"{row.speed:.2g} ×   Δ {row.difference:.0e}"
        + (f", same penalty {row.same:.1%}" if pd.notna(row.same) else "")
        for row in rows.itertuples()
    ]
    axes.bar_label(bars, labels, padding=4, fontsize="small")
    axes.set_xlim(0, 2.1 * max(rows["speed"]))  # labels are right of the bars
    axes.axvline(1, color="black", linewidth=0.8, linestyle=":", zorder=0)
    axes.invert_yaxis()


def growth_curves(rows: pd.DataFrame) -> Figure:
    """Seconds against the amount of work, on logarithmic axes, of the studies of several sizes.

    Parameters
    ----------
    rows : DataFrame
        As of `bthelpers.results.benchmarks.record.speeds`.

    Returns
    -------
    Figure
    """
    grown = rows[rows.groupby("study")["size"].transform("nunique") > 1]
    studies = list(grown.groupby("study", sort=False))
    figure, grid = panel_grid(len(studies), COLUMNS, sharey=False)
    figure.set_size_inches(WIDTH, HEIGHT * -(-len(studies) // COLUMNS))
    for axes, (study, of_study) in zip(grid, studies, strict=True):
        contenders = of_study.groupby("contender", sort=False)
        for (name, line), colour, marker in zip(contenders, COLOURS, MARKERS, strict=False):
            stroke = "-" if line["ours"].all() else ":"
            look = {"color": colour, "linestyle": stroke, "marker": marker, "label": name}
            axes.loglog(line["size"], line["seconds"], **look)
        axes.set(title=study, xlabel=of_study["unit"].iloc[0].capitalize(), ylabel="Seconds")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), fontsize="small", frameon=False)
    return figure
