"""Figures of alignment and low-level impact: bars of regions, models or features, and curves."""

from __future__ import annotations

from textwrap import wrap

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.container import BarContainer
from matplotlib.figure import Figure

from bthelpers.data.dataset import Dataset
from bthelpers.figures.flatmap import flatmap, symmetric_limits
from bthelpers.figures.style import (
    STYLES,
    condition_curves,
    grouped_bars,
    panel_grid,
    panels,
    shared_legend,
)
from bthelpers.results.comparison import estimate
from bthelpers.results.runs import over_layers
from bthelpers.statistics.intervals import interval

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
    "mean": "Mean\nof four",
    "joint": "All four",
    "joint_as_published": "All four,\nas published",
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


def alignment_bars(alignment: xr.DataArray, p: xr.DataArray) -> Figure:
    """Bars per region and condition, mean over transformer layers and participants (Fig. 2, 6).

    Parameters
    ----------
    alignment : DataArray (participant, condition, layer, region)
    p : DataArray (condition, region)
        As `bthelpers.results.alignment.signed_rank_p` returns it, of one model and the regions to
        show.

    Returns
    -------
    Figure
        Error bars: standard error over participants; dots: participants; asterisks: significantly
        different from pretrained.
    """
    regions = list(p["region"].values)
    values = over_layers(alignment).sel(region=regions).transpose("condition", "region", ...)
    means, error = values.mean("participant"), standard_error(values)
    ticks = [region_title(region).replace(" ", "\n") for region in regions]
    ends = means - error, means + error
    return _bars(means, ends, ticks, ALIGNMENT, participants=values, p=p)


def alignment_overview(
    dataset: Dataset, participant: str, gain: np.ndarray, alignment: xr.DataArray, region: str
) -> Figure:
    """One participant's gain on the flattened cortex, beside a region's alignment of all (Fig. 2).

    Parameters
    ----------
    dataset : Dataset
        With the participant's surfaces.
    participant : str
    gain : array of shape (voxel,)
        Change of r / ceiling; NaN where there is none.
    alignment : DataArray (participant, condition, layer, region)
    region : str

    Returns
    -------
    Figure
        Bars: means over transformer layers and participants; error bars: standard error over
        participants; dots: participants.

    Raises
    ------
    ValueError
        As `bthelpers.figures.flatmap.flatmap`.
    """
    figure, axes = plt.subplot_mosaic(
        [["map", "bars"]], figsize=(10, 4.2), width_ratios=(3, 1), layout="constrained"
    )
    low, high = symmetric_limits(gain)
    label = f"Change of r / ceiling, {participant}"
    flatmap(
        dataset, participant, gain, label=label, cmap="RdBu_r", vmin=low, vmax=high, ax=axes["map"]
    )
    values = over_layers(alignment).sel(region=region).transpose("condition", ...)
    means, error = values.mean("participant"), standard_error(values)
    grouped_bars(axes["bars"], means, means - error, means + error, values)
    axes["bars"].set(title=region_title(region), ylabel="Mean r / ceiling", xticks=[])
    axes["bars"].legend(
        frameon=False, fontsize="small", loc="upper center", bbox_to_anchor=(0.5, 0)
    )
    axes["bars"].spines[["top", "right"]].set_visible(False)
    return figure


def _bars(
    means: xr.DataArray,
    ends: tuple[xr.DataArray, xr.DataArray],
    ticks: list[str],
    label: str,
    title: str = "",
    participants: xr.DataArray | None = None,
    p: xr.DataArray | None = None,
) -> Figure:
    """Bars (condition, group) as `grouped_bars`, with a tick for each group."""
    figure, [[axes]] = panels(1, 1, max(1.6 + 1.3 * len(ticks), 4.2), 4.1)
    grouped_bars(axes, means, *ends, participants, p)
    axes.set_xticks(np.arange(len(ticks)), ticks)
    axes.set_ylabel(label)
    axes.set_title(title, fontsize=10)
    shared_legend(figure, [axes])
    return figure


def family_bars(families: xr.Dataset, p: xr.DataArray, region: str) -> Figure:
    """Bars per model and condition for one region (Fig. 2a, 2b).

    Parameters
    ----------
    families : Dataset
        As `bthelpers.results.alignment.load_families` returns it.
    p : DataArray (model, condition, region)
        As `bthelpers.results.alignment.signed_rank_p` returns it, of the same models.
    region : str

    Returns
    -------
    Figure
        Bars: means over participants; error bars: 95 % intervals of the block bootstrap and over
        participants; asterisks: significantly different from pretrained.
    """
    chosen = families.sel(region=region).transpose("condition", "model", ...)
    means = chosen["alignment"].mean("participant")
    ends = interval(estimate(chosen, "alignment"), "participant").transpose("bound", *means.dims)
    tests = p.sel(region=region, model=means["model"])
    return _bars(means, ends, list(means["model"].values), ALIGNMENT, region_title(region), p=tests)


def layer_curves(alignments: dict[str, xr.DataArray]) -> Figure:
    """Alignment per layer, a line per condition.

    Parameters
    ----------
    alignments : dict of DataArray (participant, condition, layer)
        By title; panels need not have the same layers or conditions.

    Returns
    -------
    Figure
        Lines: mean over participants; bands: standard error over participants.
    """
    figure, grid = panel_grid(len(alignments), 4, sharey=True)
    for axes, (title, alignment) in zip(grid, alignments.items(), strict=True):
        mean, error = alignment.mean("participant"), standard_error(alignment)
        condition_curves(axes, mean, mean - error, mean + error)
        axes.set_title(title, fontsize=10)
    figure.supxlabel("Layer (0: input of the transformer)", fontsize=10)
    figure.supylabel(ALIGNMENT, fontsize=10)
    shared_legend(figure, grid)
    return figure


def impact_bars(impacts: xr.Dataset, p: xr.DataArray, region: str) -> Figure:
    """Bars per low-level feature and condition, mean over participants (Fig. 3 and 7).

    A condition in which a participant has no ratio has no bar.

    Parameters
    ----------
    impacts : Dataset
        As `bthelpers.results.impact.load_impacts` returns it.
    p : DataArray (condition, feature, region)
        As `bthelpers.results.impact.impact_p` returns it.
    region : str

    Returns
    -------
    Figure
        Error bars: 95 % intervals of the block bootstrap; dots: participants; red strokes: floors,
        the impact of another story's features; asterisks: significantly different from pretrained.
    """
    features = impacts["feature"].values
    ticks = [FEATURE_TITLES.get(name, name) for name in features]
    return _impact_bars(impacts, p, region, "feature", ticks)


def family_impact_bars(families: xr.Dataset, p: xr.DataArray, region: str) -> Figure:
    """Bars per model and condition, mean over four features and participants (Fig. 3a, 3b and 7).

    Parameters
    ----------
    families : Dataset
        As `bthelpers.results.impact.load_family_impacts` returns it, of one feature.
    p : DataArray (model, condition, region)
        As `bthelpers.results.impact.impact_p` returns it, of the same models and feature.
    region : str

    Returns
    -------
    Figure
        As of `impact_bars`. Conditions in which a model was not evaluated have no bar.
    """
    return _impact_bars(families, p, region, "model", list(families["model"].values))


def _impact_bars(
    impacts: xr.Dataset, p: xr.DataArray, region: str, group: str, ticks: list[str]
) -> Figure:
    chosen = impacts.sel(region=region).transpose("condition", group, ...)
    means = chosen["impact"].mean("participant", skipna=False)
    ends = interval(estimate(chosen, "impact"), "participant").transpose("bound", *means.dims)
    figure = _bars(
        means,
        ends,
        ticks,
        "Low-level impact (%)",
        region_title(region),
        participants=chosen["impact"],
        p=p.sel(region=region).transpose("condition", group),
    )
    [axes] = figure.axes
    floors = chosen["floor"].mean("participant", skipna=False)
    bars = [each for each in axes.containers if isinstance(each, BarContainer)]
    for of_condition, floor in zip(bars, floors.values, strict=True):
        left = np.array([bar.get_x() for bar in of_condition])
        axes.hlines(floor, left, left + of_condition[0].get_width(), "red", linewidth=1.5, zorder=3)
    return figure


def replication_intervals(changes: xr.Dataset) -> Figure:
    """Draw changes from pretrained with their intervals, a panel per measure and a line per run.

    Parameters
    ----------
    changes : Dataset
        As of `bthelpers.results.impact.replication_changes`.
    """
    runs, conditions = changes["participant"].values, changes["condition"].values
    figure, grid = panels(1, changes.sizes["measure"], 12, 0.34 * len(runs) + 1.4, sharey=True)
    for axes, measure in zip(grid.flat, changes["measure"].values, strict=True):
        for place, condition in enumerate(conditions):
            shown = changes.sel(measure=measure, condition=condition)
            lines = np.arange(len(runs)) + 0.3 * (place - (len(conditions) - 1) / 2)
            middle, half = (shown["low"] + shown["high"]) / 2, (shown["high"] - shown["low"]) / 2
            look = {key: STYLES[condition][key] for key in ("color", "marker")}
            axes.errorbar(middle, lines, xerr=half, fmt="none", ecolor=look["color"], capsize=2)
            axes.plot(shown["change"], lines, linestyle="", markersize=5, label=condition, **look)
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set_xlabel("\n".join(wrap(f"Change of {measure}", 22)))
    grid[0, 0].set_yticks(range(len(runs)), runs)
    grid[0, 0].invert_yaxis()
    shared_legend(figure, grid.flat)
    return figure
