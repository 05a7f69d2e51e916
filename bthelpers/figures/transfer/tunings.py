"""Figures of tunings: bars of mean r, and validation curves over epochs."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bthelpers.figures.alignment import region_title, standard_error
from bthelpers.figures.style import (
    COLOURS,
    DARK_GREY,
    STYLES,
    grouped_bars,
    line_looks,
    panel_grid,
    panels,
    shared_legend,
)

HATCHES = ("...", "xxx", "++", "\\\\\\", "oo", "--")


def tuning_styles(names: list[str]) -> dict[str, dict[str, str]]:
    """Colour and hatch of each tuning: of conditions, as everywhere; of variants, by order."""
    looks = zip(cycle(COLOURS[1:]), cycle(HATCHES), strict=False)
    return {
        name: STYLES.get(name) or dict(zip(("color", "hatch"), next(looks), strict=True))
        for name in names
    }


def tuning_bars(errors: xr.Dataset, own: xr.Dataset, label: str = "Mean r over voxels") -> Figure:
    """Bars of mean r per region and tuning (BrainWavLM, figures 1 and 2).

    Parameters
    ----------
    errors : Dataset (condition, region)
        ``mean`` and ``error``, as of `bthelpers.results.transfer.tunings.with_error`.
    own : Dataset
        Of the same runs, as of `bthelpers.results.transfer.tunings.load_own`.
    label : str
        Of the vertical axis.

    Returns
    -------
    Figure
        Error bars: standard error over participants, corrected for each participant's mean; dots:
        participants.
    """
    errors = errors.transpose("condition", "region")
    regions, names = errors["region"].values.tolist(), errors["condition"].values.tolist()
    width = max(1.6 + 0.32 * len(regions) * len(names), 4.2)
    figure, [[axes]] = panels(1, 1, width, 4.1)
    mean, error = errors["mean"], errors["error"]
    dots = own["r"].sel(condition=names, region=regions).transpose("condition", "region", ...)
    grouped_bars(axes, mean, mean - error, mean + error, dots, styles=tuning_styles(names))
    axes.set_xticks(
        np.arange(len(regions)), [region_title(name).replace(" ", "\n") for name in regions]
    )
    axes.set_ylabel(label)
    shared_legend(figure, [axes])
    return figure


def epoch_curves(curves: Mapping[str, xr.Dataset], label: str) -> Figure:
    """Validation scores over epochs, a panel per participant and a line per tuning (figures 1, 5).

    Parameters
    ----------
    curves : mapping of Dataset
        As of `bthelpers.results.transfer.epochs.load_epochs`; participants are those of the first.
    label : str
        What the score is.

    Returns
    -------
    Figure
        Open circles: the epoch that was kept; dotted: the pretrained model, epoch 0.
    """
    participants = next(iter(curves.values()))["participant"].values.tolist()
    figure, grid = panel_grid(len(participants), 4, sharey=True)
    for axes, participant in zip(grid, participants, strict=True):
        there = {
            name: curve.sel(participant=participant)
            for name, curve in curves.items()
            if participant in curve["participant"]
        }
        for name, look in line_looks(there):
            score, kept = there[name]["score"], there[name]["kept"].item()
            axes.plot(score["epoch"], score, marker=".", label=name, **look)
            axes.plot(
                kept,
                score.sel(epoch=kept),
                "o",
                color=look["color"],
                fillstyle="none",
                markersize=9,
            )
            axes.axhline(score.sel(epoch=0).item(), color=DARK_GREY, linestyle=":", linewidth=1)
        axes.set_title(participant, fontsize=10)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.supxlabel("Epoch (0: pretrained)", fontsize=10)
    figure.supylabel(label, fontsize=10)
    shared_legend(figure, grid)
    return figure


def knowledge_figure(curves: Mapping[str, xr.DataArray]) -> Figure:
    """R² of probes per layer, a panel per probe and a line per tuning (figure 4).

    Parameters
    ----------
    curves : mapping of DataArray (participant, condition, layer)
        By the panel's title, as `bthelpers.results.transfer.knowledge.knowledge_curves`.

    Returns
    -------
    Figure
        Lines: mean over participants; bands: standard error over participants.
    """
    figure, grid = panel_grid(len(curves), 4, sharey=False)
    names = dict.fromkeys(name for one in curves.values() for name in one["condition"].values)
    looks = dict(line_looks(names))
    for axes, (title, values) in zip(grid, curves.items(), strict=True):
        mean, error = values.mean("participant"), standard_error(values)
        for name in values["condition"].values:
            line, half, look = mean.sel(condition=name), error.sel(condition=name), looks[name]
            axes.plot(line["layer"], line, marker=".", label=name, **look)
            axes.fill_between(
                line["layer"], line - half, line + half, color=look["color"], alpha=0.15, lw=0
            )
        axes.set_title(title, fontsize=10)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.supxlabel("Layer (0: input of the transformer)", fontsize=10)
    figure.supylabel("R²", fontsize=10)
    shared_legend(figure, grid)
    return figure
