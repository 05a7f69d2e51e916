"""Figures of claims and verdicts: where values are, where they are claimed to be, and the verdict.

Verdicts differ in shape and filling as well as in colour.
"""

from __future__ import annotations

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bthelpers.figures.style import COLOURS, DARK_GREY, panels, shared_legend

BLUE, ORANGE, VERMILLION = COLOURS[0], COLOURS[1], COLOURS[5]
VERDICTS = {
    "holds": {"marker": "o", "color": BLUE, "markerfacecolor": BLUE},
    "not clear": {"marker": "D", "color": ORANGE, "markerfacecolor": "white"},
    "does not": {"marker": "X", "color": VERMILLION, "markerfacecolor": VERMILLION},
    "cannot be tested": {"marker": "_", "color": DARK_GREY, "markerfacecolor": DARK_GREY},
}
LINE = 0.26  # inches
CLAIMED_SIDE = "#E3E3E3"
LETTERS = 95  # of a line of text across a figure


def forest_plot(claims: pd.DataFrame, rows: pd.DataFrame) -> Figure:
    """Draw values with their intervals, on the side that they are claimed to be on or not.

    Parameters
    ----------
    claims : DataFrame
        ``claim`` and ``verdict``; some rows of `bthelpers.claims.verdicts.Verdicts.claims`.
    rows : DataFrame
        As of `Verdicts.rows`: ``claim`` (a label of `claims`), ``model``, ``statistic``, ``value``,
        ``low``, ``high``, ``unit``, ``claimed_low`` and ``claimed_high``. Others are left out.

    Returns
    -------
    Figure
        A panel for each unit; in it, under its words, the rows of each claim. Grey: where they are
        claimed to be.

    Raises
    ------
    ValueError
        If no claim has a row.
    """
    rows = rows[rows["claim"].isin(claims.index)]
    if rows.empty:
        raise ValueError("none of these claims has a row: no model has the runs for them")
    units = [(unit, some) for unit, some in rows.groupby("unit", sort=False)]
    lines = [len(some) + some["claim"].nunique() for _, some in units]
    figure, grid = panels(len(units), 1, 9, LINE * sum(lines) + 0.6 * len(units) + 0.5)
    grid[0, 0].get_gridspec().set_height_ratios([n + 2 for n in lines])
    for axes, (unit, some) in zip(grid.flat, units, strict=True):
        _draw_unit(axes, claims, some)
        axes.set_xlabel(unit)
    shown = claims.loc[rows["claim"].unique(), "verdict"]
    handles = [Line2D([], [], label=name, **look) for name, look in VERDICTS.items()]
    for handle in handles:
        if handle.get_label() in set(shown):
            grid[0, 0].add_line(handle)
    shared_legend(figure, grid.flat)
    return figure


def _draw_unit(axes: Axes, claims: pd.DataFrame, rows: pd.DataFrame) -> None:
    place, places, labels = 0, [], []
    ends = rows[["value", "low", "high"]].replace([np.inf, -np.inf], np.nan)
    margin = 0.05 * (np.nanmax(ends) - np.nanmin(ends) or 1)
    limits = np.nanmin(ends) - margin, np.nanmax(ends) + margin
    for number, some in rows.groupby("claim", sort=False):
        look = VERDICTS[claims.loc[number, "verdict"]]
        words = textwrap.shorten(claims.loc[number, "claim"], LETTERS, placeholder=" …")
        axes.text(0, place, words, transform=axes.get_yaxis_transform(), va="center", weight="bold")
        for row in some.itertuples():
            place += 1
            claimed = np.clip([row.claimed_low, row.claimed_high], *limits)
            axes.barh(place, np.ptp(claimed), 1, claimed[0], color=CLAIMED_SIDE, zorder=0)
            axes.plot([row.low, row.high], [place, place], color=look["color"], linewidth=1.2)
            axes.plot(row.value, place, linestyle="", **look)
            places.append(place)
            labels.append(f"{row.model}, {row.statistic}")
        place += 1
    axes.axvline(0, color="black", linewidth=0.8, linestyle=":")
    axes.set_yticks(places, labels, fontsize=8)
    axes.set(xlim=limits, ylim=(place - 0.4, -0.6))


def verdict_lines(claims: pd.DataFrame) -> Figure:
    """Draw a line for each claim: its verdict's mark, its words and the verdict.

    Parameters
    ----------
    claims : DataFrame
        ``claim`` and ``verdict``; some rows of `bthelpers.claims.verdicts.Verdicts.claims`.

    Returns
    -------
    Figure
    """
    figure, [[axes]] = panels(1, 1, 9, 0.36 * len(claims) + 0.1)
    for place, claim in enumerate(claims.itertuples()):
        look = VERDICTS[claim.verdict]
        axes.plot(0, place, linestyle="", markersize=11, **look)
        axes.text(0.25, place, claim.claim, va="center")
        axes.text(9, place, claim.verdict, va="center", ha="right", weight="bold", color=DARK_GREY)
    axes.set(xlim=(-0.2, 9), ylim=(len(claims) - 0.5, -0.5))
    axes.set_axis_off()
    return figure
