"""Pearson's correlation of many series at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def pearson_r(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Pearson correlation over time, voxel by voxel.

    Parameters
    ----------
    a, b : array of shape (n_trs, n_voxels)
        Predictions and responses.

    Returns
    -------
    array of shape (n_voxels,)
        NaN where either is constant, or is NaN somewhere: no correlation is defined there.

    Raises
    ------
    ValueError
        If the shapes differ or there is no row.

    Examples
    --------
    >>> pearson_r([[1, 5], [2, 5], [3, 5]], [[2, 1], [4, 2], [6, 3]])
    array([ 1., nan])
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 2 or not len(a):
        raise ValueError(f"cannot correlate arrays of shapes {a.shape} and {b.shape}")
    constant = (np.ptp(a, axis=0) == 0) | (np.ptp(b, axis=0) == 0)
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    norms = np.linalg.norm(a, axis=0) * np.linalg.norm(b, axis=0)
    return (a * b).sum(axis=0) / np.where(constant, np.nan, norms)
