"""Curves of alignment against minutes of encoding data."""

from __future__ import annotations

from collections.abc import Mapping

import xarray as xr
from matplotlib.figure import Figure

from bthelpers.figures.alignment import ALIGNMENT, standard_error
from bthelpers.figures.style import line_looks, panel_grid, shared_legend
from bthelpers.results.runs import BASELINE


def minute_curves(panels: Mapping[str, xr.Dataset]) -> Figure:
    """Alignment against minutes of a participant's encoding data, a line per model.

    Parameters
    ----------
    panels : mapping of Dataset (participant, condition, n_stories)
        ``alignment`` and ``minutes``, by the panel's title: of one set of stories, as
        `bthelpers.results.transfer.minutes.mean_curves` gives them.

    Returns
    -------
    Figure
        Lines: mean over participants; error bars: standard error over participants; dotted: the
        pretrained model's best.
    """
    figure, grid = panel_grid(len(panels), 2, sharey=True)
    for axes, (title, curves) in zip(grid, panels.items(), strict=True):
        for name, look in line_looks(curves["condition"].values.tolist()):
            of_one = curves.sel(condition=name).dropna("n_stories", how="all")
            of_one = of_one.dropna("participant", how="all")
            if not of_one["alignment"].size:
                continue  # nobody of this role has such a model
            mean, error = (
                of_one["alignment"].mean("participant"),
                standard_error(of_one["alignment"]),
            )
            axes.errorbar(
                of_one["minutes"].mean("participant").values,
                mean.values,
                error.values,
                marker="o",
                markersize=4,
                capsize=3,
                label=name,
                **look,
            )
            if name == BASELINE:
                axes.axhline(mean.max().item(), color=look["color"], linestyle=":", linewidth=1)
        axes.set_title(title, fontsize=10)
        axes.set_xlim(0, None)
    figure.supxlabel("Minutes of responses that ridges are fitted to", fontsize=10)
    figure.supylabel(ALIGNMENT, fontsize=10)
    shared_legend(figure, grid)
    return figure
