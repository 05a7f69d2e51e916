"""Figures of simulated data."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from scipy import stats

from bthelpers.figures.style import COLOURS, grouped_bars, panels, shared_legend

HATCHES = ("...", "///", "")


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
