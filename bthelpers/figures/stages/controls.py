"""One figure of the controls of alignment: a baseline, other splits, and dimensions of layers."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bthelpers.figures.alignment import region_title, standard_error
from bthelpers.figures.style import condition_curves, grouped_bars, shared_legend
from bthelpers.results.runs import over_layers
from bthelpers.results.stages.controls import DIMENSIONS

REGION = "late_language"  # whose splits are shown


def controls_figure(
    compared: xr.Dataset, controls: xr.Dataset, conditions: Sequence[str]
) -> Figure:
    """Draw alignment beside a baseline, correlations by split, and dimensions of layers.

    Parameters
    ----------
    compared : Dataset
        As of `bthelpers.results.stages.controls.against_baseline`.
    controls : Dataset
        As of `bthelpers.results.stages.controls.load_controls`.
    conditions : sequence of str

    Returns
    -------
    Figure
        Top: alignment by region, means over transformer layers and participants, from word rate
        and position (black strokes) to the model's (bars); error bars: 95 % intervals of the
        difference from the strokes. Bottom left: mean correlation in late language regions by what
        is left out; black strokes: of word rate and position. Bottom right: dimensions by layer;
        bands: standard error over participants.
    """
    figure, axes = plt.subplot_mosaic(
        [["baseline"] * 3, ["splits", *DIMENSIONS]], figsize=(11, 6.4), layout="constrained"
    )
    _draw_baseline(axes["baseline"], compared.sel(condition=list(conditions)))
    _draw_splits(axes["splits"], controls, conditions)
    for name, label in DIMENSIONS.items():
        values = controls[name].sel(condition=list(conditions))
        mean, error = values.mean("participant"), standard_error(values)
        condition_curves(axes[name], mean, mean - error, mean + error)
        axes[name].set(xlabel="Layer", title=label.replace(" (", "\n("), ylim=(0, None))
        axes[name].title.set_fontsize(10)
    for panel in axes.values():
        panel.spines[["top", "right"]].set_visible(False)
    shared_legend(figure, [axes["baseline"]])
    return figure


def _draw_baseline(axes: Axes, compared: xr.Dataset) -> None:
    compared = compared.transpose("condition", "region", ...)
    baseline = compared["baseline"]
    grouped_bars(axes, compared["value"], *(baseline + compared[end] for end in ("low", "high")))
    axes.set_xticks(
        range(baseline.sizes["region"]),
        [region_title(name).replace(" ", "\n") for name in baseline["region"].values],
    )
    _strokes(axes, baseline.isel(condition=0).values)
    axes.set_ylabel("Mean r / ceiling")


def _draw_splits(axes: Axes, controls: xr.Dataset, conditions: Sequence[str]) -> None:
    r = over_layers(controls["r"]).sel(region=REGION, condition=list(conditions))
    r = r.transpose("condition", "split", "participant")
    mean, error = r.mean("participant"), standard_error(r)
    grouped_bars(axes, mean, mean - error, mean + error)
    baseline = controls["baseline_r"].sel(region=REGION).isel(condition=0).mean("participant")
    _strokes(axes, baseline.values)
    names = [name.replace(" ", "\n") for name in controls["split"].values]
    axes.set_xticks(range(len(names)), names)
    axes.set(ylabel="Mean r", title=f"{region_title(REGION)},\nby what is left out")
    axes.title.set_fontsize(10)


def _strokes(axes: Axes, heights: np.ndarray) -> None:
    places = np.arange(len(heights))
    axes.hlines(heights, places - 0.45, places + 0.45, "black", label="word rate and position")
