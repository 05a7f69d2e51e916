"""Figures of noise ceilings: how well they are estimated, and how many voxels they leave."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bthelpers.encoding.ceiling import voxels_above
from bthelpers.figures.style import COLOURS, STROKES

TOLERANCE = 0.02  # of the bias
MARKERS = ("s", "^", "o", "D")
HISTOGRAM_STEP = 5  # hundredths of noise ceiling


def recovery(estimated: xr.DataArray) -> Figure:
    """Estimated against true noise ceilings, a panel per number of repeats, and the bias of all.

    Parameters
    ----------
    estimated : DataArray (repeats, ceiling, voxel)
        Estimates for voxels of which ``ceiling`` is the true noise ceiling.

    Returns
    -------
    Figure
        Bands: 90 % of the voxels. Lines: their mean and median.
    """
    true, numbers = estimated["ceiling"], estimated["repeats"].values
    low, middle, high = estimated.quantile([0.05, 0.5, 0.95], "voxel")
    mean = estimated.mean("voxel")
    figure, panels = plt.subplots(
        1, len(numbers) + 1, figsize=(3.1 * (len(numbers) + 1), 3.4), layout="constrained"
    )
    *plots, biases = panels
    for axes, n, colour, marker in zip(plots, numbers, COLOURS, MARKERS, strict=False):
        band = [bound.sel(repeats=n) for bound in (low, high)]
        axes.fill_between(true, *band, color=colour, alpha=0.25, linewidth=0, label="90 % interval")
        axes.plot([0, 1], [0, 1], color="black", linewidth=0.8, label="identity")
        for kind, centre, stroke in (("mean", mean, "-"), ("median", middle, "--")):
            style = {"linestyle": stroke, "marker": marker, "markersize": 3, "color": colour}
            axes.plot(true, centre.sel(repeats=n), **style, label=kind)
            biases.plot(true, centre.sel(repeats=n) - true, **style, label=f"{n} repeats, {kind}")
        axes.set_title(f"{n} repeats", fontsize=10)
        axes.set(ylabel="Estimated noise ceiling", xlim=(0, 1), ylim=(-0.02, 1.02))
        axes.legend(frameon=False, fontsize=8, loc="upper left")
    biases.axhspan(-TOLERANCE, TOLERANCE, color="#BBBBBB", alpha=0.5, linewidth=0)
    biases.set_title(f"Bias (grey: ±{TOLERANCE})", fontsize=10)
    biases.set(ylabel="Estimated − true noise ceiling", xlim=(0, 1))
    biases.legend(frameon=False, fontsize=8)
    for axes in panels:
        axes.set_xlabel("True noise ceiling")
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def voxels_left(counts: xr.DataArray, threshold: float, reported: tuple[float, float]) -> Figure:
    """Voxels above every threshold on the noise ceiling, beside a reported range.

    Parameters
    ----------
    counts : DataArray (participant, ceiling)
        As `bthelpers.encoding.ceiling.ceiling_counts` gives them.
    threshold : float
        That of the report; a multiple of 0.01.
    reported : tuple of two numbers
        Least and most voxels that are said to be left.
    """
    left = voxels_above(counts) / 1000
    figure, axes = plt.subplots(figsize=(5.6, 3.6), layout="constrained")
    axes.fill_between(
        [0, 1],
        *(number / 1000 for number in reported),
        color="#BBBBBB",
        alpha=0.5,
        linewidth=0,
        label="range in the paper",
    )
    for participant, line in _participant_lines(left):
        voxels = left.sel(participant=participant)
        axes.plot(left["ceiling"], voxels, **line, label=participant)
        axes.plot(threshold, voxels.sel(ceiling=threshold), "o", color=line["color"])
    _mark_threshold(axes, threshold)
    axes.set(xlabel="Threshold on the noise ceiling", ylabel="Voxels left (thousands)")
    axes.set(xlim=(0, 1), ylim=(0, None))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure


def ceiling_histograms(counts: dict[str, xr.DataArray], threshold: float) -> Figure:
    """Histograms of noise ceilings, a panel per source; voxels at exactly 0 are in the legend.

    Parameters
    ----------
    counts : dict of DataArray (participant, ceiling)
        By the panel's title, as `bthelpers.encoding.ceiling.ceiling_counts` gives them.
    threshold : float
    """
    figure, panels = plt.subplots(
        1,
        len(counts),
        figsize=(4.3 * len(counts), 3.6),
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for axes, (title, source) in zip(panels.flat, counts.items(), strict=True):
        shares = 100 * source / source.sum("ceiling")
        steps = shares.isel(ceiling=slice(1, None)).coarsen(ceiling=HISTOGRAM_STEP).sum()
        edges = source["ceiling"].values[::HISTOGRAM_STEP]
        for participant, line in _participant_lines(source):
            zero = shares.sel(participant=participant, ceiling=0).item()
            label = f"{participant} ({zero:.0f} % at 0)"
            axes.stairs(steps.sel(participant=participant), edges, **line, label=label)
        _mark_threshold(axes, threshold)
        axes.set_title(title, fontsize=10)
        axes.set(xlabel="Noise ceiling", xlim=(0, 1), ylim=(0, None))
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
    panels[0, 0].set_ylabel(f"Voxels (%) per {HISTOGRAM_STEP / 100} of noise ceiling")
    return figure


def _participant_lines(values: xr.DataArray) -> Iterator[tuple[str, dict[str, str]]]:
    """Participants with the colour and stroke of each."""
    participants = values["participant"].values
    for participant, colour, stroke in zip(
        participants, cycle(COLOURS), cycle(STROKES), strict=False
    ):
        yield participant, {"color": colour, "linestyle": stroke}


def _mark_threshold(axes: Axes, threshold: float) -> None:
    axes.axvline(threshold, color="black", linewidth=0.8, linestyle=":")


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
