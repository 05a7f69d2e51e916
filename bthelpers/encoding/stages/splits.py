"""How much it matters which rows are left out: stories, stretches of stories, or rows at random.

Successive responses are alike, and so are successive features. A row that is left out from among
its neighbours is then predicted by them, whatever the features mean: scores of shuffled splits are
too high (Feghhi et al., 2024). All else in this library leaves whole stories out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bthelpers.encoding.inputs import EncodingInputs, delayed_features
from bthelpers.encoding.ridge import fit_ridge, story_folds
from bthelpers.statistics.correlation import pearson_r


def stretch_folds(stories: Sequence[str], n_folds: int) -> NDArray[np.int64]:
    """Cut each story into as many stretches of successive rows as there are folds.

    Parameters
    ----------
    stories : sequence of str
        The story of each row.
    n_folds : int

    Returns
    -------
    array of shape (n_rows,)
        The fold of each row.

    Examples
    --------
    >>> stretch_folds(["a"] * 4 + ["b"] * 5, 2)
    array([0, 0, 1, 1, 0, 0, 0, 1, 1])
    """
    stories = np.asarray(stories)
    folds = np.empty(len(stories), np.int64)
    for story in dict.fromkeys(stories.tolist()):
        rows = np.flatnonzero(stories == story)
        folds[rows] = np.arange(len(rows)) * n_folds // len(rows)
    return folds


def shuffled_folds(stories: Sequence[str], n_folds: int, seed: int) -> NDArray[np.int64]:
    """Deal rows to folds of nearly equal size, at random: (row)."""
    return np.random.default_rng(seed).permutation(np.arange(len(stories)) % n_folds)


# By name: (stories of rows, number of folds, seed) -> folds of rows.
SPLITS: dict[str, Callable[[Sequence[str], int, int], NDArray[np.int64]]] = {
    "whole stories": lambda stories, n_folds, seed: story_folds(stories, n_folds),
    "stretches": lambda stories, n_folds, seed: stretch_folds(stories, n_folds),
    "shuffled rows": shuffled_folds,
}


def split_correlation(features: xr.DataArray, inputs: EncodingInputs) -> xr.DataArray:
    """Mean correlation of prediction and response where other rows are left out.

    Only of the training stories. Of as many folds as the encoding model has, the first is left out
    to be predicted; the others fit the model and choose its penalties among themselves.

    Parameters
    ----------
    features : DataArray (tr, feature)
        At all TRs, with the coordinate ``story``.
    inputs : EncodingInputs

    Returns
    -------
    DataArray (split, region)
        Means over voxels; not divided by noise ceilings, which are of the mean of repeats.

    Raises
    ------
    ValueError
        If there are fewer than three folds.
    """
    training, encoding = inputs.training, inputs.encoding
    if encoding.folds < 3:
        raise ValueError(f"encoding.folds is {encoding.folds}: leaving rows out needs 3 or more")
    X = delayed_features(features, training.stories, encoding.fir_delays)
    alphas = X.shape[1] * np.logspace(*encoding.alphas)
    means = []
    for folds_of in SPLITS.values():
        folds = folds_of(training.story_of_row, encoding.folds, inputs.seed)
        kept = folds > 0
        model = fit_ridge(X[kept], training.responses[kept], folds[kept], alphas)
        r = pearson_r(model.predict(X[~kept]), training.responses[~kept])
        means.append([r[mask].mean() for mask in inputs.regions.values.astype(bool)])
    labels = {"split": list(SPLITS), "region": inputs.regions["region"].values}
    return xr.DataArray(means, labels, tuple(labels))
