"""What a longer stride of windows saves, and what it costs in alignment."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from bthelpers.figures.alignment import TITLES
from bthelpers.figures.style import line_looks, panels, shared_legend
from bthelpers.results.benchmarks.strides import StrideCost

LABELS = {"last": "last token of a window", "stride": "mean of the tokens of a stride"}


def stride_curves(costs: Sequence[StrideCost]) -> Figure:
    """Change of alignment against the cost of representations, by region and pooling.

    Parameters
    ----------
    costs : sequence of StrideCost

    Returns
    -------
    Figure
        Error bars are 95 % intervals of the change.
    """
    regions = list(pd.DataFrame(costs).groupby("region", sort=False))
    figure, grid = panels(1, len(regions), 7.5, 3.4, sharey=True)
    for axes, (region, of_region) in zip(grid.flat, regions, strict=True):
        _curves(axes, of_region)
        axes.set(title=TITLES[region], xlabel="Processor seconds for a minute of sound")
    grid.flat[0].set_ylabel("Change of normalised alignment")
    shared_legend(figure, grid.flat)
    return figure


def _curves(axes: Axes, costs: pd.DataFrame) -> None:
    axes.axhline(0, color="black", linewidth=0.8, linestyle=":")
    for pooling, look in line_looks(costs["pooling"].unique()):
        of_pooling = costs[costs["pooling"] == pooling]
        seconds, change = of_pooling["seconds"], of_pooling["change"]
        ends = change - of_pooling["low"], of_pooling["high"] - change
        axes.errorbar(seconds, change, ends, label=LABELS[pooling], capsize=3, **look)
        for row in of_pooling.itertuples():
            axes.annotate(
                f"{row.stride:g} s",
                (row.seconds, row.change),
                xytext=(4, 5),
                textcoords="offset points",
                fontsize="small",
            )
    axes.set_xscale("log")
    locator, unlabelled = LogLocator(subs=(1, 3)), NullFormatter()
    axes.xaxis.set(major_locator=locator, major_formatter="{x:g}", minor_formatter=unlabelled)
