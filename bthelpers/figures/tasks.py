"""Figures of downstream and low-level tasks, a panel per task or model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bthelpers.figures.style import (
    STYLES,
    bootstrap_curves,
    interval_bars,
    legend_entries,
    shared_legend,
)
from bthelpers.params.settings import PER_PARTICIPANT
from bthelpers.results.runs import BASELINE
from bthelpers.results.tasks import SCORES, change

Panel = tuple[xr.DataArray, xr.DataArray]  # (participant, condition, layer) and (…, draw)


LEGEND_ENTRY = 1.3  # inches


def score_bars(panels: Mapping[str, xr.Dataset], score: str, title: str) -> Figure:
    """Bars per condition (Fig. 4, 9 and 10).

    Parameters
    ----------
    panels : mapping of Dataset
        By the panel's title: the score (participant, condition) and its draws (…, draw); where
        there is a naive model, its score, a scalar.
    score : str
        Of `bthelpers.results.tasks.SCORES`.
    title : str

    Returns
    -------
    Figure
        Bars: mean over participants; error bars: 95 % intervals of the bootstrap over test clips;
        dots: participants, where each has a tuned model; dashed lines: naive model.
    """
    figure, grid = plt.subplots(
        1,
        len(panels),
        figsize=(max(1.75 * len(panels), 3) + 0.8, 3.6),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for axes, (name, run) in zip(grid.flat, panels.items(), strict=True):
        _bars(axes, run[score], run[f"{score}_draws"])
        axes.axhline(0, color="black", linewidth=0.8)
        if (naive := f"naive_{score}") in run:
            axes.axhline(run[naive].item(), color="black", linestyle="--", label="naive")
        axes.set_title(name, fontsize=10)
        axes.set_xticks([])
    grid[0, 0].set_ylabel(SCORES[score])
    _add_legend(figure, grid.flat, title)
    return figure


def score_by_layer(panels: Mapping[str, xr.Dataset], score: str, title: str) -> Figure:
    """Scores per layer, and their change from pretrained (Fig. 9).

    Parameters
    ----------
    panels, score, title
        As of `score_bars`; scores and draws have the dim layer too.

    Returns
    -------
    Figure
        Lines: mean over participants; bands: 95 % intervals of the bootstrap over test clips.
    """
    figure, grid = plt.subplots(
        2,
        len(panels),
        figsize=(max(2.2 * len(panels), 3) + 0.8, 5),
        sharex="col",
        squeeze=False,
        layout="constrained",
    )
    for (top, bottom), (name, run) in zip(grid.T, panels.items(), strict=True):
        values, draws = run[score], run[f"{score}_draws"]
        bootstrap_curves(top, values, draws)
        bootstrap_curves(bottom, change(values), change(draws))
        bottom.axhline(0, color="black", linewidth=0.8)
        top.set_title(name, fontsize=10)
    grid[0, 0].set_ylabel(SCORES[score])
    grid[1, 0].set_ylabel("Change from pretrained")
    figure.supxlabel("Layer (0: input of the transformer)", fontsize=10)
    _add_legend(figure, grid.flat, title)
    return figure


def _bars(axes: Axes, values: xr.DataArray, draws: xr.DataArray) -> None:
    conditions = values["condition"].values
    for place, condition in enumerate(conditions):
        style, participants = STYLES[condition], values.sel(condition=condition)
        axes.bar(
            place,
            participants.mean().item(),
            color=style["color"],
            hatch=style["hatch"],
            edgecolor="black",
            linewidth=0.6,
            label=condition,
        )
        if condition in PER_PARTICIPANT:
            beside = np.full(len(participants), place + 0.22)
            axes.plot(beside, participants, "k.", markersize=4, alpha=0.6)
    # The same clips were drawn for all participants.
    interval_bars(axes, np.arange(len(conditions)), draws.mean("participant"))
    axes.spines[["top", "right"]].set_visible(False)


def _add_legend(figure: Figure, panels: Iterable[Axes], title: str) -> None:
    legend = legend_entries(panels)
    labels = sorted(legend, key="naive".__eq__)  # the last
    figure.legend(
        [legend[label] for label in labels],
        labels,
        title=title,
        frameon=False,
        ncols=min(len(labels), int(figure.get_figwidth() / LEGEND_ENTRY)),
        loc="outside upper center",
    )


def preference_by_layer(models: dict[str, xr.Dataset]) -> Figure:
    """d per layer, and its change from pretrained (Fig. 8).

    Parameters
    ----------
    models : dict of Dataset
        By name, as `bthelpers.tasks.preference.load_preferences` gives them.

    Returns
    -------
    Figure
        Lines: mean over participants; bands: 95 % intervals of the bootstrap over words.
    """
    own, changes = {}, {}
    for model, run in models.items():
        own[model] = run["preference"], run["draws"]
        tuned = [name for name in run["condition"].values if name != BASELINE]
        changes[model] = tuple(
            (values - values.sel(condition=BASELINE, drop=True)).sel(condition=tuned)
            for values in own[model]
        )
    rows = {
        "Preference d\n(semantic − phonetic distance)": own,
        "Change of d\nfrom pretrained": changes,
    }
    return _grid(rows, reference=0)


def relative_by_layer(models: dict[str, xr.Dataset]) -> Figure:
    """Distances to semantic and to phonetic neighbours, relative to that of random words.

    Parameters and what lines and bands are: as `preference_by_layer`.
    """
    rows = {
        f"Distance of {kind} pairs\n(that of random pairs: 1)": {
            model: tuple(run[name].sel(kind=kind) for name in ("relative", "relative_draws"))
            for model, run in models.items()
        }
        for kind in ("semantic", "phonetic")
    }
    return _grid(rows, reference=1)


def _grid(rows: dict[str, dict[str, Panel]], reference: float) -> Figure:
    """Panels by row and model; what is drawn at the reference has no preference or no neighbour."""
    models = list(next(iter(rows.values())))
    figure, grid = plt.subplots(
        len(rows),
        len(models),
        figsize=(3.4 * len(models) + 1.2, 2.6 * len(rows) + 0.6),
        sharex="col",
        sharey="row",
        squeeze=False,
        layout="constrained",
    )
    for line, (label, panels) in zip(grid, rows.items(), strict=True):
        line[0].set_ylabel(label)
        for axes, panel in zip(line, panels.values(), strict=True):
            bootstrap_curves(axes, *panel)
            axes.axhline(reference, color="black", linewidth=0.8)
    for axes, model in zip(grid[0], models, strict=True):
        axes.set_title(model, fontsize=10)
    figure.supxlabel("Layer (0: input of the transformer)", fontsize=10)
    shared_legend(figure, grid.flat)
    return figure
