"""Bootstrap: draws with replacement of items or of clusters of items, and percent change."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray


def resampling_counts(n_items: int, n_draws: int, seed: int) -> NDArray[np.float64]:
    """How often each item is in each bootstrap draw of as many, with replacement: (draw, item)."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(n_items, np.full(n_items, 1 / n_items), size=n_draws).astype(float)


def clustered_counts(clusters: Sequence[str], n_draws: int, seed: int) -> NDArray[np.float64]:
    """How often each item is in each draw, where clusters of items are drawn: (draw, item).

    Items of a cluster, such as the clips of a speaker, are alike: drawn one by one, they would
    seem to say more than they do.

    Parameters
    ----------
    clusters : sequence of str
        The cluster of each item.
    n_draws, seed : int
        Of the draws, each of which takes as many clusters as there are.

    Examples
    --------
    >>> clustered_counts(["anna", "ben", "anna", "cid"], n_draws=2, seed=0)
    array([[1., 1., 1., 1.],
           [0., 0., 0., 3.]])
    """
    names, cluster = np.unique(clusters, return_inverse=True)
    return resampling_counts(len(names), n_draws, seed)[:, cluster]


def percent_change(new: ArrayLike, old: ArrayLike) -> ArrayLike:
    """Change in percent of the old value, ``100 * (new - old) / old``, element by element.

    Parameters
    ----------
    new, old : number, array or DataArray
        Alignments; of DataArrays, paired by label.

    Returns
    -------
    number, array or DataArray
        NaN where the old value is not positive: a percentage of it would mean nothing.
    """
    defined = xr.where(old > 0, 1.0, np.nan)
    return 100 * (new - old) / (old * defined)
