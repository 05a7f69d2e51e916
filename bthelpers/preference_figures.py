"""Figures of the semantic–phonetic preference, a column per model."""

from __future__ import annotations

import matplotlib.pyplot as plt
import xarray as xr
from matplotlib.figure import Figure

from bthelpers.curves import bootstrap_curves, shared_legend
from bthelpers.summary import BASELINE

Panel = tuple[xr.DataArray, xr.DataArray]  # (participant, condition, layer) and (…, draw)


def preference_by_layer(models: dict[str, xr.Dataset]) -> Figure:
    """d per layer, and its change from pretrained (Fig. 8).

    Parameters
    ----------
    models : dict of Dataset
        By name, as `bthelpers.preference.load_preferences` gives them.

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
