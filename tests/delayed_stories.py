"""Representations of invented stories, and their delayed features by plain loops."""

import numpy as np
import xarray as xr

TRS = {"a": 45, "b": 52, "c": 60, "d": 48, "test": 55}  # 15 more than responses


def invented_representations():
    rng = np.random.default_rng(0)
    return xr.DataArray(
        rng.normal(size=(3, sum(TRS.values()), 4)).astype(np.float32),
        dims=("layer", "tr", "feature"),
        coords={"layer": [0, 1, 2], "story": ("tr", np.repeat(list(TRS), list(TRS.values())))},
    )


def zscored(x):
    return (x - x.mean(axis=0)) / x.std(axis=0)


def naive_features(representation, stories, delays):
    """Row k of the responses is TR k + 10, and a delay of d TRs looks at the TR d before it."""
    pieces = []
    for story in stories:
        values = representation.values[representation["story"].values == story]
        rows = [
            np.concatenate(
                [values[k + 10 - d] if k + 10 - d >= 0 else 0 * values[0] for d in delays]
            )
            for k in range(len(values) - 15)
        ]
        pieces.append(zscored(np.array(rows, np.float64)))
    return np.concatenate(pieces)
