"""Figures of the method: its diagram and its training."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from matplotlib.ticker import MaxNLocator

from bthelpers.figures.style import STYLES, panels, shared_legend

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


def training_curves(runs: dict[tuple[str, str], xr.Dataset]) -> Figure:
    """Loss per epoch, a panel per participant; the kept epoch, if one was, is ringed.

    Parameters
    ----------
    runs : dict
        By (participant, condition): ``training_loss``, ``validation_loss`` (epoch), ``kept_epoch``.
    """
    participants = list(dict.fromkeys(participant for participant, _ in runs))
    figure, grid = panels(1, len(participants), 2.9 * len(participants) + 0.6, 3.4, sharex=True)
    for axes, participant in zip(grid.flat, participants, strict=True):
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
            if (kept := int(run["kept_epoch"])) >= 0:  # or else the pretrained model was kept
                ringed = run["validation_loss"].isel(epoch=kept)
                axes.plot(ringed["epoch"], ringed, "o", markersize=11, mfc="none", mec="black")
        axes.set_title(participant, fontsize=10)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.supxlabel("Epoch", fontsize=10)
    grid[0, 0].set_ylabel("Mean squared error\n(of responses of unit variance)")
    shared_legend(figure, grid.flat)
    return figure


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
