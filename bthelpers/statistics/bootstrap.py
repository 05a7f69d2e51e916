"""Bootstrap: draws with replacement, percentile intervals over draws, and percent change."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray


def resampling_counts(n_items: int, n_draws: int, seed: int) -> NDArray[np.float64]:
    """How often each item is in each bootstrap draw of as many, with replacement: (draw, item)."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(n_items, np.full(n_items, 1 / n_items), size=n_draws).astype(float)


def interval(draws: xr.DataArray, level: float = 0.95) -> xr.DataArray:
    """Percentile interval over bootstrap draws.

    Parameters
    ----------
    draws : DataArray with dim draw
        Bootstrap draws of anything: an alignment, a difference, a percent change.
    level : float
        Coverage.

    Returns
    -------
    DataArray with dim bound ("low", "high") in place of draw
        NaN where a draw is NaN.

    Examples
    --------
    >>> draws = xr.DataArray(np.arange(101), dims="draw")
    >>> interval(draws, level=0.9).values
    array([ 5., 95.])
    """
    tail = (1 - level) / 2
    bounds = draws.quantile([tail, 1 - tail], dim="draw", skipna=False)
    return bounds.rename(quantile="bound").assign_coords(bound=["low", "high"])


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
