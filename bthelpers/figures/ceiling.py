"""Figures of noise ceilings: how well they are estimated, and how many voxels they leave."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bthelpers.encoding.ceiling import voxels_above
from bthelpers.figures.style import COLOURS, line_looks, panels

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
    n_panels = len(numbers) + 1
    figure, [[*plots, biases]] = panels(1, n_panels, 3.1 * n_panels, 3.4)
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
    for axes in (*plots, biases):
        axes.set_xlabel("True noise ceiling")
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
    figure, [[axes]] = panels(1, 1, 5.6, 3.6)
    axes.fill_between(
        [0, 1],
        *(number / 1000 for number in reported),
        color="#BBBBBB",
        alpha=0.5,
        linewidth=0,
        label="range in the paper",
    )
    for participant, line in line_looks(left["participant"].values):
        voxels = left.sel(participant=participant)
        axes.plot(left["ceiling"], voxels, **line, label=participant)
        axes.plot(threshold, voxels.sel(ceiling=threshold), "o", color=line["color"])
    _mark_threshold(axes, threshold)
    axes.set(xlabel="Threshold on the noise ceiling", ylabel="Voxels left (thousands)")
    axes.set(xlim=(0, 1), ylim=(0, None))
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
    figure, grid = panels(1, len(counts), 4.3 * len(counts), 3.6, sharex=True, sharey=True)
    for axes, (title, source) in zip(grid.flat, counts.items(), strict=True):
        shares = 100 * source / source.sum("ceiling")
        steps = shares.isel(ceiling=slice(1, None)).coarsen(ceiling=HISTOGRAM_STEP).sum()
        edges = source["ceiling"].values[::HISTOGRAM_STEP]
        for participant, line in line_looks(source["participant"].values):
            zero = shares.sel(participant=participant, ceiling=0).item()
            label = f"{participant} ({zero:.0f} % at 0)"
            axes.stairs(steps.sel(participant=participant), edges, **line, label=label)
        _mark_threshold(axes, threshold)
        axes.set_title(title, fontsize=10)
        axes.set(xlabel="Noise ceiling", xlim=(0, 1), ylim=(0, None))
        axes.legend(frameon=False, fontsize=8)
    grid[0, 0].set_ylabel(f"Voxels (%) per {HISTOGRAM_STEP / 100} of noise ceiling")
    return figure


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
    figure, [[axes]] = panels(1, 1, 4.8, 3.4)
    shares = np.linspace(0, 100, len(published))
    axes.plot(shares, published, "k--", linewidth=2, label="published (mean of UTS01–UTS03)")
    for participant, look in line_looks(ceilings):
        axes.plot(
            shares, np.quantile(ceilings[participant], shares / 100), **look, label=participant
        )
    axes.set_xlabel("Voxels with at most this noise ceiling (%)")
    axes.set_ylabel("Noise ceiling")
    axes.legend(frameon=False)
    return figure
