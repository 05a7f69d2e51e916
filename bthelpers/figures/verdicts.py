"""Figures of claims and verdicts: where values are, where they are claimed to be, and the verdict.

Verdicts differ in shape and filling as well as in colour.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import blended_transform_factory

from bthelpers.figures.style import COLOURS, DARK_GREY, panels, shared_legend

BLUE, ORANGE, VERMILLION = COLOURS[0], COLOURS[1], COLOURS[5]
VERDICTS = {
    "holds": {"marker": "o", "color": BLUE, "markerfacecolor": BLUE},
    "not clear": {"marker": "D", "color": ORANGE, "markerfacecolor": "white"},
    "does not": {"marker": "X", "color": VERMILLION, "markerfacecolor": VERMILLION},
    "cannot be tested": {"marker": "|", "color": DARK_GREY, "markersize": 9},
}
LINE = 0.21  # inches
HEADING = 2.2  # lines above the rows of a claim
CLAIMED_SIDE = "#E3E3E3"


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
        claimed to be. A line of text where there are none.
    """
    rows = rows[rows["claim"].isin(claims.index)]
    if rows.empty:
        figure, [[axes]] = panels(1, 1, 9, 0.5)
        axes.text(0, 0.5, "No model has the runs for any of these claims.", va="center")
        axes.set_axis_off()
        return figure
    units = [(unit, some) for unit, some in rows.groupby("unit", sort=False)]
    lines = [len(some) + HEADING * some["claim"].nunique() for _, some in units]
    figure, grid = panels(len(units), 1, 9, LINE * sum(lines) + 0.6 * len(units) + 0.5)
    grid[0, 0].get_gridspec().set_height_ratios(lines)
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
    shown = rows[["value", "low", "high", "claimed_low", "claimed_high"]].values
    shown = shown[np.isfinite(shown)]
    margin = 0.05 * (np.ptp(shown) or 1)
    limits = shown.min() - margin, shown.max() + margin
    for number, some in rows.groupby("claim", sort=False):
        look = VERDICTS[claims.loc[number, "verdict"]]
        common, names = _common_and_different(some)
        _write_heading(axes, place, claims.loc[number, "claim"], common)
        place += HEADING
        for name, row in zip(names, some.itertuples(), strict=True):
            claimed = np.clip([row.claimed_low, row.claimed_high], *limits)
            axes.barh(place, np.ptp(claimed), 1, claimed[0], color=CLAIMED_SIDE, zorder=0)
            axes.plot([row.low, row.high], [place, place], color=look["color"], linewidth=1.2)
            axes.plot(row.value, place, linestyle="", **look)
            places.append(place)
            labels.append(name)
            place += 1
    axes.axvline(0, color="black", linewidth=0.8, linestyle=":", zorder=0.5)
    axes.set_yticks(places, labels, fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set(xlim=limits, ylim=(place - 0.5, -0.6))


def _common_and_different(rows: pd.DataFrame) -> tuple[str, list[str]]:
    """What the statistics of all rows have in common, and what names each row."""
    parts = [re.split(": |, ", statistic) for statistic in rows["statistic"]]
    common = [part for part in parts[0] if all(part in others for others in parts)]
    names = [
        ", ".join([model, *(part for part in own if part not in common)])
        for model, own in zip(rows["model"], parts, strict=True)
    ]
    return ", ".join(common), names


def _write_heading(axes: Axes, place: float, claim: str, common: str) -> None:
    """Write a claim and, below it, its quantity, from the left edge of the figure on."""
    where = blended_transform_factory(axes.figure.transFigure, axes.transData)
    for line, words, look in (
        (0.2, claim, {"weight": "bold"}),
        (1.05, common, {"color": DARK_GREY}),
    ):
        text = axes.text(
            0.01, place + line, words, transform=where, fontsize=9, va="center", **look
        )
        text.set_in_layout(False)


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
        axes.plot(0, place, linestyle="", **look | {"markersize": 11})
        axes.text(0.25, place, claim.claim, va="center")
        axes.text(9, place, claim.verdict, va="center", ha="right", weight="bold", color=DARK_GREY)
    axes.set(xlim=(-0.2, 9), ylim=(len(claims) - 0.5, -0.5))
    axes.set_axis_off()
    return figure
