"""How many minutes of a participant's responses an encoding model of a tuned model needs.

Moussa and Toneva (NeurIPS 2025) fit to subsets of the stories that their models were tuned on. The
stories of these curves are those of the inputs: give some that no model has heard to ask more.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from bthelpers.core.progress import Progress
from bthelpers.core.timing import TR
from bthelpers.encoding.inputs import EncodingInputs
from bthelpers.transfer.regions import region_means


def learning_curve(
    features: xr.DataArray,
    inputs: EncodingInputs,
    n_stories: Sequence[int],
    draws: int,
    seed: int,
    tr: float = TR,
) -> xr.Dataset:
    """Prediction of held-out stories, fitted to more and more of the training stories.

    Each draw puts the training stories in an order of its own, and takes the first ones. Orders
    depend on the stories and on the seed alone: curves of several models are paired.

    Parameters
    ----------
    features : DataArray (tr, feature)
        One layer of a model.
    inputs : EncodingInputs
    n_stories : sequence of int
        How many training stories are fitted to.
    draws : int
        Orders of the stories.
    seed : int
    tr : float
        Seconds of a row.

    Returns
    -------
    Dataset (draw, n_stories)
        ``minutes`` of responses, and ``r`` and ``alignment`` (draw, n_stories, region), as of
        `bthelpers.transfer.regions.region_means`.

    Raises
    ------
    ValueError
        If there are not so many training stories, or too few to choose penalties by.
    """
    stories, rng = inputs.training.stories, np.random.default_rng(seed)
    if not 1 <= min(n_stories) <= max(n_stories) <= len(stories):
        raise ValueError(f"{[*n_stories]} stories cannot be taken of {len(stories)}")
    progress, curves = Progress("fits", draws * len(n_stories)), []
    for _ in range(draws):
        order, points = rng.permutation(stories).tolist(), []
        for number in n_stories:
            fitted = inputs.fitted_to(order[:number])
            minutes = len(fitted.training.responses) * tr / 60
            points.append(region_means(features, fitted).assign(minutes=minutes))
            progress.advance()
        curves.append(xr.concat(points, dim="n_stories"))
    return xr.concat(curves, dim="draw").assign_coords(n_stories=list(n_stories))


def minutes_to_reach(minutes: ArrayLike, values: ArrayLike, target: float) -> float:
    """Minutes after which a curve first reaches a value, by straight lines between its points.

    Parameters
    ----------
    minutes : array of shape (point,)
        Ascending.
    values : array of shape (point,)
    target : float

    Returns
    -------
    float
        The first point's where it is there already; infinite where the curve does not get there.

    Raises
    ------
    ValueError
        If minutes do not ascend, or something is not finite.

    Examples
    --------
    >>> minutes_to_reach([10, 20, 40], [0.1, 0.3, 0.4], target=0.2)
    15.0
    """
    minutes, values = np.asarray(minutes, np.float64), np.asarray(values, np.float64)
    if minutes.shape != values.shape or minutes.ndim != 1 or not minutes.size:
        raise ValueError(f"{minutes.shape} minutes do not match {values.shape} values")
    if not (np.isfinite([*values, target]).all() and (np.diff(minutes) > 0).all()):
        raise ValueError("minutes must ascend, and values and target must be finite")
    reached = values >= target
    if not reached.any():
        return float("inf")
    k = int(reached.argmax())
    if k == 0:
        return float(minutes[0])
    share = (target - values[k - 1]) / (values[k] - values[k - 1])
    return float(minutes[k - 1] + share * (minutes[k] - minutes[k - 1]))
