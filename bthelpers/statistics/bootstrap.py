"""Bootstrap: draws with replacement, percentile intervals over draws, and percent change."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

# Voxels resampled at once: a thousand draws of them are 16 MB in float64.
_VOXELS_AT_ONCE = 2048


def resampling_counts(n_items: int, n_draws: int, seed: int) -> NDArray[np.float64]:
    """How often each item is in each bootstrap draw of as many, with replacement: (draw, item)."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(n_items, np.full(n_items, 1 / n_items), size=n_draws).astype(float)


def _resampled_r(
    predicted: NDArray, actual: NDArray, starts: NDArray, counts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Correlations (draw, voxel) from sums over blocks, without forming the resampled series."""
    n_trs = counts @ np.diff(starts, append=len(actual))

    def mean(x: NDArray) -> NDArray:
        return counts @ np.add.reduceat(x, starts, axis=0) / n_trs[:, None]

    # Centred and in float64, or the differences of moments below would cancel digits.
    p = predicted - predicted.mean(axis=0, dtype=np.float64)
    y = actual - actual.mean(axis=0, dtype=np.float64)
    covariance = mean(p * y) - mean(p) * mean(y)
    variances = (mean(p * p) - mean(p) ** 2) * (mean(y * y) - mean(y) ** 2)
    return covariance / np.sqrt(variances)


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
