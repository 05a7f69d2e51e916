"""Figures of the book, from labelled arrays."""

from __future__ import annotations

from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from matplotlib.ticker import MaxNLocator

from bthelpers.alignment import interval
from bthelpers.curves import STYLES, condition_curves, panel_grid, shared_legend

TITLES = {
    "late_language": "Late language",
    "angular_gyrus": "Angular gyrus",
    "lateral_temporal": "Lateral temporal",
    "inferior_frontal": "Inferior frontal",
    "middle_frontal": "Middle frontal",
    "primary_auditory": "Primary auditory",
    "early_auditory": "Early auditory",
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
        As `bthelpers.summary.load_families` returns it.
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


def interval_errors(means: xr.DataArray, draws: xr.DataArray) -> np.ndarray:
    """Distances of an interval's ends from a mean, which an interval of percentiles need not hold.

    Parameters
    ----------
    means : DataArray (condition, group)
    draws : DataArray (condition, group, draw)

    Returns
    -------
    array of shape (condition, 2, group), NaN where draws are
    """
    low, high = interval(draws).transpose("bound", *means.dims)
    return np.maximum(np.stack([means - low, high - means], axis=1), 0)


def grouped_bars(
    means: xr.DataArray, errors: np.ndarray, label: str
) -> tuple[Figure, plt.Axes, dict[str, np.ndarray]]:
    """Groups of bars, one bar per condition.

    Parameters
    ----------
    means : DataArray (condition, group)
    errors : array of shape (condition, group) or (condition, 2, group)
    label : str
        What the bars show, with its unit.

    Returns
    -------
    figure, axes, dict of array of shape (group,)
        The last by condition: where its bars stand.
    """
    n_groups = means.shape[1]
    conditions = list(means["condition"].values)
    width = 0.8 / len(conditions)
    figure, axes = plt.subplots(figsize=(max(1.6 + 1.3 * n_groups, 4.2), 3.8), layout="constrained")
    places = {}
    for k, condition in enumerate(conditions):
        style = STYLES[condition]
        places[condition] = np.arange(n_groups) + (k - (len(conditions) - 1) / 2) * width
        axes.bar(
            places[condition],
            means[k],
            width,
            yerr=np.asarray(errors[k]),
            color=style["color"],
            hatch=style["hatch"],
            edgecolor="black",
            linewidth=0.6,
            error_kw={"capsize": 3, "linewidth": 1},
            label=condition,
        )
    axes.set_ylabel(label)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(frameon=False, ncols=min(len(conditions), 3), loc="outside upper center")
    return figure, axes, places


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


def training_curves(runs: dict[tuple[str, str], xr.Dataset]) -> Figure:
    """Loss per epoch, a panel per participant; the kept epoch is ringed.

    Parameters
    ----------
    runs : dict
        By (participant, condition): ``training_loss``, ``validation_loss`` (epoch), ``best_epoch``.
    """
    participants = list(dict.fromkeys(participant for participant, _ in runs))
    figure, panels = plt.subplots(
        1,
        len(participants),
        figsize=(2.9 * len(participants) + 0.6, 3.4),
        sharex=True,
        squeeze=False,
        layout="constrained",
    )
    for axes, participant in zip(panels.flat, participants, strict=True):
        for (owner, condition), run in runs.items():
            if owner != participant:
                continue
            style = STYLES[condition]
            for name, line in (("training", ":"), ("validation", "-")):
                loss = run[f"{name}_loss"]
                axes.plot(
                    loss["epoch"],
                    loss,
                    line,
                    marker=style["marker"],
                    markersize=4,
                    color=style["color"],
                    label=f"{condition}, {name}",
                )
            best = run["validation_loss"].isel(epoch=int(run["best_epoch"]))
            axes.plot(best["epoch"], best, "o", markersize=11, mfc="none", mec="black")
        axes.set_title(participant, fontsize=10)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.spines[["top", "right"]].set_visible(False)
    figure.supxlabel("Epoch", fontsize=10)
    panels[0, 0].set_ylabel("Mean squared error\n(of responses of unit variance)")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, ncols=2, loc="outside upper center")
    return figure


def ceiling_quantiles(ceilings: dict[str, np.ndarray], published: np.ndarray) -> Figure:
    """Quantile functions of noise ceilings: participants of this run, and the published ones.

    Parameters
    ----------
    ceilings : dict of str to array of shape (voxel,)
    published : array
        Quantiles at equal steps from 0 to 1.
    """
    figure, axes = plt.subplots(figsize=(4.8, 3.4), layout="constrained")
    shares = np.linspace(0, 100, len(published))
    axes.plot(shares, published, "k--", linewidth=2, label="published (mean of UTS01–UTS03)")
    lines = cycle(("-", "-.", ":", "--"))
    for (participant, values), line in zip(ceilings.items(), lines, strict=False):
        axes.plot(shares, np.quantile(values, shares / 100), line, label=participant)
    axes.set_xlabel("Voxels with at most this noise ceiling (%)")
    axes.set_ylabel("Noise ceiling")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure


BOXES = {
    "sound": (0.0, 1.2, "Sound before a TR\n(T seconds)"),
    "front": (2.3, 1.2, "Convolutional\nfront end\n(frozen)"),
    "transformer": (4.6, 1.2, "Transformer\nlayers\n(tuned)"),
    "pool": (6.9, 1.2, "Pooling over\nvalid tokens"),
    "head": (9.2, 1.2, "Linear head\n(tuned)"),
    "loss": (9.2, -0.6, "Squared error"),
    "fmri": (6.9, -0.6, "fMRI of\nthe participant"),
    "ridge": (4.6, -0.6, "FIR delays\nand ridge"),
    "r": (2.3, -0.6, "r / noise ceiling\n(new story)"),
}
ARROWS = [
    ("sound", "front", "-"),
    ("front", "transformer", "-"),
    ("transformer", "pool", "-"),
    ("pool", "head", "-"),
    ("head", "loss", "-"),
    ("fmri", "loss", "-"),
    ("transformer", "ridge", "--"),
    ("fmri", "ridge", "--"),
    ("ridge", "r", "--"),
]


def method_diagram() -> Figure:
    """Brain-tuning (solid arrows) and the evaluation of brain alignment (dashed), as in Fig. 1."""
    width, height = 1.8, 1.1
    figure, axes = plt.subplots(figsize=(9.5, 2.9), layout="constrained")
    for x, y, text in BOXES.values():
        axes.add_patch(
            FancyBboxPatch(
                (x, y),
                width,
                height,
                boxstyle="round,pad=0.05",
                facecolor="#DCE9F2" if "tuned" in text else "#F2F2F2",
                edgecolor="black",
            )
        )
        axes.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=9)
    for start, stop, line in ARROWS:
        (x0, y0, _), (x1, y1, _) = BOXES[start], BOXES[stop]
        step = np.sign([x1 - x0, y1 - y0]) * [width / 2 + 0.06, height / 2 + 0.06]
        centre = np.array([width / 2, height / 2])
        axes.annotate(
            "",
            np.array([x1, y1]) + centre - step,
            np.array([x0, y0]) + centre + step,
            arrowprops={"arrowstyle": "-|>", "linestyle": line, "color": "black"},
        )
    axes.set(xlim=(-0.2, 11.2), ylim=(-0.9, 2.5), aspect="equal")
    axes.axis("off")
    return figure
