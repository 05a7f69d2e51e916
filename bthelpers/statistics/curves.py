"""What is read from curves: their place along the layers, what they reach, how steady they are."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy import stats


def layer_of_maximum(curve: xr.DataArray) -> xr.DataArray:
    """Layer at which a curve is highest, of equals the first.

    Parameters
    ----------
    curve : DataArray (..., layer)

    Returns
    -------
    DataArray (...)
        Labels of ``layer``; NaN where the curve is NaN at some layer.
    """
    return curve.fillna(-np.inf).idxmax("layer").where(curve.notnull().all("layer")).astype(float)


def centre_of_mass(curve: xr.DataArray) -> xr.DataArray:
    """Mean layer, each weighted by how far the curve is there above its lowest value.

    So the centre does not change if the curve is shifted or stretched: scores of different kinds
    have comparable centres. It uses the whole curve, and moves less by chance than the maximum.

    Parameters
    ----------
    curve : DataArray (..., layer)

    Returns
    -------
    DataArray (...)
        Between the first and the last label of ``layer``; NaN where the curve is constant, or NaN
        at some layer.

    Examples
    --------
    >>> curve = xr.DataArray([5.0, 6.0, 8.0, 5.0], {"layer": [1, 2, 3, 4]}, "layer")
    >>> centre_of_mass(curve).item()
    2.75
    """
    weights = curve - curve.min("layer", skipna=False)
    total = weights.sum("layer", skipna=False)
    return (weights * curve["layer"]).sum("layer", skipna=False) / total.where(total > 0)


def rise_to_last(curve: xr.DataArray) -> xr.DataArray:
    """Value at the last layer less the highest one before it: above 0 where a curve ends highest.

    Parameters
    ----------
    curve : DataArray (..., layer)
        Of two or more layers.
    """
    last = curve.isel(layer=-1, drop=True)
    return last - curve.isel(layer=slice(-1)).max("layer", skipna=False)


def rank_correlation(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Spearman's rank correlation along the last axis; equal values share their mean rank.

    Parameters
    ----------
    a, b : array of shape (..., n)
        Broadcast against each other.

    Returns
    -------
    array of shape (...)
        0 where all values of one are equal: there is no order to agree with. NaN where one is NaN.

    Examples
    --------
    >>> rank_correlation([1, 2, 3, 4], [[1, 1, 2, 3], [9, 7, 5, 3], [2, 2, 2, 2]]).round(3)
    array([ 0.949, -1.   ,  0.   ])
    """
    a, b = (stats.rankdata(values, axis=-1, nan_policy="propagate") for values in (a, b))
    a, b = (ranks - ranks.mean(axis=-1, keepdims=True) for ranks in (a, b))
    norms = np.sqrt((a**2).sum(axis=-1) * (b**2).sum(axis=-1))
    return (a * b).sum(axis=-1) / np.where(norms == 0, 1, norms)


def order_p(places: ArrayLike, layers: ArrayLike, n_draws: int, seed: int) -> float:
    """p-value of the order of tasks along the layers, against tasks in any other order.

    Which task has which place is permuted: all orders if there are no more than `n_draws`, else so
    many random ones. The same order is taken for all participants.

    Parameters
    ----------
    places : array of shape (n_tasks,)
        Of each task, from acoustic to semantic.
    layers : array of shape (n_participants, n_tasks)
        Where each has its maximum.
    n_draws, seed : int

    Returns
    -------
    float
        Share of orders whose rank correlation, mean over participants, is as high or higher, the
        true one among them; NaN where a layer is.
    """
    places, layers = np.asarray(places, float), np.asarray(layers, float)
    if np.isnan(rank_correlation(places, layers)).any():
        return np.nan
    return stats.permutation_test(
        (places,),
        lambda order, axis: rank_correlation(order[..., None, :], layers).mean(axis=-1),
        permutation_type="pairings",
        vectorized=True,
        n_resamples=n_draws,
        alternative="greater",
        rng=np.random.default_rng(seed),
    ).pvalue.item()


def first_reaching(x: ArrayLike, values: ArrayLike, target: float) -> float:
    """Where a curve first reaches a value, by straight lines between its points.

    Parameters
    ----------
    x : array of shape (point,)
        Ascending, as minutes of data.
    values : array of shape (point,)
    target : float

    Returns
    -------
    float
        The first point's where it is there already; infinite where the curve does not get there.

    Raises
    ------
    ValueError
        If `x` does not ascend, or something is not finite.

    Examples
    --------
    >>> first_reaching([10, 20, 40], [0.1, 0.3, 0.4], target=0.2)
    15.0
    """
    x, values = np.asarray(x, np.float64), np.asarray(values, np.float64)
    if x.shape != values.shape or x.ndim != 1 or not x.size:
        raise ValueError(f"a curve of {x.shape} places does not match {values.shape} values")
    if not (np.isfinite([*values, target]).all() and (np.diff(x) > 0).all()):
        raise ValueError("a curve's places must ascend; its values and the target must be finite")
    reached = values >= target
    if not reached.any():
        return float("inf")
    k = int(reached.argmax())
    if k == 0:
        return float(x[0])
    share = (target - values[k - 1]) / (values[k] - values[k - 1])
    return float(x[k - 1] + share * (x[k] - x[k - 1]))


def successive_variance(values: ArrayLike) -> float:
    """Variance about a slow trend: half the mean squared difference of successive values.

    Von Neumann's (1941) estimate. The plain variance would count it as unsteady that a curve rises.

    Parameters
    ----------
    values : array of shape (n,)

    Returns
    -------
    float
        NaN for fewer than two values, or where one is NaN.

    Examples
    --------
    >>> successive_variance([1.0, 2.0, 3.0, 4.0]), successive_variance([1.0, 3.0, 1.0, 3.0])
    (0.5, 2.0)
    """
    steps = np.diff(np.asarray(values, np.float64))
    return float((steps**2).mean() / 2) if len(steps) else float("nan")
