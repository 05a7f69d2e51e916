"""Figures of representational similarity: layers with each other, the stimulus, and regions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from bthelpers.figures.alignment import region_title, standard_error
from bthelpers.figures.style import condition_curves, panel_grid, panels, shared_legend
from bthelpers.results.stages.similarity import of_layers, others_of
from bthelpers.statistics.permutation import LEVEL


def similarity_maps(run: xr.Dataset, conditions: Sequence[str]) -> Figure:
    """Similarity of layers with layers and with models of the stimulus, less chance.

    Parameters
    ----------
    run : Dataset
        As of `bthelpers.results.stages.similarity.load_similarity`.
    conditions : sequence of str
        One panel each.

    Returns
    -------
    Figure
        Cells: mean over participants; dots: p at most 0.05 in every participant, not adjusted.
    """
    layers = of_layers(run)
    n_layers, models = layers.sizes["layer"], others_of(run, "model")
    others = [*others_of(run, "layer"), *models]
    figure, [grid] = panels(
        1, len(conditions), 3.4 * len(conditions) + 1.4, 0.32 * n_layers + 2.2, sharey=True
    )
    excess = (layers["similarity"] - layers["chance"]).mean("participant").sel(other=others)
    significant = (layers["p"] <= LEVEL).all("participant").sel(other=others)
    for axes, condition in zip(grid, conditions, strict=True):
        cells = excess.sel(condition=condition).transpose("layer", "other")
        image = axes.imshow(cells, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto", origin="lower")
        marked = significant.sel(condition=condition).transpose("layer", "other").values
        axes.plot(*np.nonzero(marked.T), "k.", markersize=3)
        axes.axvline(n_layers - 0.5, color="white", linewidth=3)
        names = [*map(str, range(n_layers)), *models]
        axes.set_xticks(range(len(names)), names, rotation=90)
        axes.set_yticks(range(n_layers))
        axes.set_title(condition, fontsize=10)
    grid[0].set_ylabel("Layer")
    figure.colorbar(image, ax=list(grid), label="Spearman's r, less chance", shrink=0.8)
    return figure


def region_similarity(run: xr.Dataset, conditions: Sequence[str]) -> Figure:
    """Similarity of each layer with brain regions, less chance.

    Parameters
    ----------
    run : Dataset
        As of `bthelpers.results.stages.similarity.load_similarity`.
    conditions : sequence of str
        One line each.

    Returns
    -------
    Figure
        A panel per region. Lines: mean over participants; bands: standard error over participants.
    """
    layers = of_layers(run).sel(condition=list(conditions))
    regions = others_of(run, "region")
    excess = layers["similarity"] - layers["chance"]
    figure, grid = panel_grid(len(regions), 4, sharey=True)
    for axes, region in zip(grid, regions, strict=True):
        of_region = excess.sel(other=region)
        mean, error = of_region.mean("participant"), standard_error(of_region)
        condition_curves(axes, mean, mean - error, mean + error)
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set_title(region_title(region), fontsize=10)
    figure.supxlabel("Layer (0: input of the transformer)", fontsize=10)
    figure.supylabel("Similarity (Spearman's r, less chance)", fontsize=10)
    shared_legend(figure, grid)
    return figure
