"""Figures of downstream and low-level tasks, a panel per task or model."""

from __future__ import annotations

from collections.abc import Mapping

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bthelpers.figures.style import (
    bootstrap_curves,
    grouped_bars,
    panel_grid,
    panels,
    shared_legend,
)
from bthelpers.params.settings import PER_PARTICIPANT
from bthelpers.results.comparison import change, estimate
from bthelpers.results.tasks import SCORES
from bthelpers.statistics.intervals import interval

Panel = tuple[xr.DataArray, xr.DataArray]  # (participant, condition, layer) and (…, draw)


def score_bars(runs: Mapping[str, xr.Dataset], score: str, title: str) -> Figure:
    """Bars per condition (Fig. 9 and 10).

    Parameters
    ----------
    runs : mapping of Dataset
        By the panel's title: the score (participant, condition) and its draws (…, draw); where
        there is a naive model, its score, a scalar.
    score : str
        Of `bthelpers.results.tasks.SCORES`.
    title : str

    Returns
    -------
    Figure
        Bars: mean over participants; error bars: 95 % intervals of the bootstrap over speakers of
        test clips; dots: participants, where each has a tuned model; dashed lines: naive model.
    """
    figure, grid = panels(1, len(runs), max(1.75 * len(runs), 3) + 0.8, 3.6, sharey=True)
    for axes, (name, run) in zip(grid.flat, runs.items(), strict=True):
        _draw_scores(axes, run, score)
        axes.set_title(name, fontsize=10)
        axes.set_xticks([])
    grid[0, 0].set_ylabel(SCORES[score])
    shared_legend(figure, grid.flat, title)
    return figure


def family_scores(runs: Mapping[str, xr.Dataset], score: str) -> Figure:
    """Bars per model and condition (Fig. 4).

    Parameters
    ----------
    runs : mapping of Dataset
        By the panel's title: as of `score_bars`, along ``model`` too
        (`bthelpers.results.tasks.in_families`).
    score : str
        Of `bthelpers.results.tasks.SCORES`.

    Returns
    -------
    Figure
        As `score_bars`.
    """
    figure, grid = panel_grid(len(runs), 3, sharey=False)
    for axes, (name, run) in zip(grid, runs.items(), strict=True):
        _draw_scores(axes, run.transpose("condition", "model", ...), score)
        axes.set_title(name, fontsize=10)
        axes.set_xticks(range(run.sizes["model"]), run["model"].values, rotation=30, ha="right")
        axes.set_ylabel(SCORES[score])
    shared_legend(figure, grid)
    return figure


def _draw_scores(axes: Axes, run: xr.Dataset, score: str) -> None:
    """Bars of the conditions with their intervals, participants, and the naive model."""
    values = run[score].transpose("condition", ..., "participant")
    tuned = [name for name in values["condition"].values if name in PER_PARTICIPANT]
    scores = estimate(run, score, f"{score}_draws")
    bounds = interval(scores, "participant").transpose("bound", "condition", ...)
    grouped_bars(axes, values.mean("participant"), *bounds, values.sel(condition=tuned))
    if (naive := f"naive_{score}") in run:
        axes.axhline(run[naive].item(), color="black", linestyle="--", label="naive")


def score_by_layer(runs: Mapping[str, xr.Dataset], score: str, title: str) -> Figure:
    """Scores per layer, and their change from pretrained (Fig. 9).

    Parameters
    ----------
    runs, score, title
        As of `score_bars`; scores and draws have the dim layer too.

    Returns
    -------
    Figure
        Lines: mean over participants; bands: 95 % intervals of the bootstrap over speakers of test
        clips.
    """
    figure, grid = panels(2, len(runs), max(2.2 * len(runs), 3) + 0.8, 5, sharex="col")
    for (top, bottom), (name, run) in zip(grid.T, runs.items(), strict=True):
        values, draws = run[score], run[f"{score}_draws"]
        bootstrap_curves(top, values, draws)
        bootstrap_curves(bottom, change(values), change(draws))
        bottom.axhline(0, color="black", linewidth=0.8)
        top.set_title(name, fontsize=10)
    grid[0, 0].set_ylabel(SCORES[score])
    grid[1, 0].set_ylabel("Change from pretrained")
    figure.supxlabel("Layer (0: input of the transformer)", fontsize=10)
    shared_legend(figure, grid.flat, title)
    return figure


def preference_by_layer(models: dict[str, xr.Dataset]) -> Figure:
    """d per layer, and its change from pretrained (Fig. 8).

    Parameters
    ----------
    models : dict of Dataset
        By name, as `bthelpers.results.tasks.load_preferences` gives them.

    Returns
    -------
    Figure
        Lines: mean over participants; bands: 95 % intervals of the bootstrap over words.
    """
    own = {model: (run["preference"], run["draws"]) for model, run in models.items()}
    rows = {
        "Preference d\n(semantic − phonetic distance)": own,
        "Change of d\nfrom pretrained": {
            model: tuple(map(change, panel)) for model, panel in own.items()
        },
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
    size = 3.4 * len(models) + 1.2, 2.6 * len(rows) + 0.6
    figure, grid = panels(len(rows), len(models), *size, sharex="col", sharey="row")
    for line, (label, shown) in zip(grid, rows.items(), strict=True):
        line[0].set_ylabel(label)
        for axes, panel in zip(line, shown.values(), strict=True):
            bootstrap_curves(axes, *panel)
            axes.axhline(reference, color="black", linewidth=0.8)
    for axes, model in zip(grid[0], models, strict=True):
        axes.set_title(model, fontsize=10)
    figure.supxlabel("Layer (0: input of the transformer)", fontsize=10)
    shared_legend(figure, grid.flat)
    return figure
