"""Figures of the book, from labelled arrays."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from bthelpers.figures.style import (
    condition_curves,
    grouped_bars,
    interval_errors,
    panel_grid,
    shared_legend,
)

TITLES = {
    "late_language": "Late language",
    "angular_gyrus": "Angular gyrus",
    "lateral_temporal": "Lateral temporal",
    "inferior_frontal": "Inferior frontal",
    "middle_frontal": "Middle frontal",
    "primary_auditory": "Primary auditory",
    "early_auditory": "Early auditory",
}
FEATURE_TITLES = {
    "power_spectrum": "Power\nspectrum",
    "diphones": "Di-phones",
    "triphones": "Tri-phones",
    "articulation": "Articulation",
    "joint": "All four",
}
ALIGNMENT = "Normalised brain alignment (mean r / ceiling)"


def region_title(region: str) -> str:
    """Name of a region in figures and tables."""
    return TITLES.get(region, region.replace("_", " ").capitalize())


def standard_error(values: xr.DataArray) -> xr.DataArray:
    """Standard error of the mean over participants; 0 for a single one."""
    n = values.sizes["participant"]
    return (
        values.std("participant", ddof=1) / np.sqrt(n) if n > 1 else values.mean("participant") * 0
    )


def alignment_bars(alignment: xr.DataArray, regions: list[str]) -> Figure:
    """Bars per region and condition, mean over transformer layers and participants (Fig. 2, 6).

    Parameters
    ----------
    alignment : DataArray (participant, condition, layer, region)
    regions : list of str

    Returns
    -------
    Figure
        Error bars: standard error over participants; dots: participants.
    """
    values = alignment.isel(layer=slice(1, None)).mean("layer").sel(region=regions)
    means = values.mean("participant").transpose("condition", "region")
    figure, axes, places = grouped_bars(
        means, standard_error(values).transpose("condition", "region"), ALIGNMENT
    )
    for condition, row in places.items():
        for dots in values.sel(condition=condition).transpose("participant", "region"):
            axes.plot(row, dots, "k.", markersize=3, alpha=0.6)
    axes.set_xticks(
        np.arange(len(regions)), [region_title(region).replace(" ", "\n") for region in regions]
    )
    return figure


def family_bars(families: xr.Dataset, region: str) -> Figure:
    """Bars per model and condition for one region (Fig. 2a, 2b).

    Parameters
    ----------
    families : Dataset
        As `bthelpers.results.alignment.load_families` returns it.
    region : str

    Returns
    -------
    Figure
        Error bars: 95 % intervals of the block bootstrap.
    """
    chosen = families.sel(region=region).transpose("condition", "model", ...)
    means = chosen["alignment"]
    models = list(means["model"].values)
    figure, axes, _ = grouped_bars(means, interval_errors(means, chosen["draws"]), ALIGNMENT)
    axes.set_xticks(np.arange(len(models)), models)
    axes.set_title(region_title(region), fontsize=10)
    return figure


def layer_curves(panels: dict[str, xr.DataArray]) -> Figure:
    """Alignment per layer, a line per condition.

    Parameters
    ----------
    panels : dict of DataArray (participant, condition, layer)
        By title; panels need not have the same layers or conditions.

    Returns
    -------
    Figure
        Lines: mean over participants; bands: standard error over participants.
    """
    figure, grid = panel_grid(len(panels), 4, sharey=True)
    for axes, (title, alignment) in zip(grid, panels.items(), strict=True):
        mean, error = alignment.mean("participant"), standard_error(alignment)
        bounds = xr.concat([mean - error, mean + error], "bound").assign_coords(
            bound=["low", "high"]
        )
        condition_curves(axes, mean, bounds)
        axes.set_title(title, fontsize=10)
    figure.supxlabel("Layer (0: input of the transformer)", fontsize=10)
    figure.supylabel(ALIGNMENT, fontsize=10)
    shared_legend(figure, grid)
    return figure


def impact_bars(impacts: xr.Dataset, region: str) -> Figure:
    """Bars per low-level feature and condition, mean over participants (Fig. 3 and 7).

    A condition in which a participant has no ratio has no bar.

    Returns
    -------
    Figure
        Error bars: 95 % intervals of the block bootstrap; dots: participants.
    """
    values = impacts["impact"].sel(region=region)
    means, draws = (
        array.mean("participant", skipna=False).transpose("condition", "feature", ...)
        for array in (values, impacts["draws"].sel(region=region))
    )
    errors = interval_errors(means, draws)
    figure, axes, places = grouped_bars(means, errors, "Low-level impact (%)")
    for condition, row in places.items():
        for dots in values.sel(condition=condition).transpose("participant", "feature"):
            axes.plot(row, dots, "k.", markersize=3, alpha=0.6)
    features = list(values["feature"].values)
    axes.set_xticks(np.arange(len(features)), [FEATURE_TITLES.get(name, name) for name in features])
    axes.set_title(region_title(region), fontsize=10)
    return figure
