"""Where curves over layers have their place, and whether tasks are in order along the layers."""

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
