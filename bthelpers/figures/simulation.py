"""Figures of simulated data: how tests behave on it, and what of its meaning phones tell."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from scipy import stats

from bthelpers.figures.style import COLOURS, grouped_bars, line_looks, panels, shared_legend

HATCHES = ("...", "///", "")  # of predictors


def false_positives(rates_of: Mapping[str, pd.DataFrame]) -> Figure:
    """Rates of rejection with their intervals, beside the rates that they should be.

    Parameters
    ----------
    rates_of : mapping of str to DataFrame
        By the panel's title: a row per test, as
        `bthelpers.claims.null_studies.rejection_rates` gives them, and a column ``nominal``
        with the rate, in per cent, that the test should have.
    """
    height = 0.9 + 0.42 * max(map(len, rates_of.values()))
    figure, grid = panels(1, len(rates_of), 2.2 + 2.9 * len(rates_of), height, sharex=True)
    for axes, (title, rates) in zip(grid.flat, rates_of.items(), strict=True):
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
    grid[0, 0].set_xlim(left=0)  # of all: after all have been drawn
    shared_legend(figure, grid.flat)
    return figure


def p_value_quantiles(p_values: Mapping[str, Mapping[str, ArrayLike]]) -> Figure:
    """Ordered p-values against those expected where nothing is to be found, on logarithmic axes.

    Parameters
    ----------
    p_values : mapping of str to mapping of str to array of shape (n_trials,)
        p-values by the panel's title and the test's name; of as many trials within a panel.

    Returns
    -------
    Figure
        Grey: where 95 % of each ordered p-value of independent trials of an exact test would be.
    """
    figure, grid = panels(1, len(p_values), 4.2 * len(p_values), 3.8)
    for axes, (title, tests) in zip(grid.flat, p_values.items(), strict=True):
        observed = np.sort(np.stack(list(tests.values())), axis=1)
        order = np.arange(1, observed.shape[1] + 1)
        expected = (order - 0.5) / len(order)
        low, high = stats.beta.ppf([[0.025], [0.975]], order, len(order) + 1 - order)
        axes.fill_between(expected, low, high, color="#BBBBBB", alpha=0.5, linewidth=0)
        axes.plot(expected, expected, color="black", linewidth=0.8)
        for values, (name, look) in zip(observed, line_looks(tests), strict=True):
            axes.plot(expected, values, **look, label=name)
        axes.set(xscale="log", yscale="log", xlim=(expected[0], 1), ylim=(expected[0], 1))
        axes.set_title(title, fontsize=10)
        axes.set(xlabel="Expected p-value", ylabel="p-value found")
        axes.legend(frameon=False, fontsize=8)
    return figure


def predicted_meaning_bars(r: xr.DataArray) -> Figure:
    """How well phones and words predict the planted meaning: a group of bars per lexicon.

    Parameters
    ----------
    r : DataArray (lexicon, predictor, story)
        As `bthelpers.simulation.confound.predicted_meaning` gives it for each lexicon.

    Returns
    -------
    Figure
        Bars: means over stories; error bars: their 95 % intervals by Student's t; dots: stories.
    """
    stories = r.transpose("predictor", "lexicon", "story").rename(predictor="condition")
    n_stories = r.sizes["story"]
    mean = stories.mean("story")
    half_width = stats.t.isf(0.025, n_stories - 1) * stories.std("story", ddof=1)
    half_width /= np.sqrt(n_stories)
    looks = zip(r["predictor"].values, COLOURS, HATCHES, strict=False)
    figure, [[axes]] = panels(1, 1, 2.2 + 1.6 * r.sizes["lexicon"], 3.4)
    grouped_bars(
        axes,
        mean,
        mean - half_width,
        mean + half_width,
        participants=stories,
        styles={name: {"color": colour, "hatch": hatch} for name, colour, hatch in looks},
    )
    axes.set_xticks(range(r.sizes["lexicon"]), r["lexicon"].values)
    axes.set(xlabel="Lexicon", ylabel="r with the planted meaning")
    shared_legend(figure, [axes])
    return figure
