"""Figures of how statistical tests behave where there is nothing to find."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from scipy import stats

from bthelpers.figures.style import COLOURS, STROKES


def false_positives(panels: Mapping[str, pd.DataFrame]) -> Figure:
    """Rates of rejection with their intervals, beside the rates that they should be.

    Parameters
    ----------
    panels : mapping of str to DataFrame
        By the panel's title: a row per test, as
        `bthelpers.simulation.null_studies.rejection_rates` gives
        them, and a column ``nominal`` with the rate, in per cent, that the test should have.
    """
    rows = max(len(rates) for rates in panels.values())
    figure, axes_of = plt.subplots(
        1,
        len(panels),
        figsize=(2.2 + 2.9 * len(panels), 0.9 + 0.42 * rows),
        sharex=True,
        squeeze=False,
        layout="constrained",
    )
    for axes, (title, rates) in zip(axes_of.flat, panels.items(), strict=True):
        places = np.arange(len(rates))
        axes.plot(rates["nominal"], places, "|", color="black", markersize=18, label="nominal")
        axes.errorbar(
            rates["rate"],
            places,
            xerr=[rates["rate"] - rates["low"], rates["high"] - rates["rate"]],
            fmt="o",
            color=COLOURS[0],
            markersize=4,
            capsize=3,
            label="found",
        )
        axes.set_yticks(places, rates.index)
        axes.invert_yaxis()
        axes.margins(y=0.15)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("False positives (%)")
        axes.spines[["top", "right"]].set_visible(False)
    axes_of[0, 0].set_xlim(left=0)  # of all: after all have been drawn
    handles, labels = axes_of[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, ncols=2, loc="outside lower center", fontsize=8)
    return figure


def p_value_quantiles(panels: Mapping[str, Mapping[str, ArrayLike]]) -> Figure:
    """Ordered p-values against those expected where nothing is to be found, on logarithmic axes.

    Parameters
    ----------
    panels : mapping of str to mapping of str to array of shape (n_trials,)
        p-values by the panel's title and the test's name; of as many trials within a panel.

    Returns
    -------
    Figure
        Grey: where 95 % of each ordered p-value of independent trials of an exact test would be.
    """
    figure, axes_of = plt.subplots(
        1, len(panels), figsize=(4.2 * len(panels), 3.8), squeeze=False, layout="constrained"
    )
    for axes, (title, tests) in zip(axes_of.flat, panels.items(), strict=True):
        observed = np.sort(np.stack(list(tests.values())), axis=1)
        order = np.arange(1, observed.shape[1] + 1)
        expected = (order - 0.5) / len(order)
        low, high = stats.beta.ppf([[0.025], [0.975]], order, len(order) + 1 - order)
        axes.fill_between(expected, low, high, color="#BBBBBB", alpha=0.5, linewidth=0)
        axes.plot(expected, expected, color="black", linewidth=0.8)
        looks = zip(cycle(COLOURS), cycle(STROKES), strict=False)
        for values, name, (colour, stroke) in zip(observed, tests, looks, strict=False):
            axes.plot(expected, values, linestyle=stroke, color=colour, label=name)
        axes.set(xscale="log", yscale="log", xlim=(expected[0], 1), ylim=(expected[0], 1))
        axes.set_title(title, fontsize=10)
        axes.set(xlabel="Expected p-value", ylabel="p-value found")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
    return figure
