"""Curves over layers with known places, which tests of tables and of figures share."""

import numpy as np
import xarray as xr

LAYERS = np.arange(6)  # 0 is the transformer's input


def planted(peaks, n_draws=60, noise=0.0, n_drawn=12, seed=0):
    """A curve of each participant and condition that is highest at a layer.

    Parameters
    ----------
    peaks : dict of sequence of int
        By condition: the layer of each participant.
    """
    rng = np.random.default_rng(seed)
    at = np.array(list(peaks.values()), float).T[..., None]
    values = 0.5 - 0.1 * np.abs(LAYERS - at)
    values[..., 0] = 5  # would be the maximum, if the input counted
    draws = values[..., None] + noise * rng.normal(size=(*values.shape, n_draws))
    names = [f"SIM{k:02}" for k in range(len(at))]
    coords = {"participant": names, "condition": list(peaks), "layer": LAYERS}
    dims = tuple(coords)
    return xr.Dataset(
        {"value": (dims, values), "draws": ((*dims, "draw"), draws)},
        coords | {"n_drawn": ("draw", np.full(n_draws, n_drawn))},
    )


def in_order(tuned=(1, 1, 2, 3, 4, 5), **kind):
    """Curves of six tasks: without order when pretrained, in order when tuned."""
    tasks = "mfcc", "fbank", "phones", "word", "sentence type", "action"
    before = (3, 2, 4, 1, 5, 2)
    return {
        task: planted({"pretrained": (old, old), "brain-tuned": (new, new)}, **kind)
        for task, old, new in zip(tasks, before, tuned, strict=True)
    }
