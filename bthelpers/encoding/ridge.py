"""Voxelwise encoding models: ridge regression from features to responses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from himalaya.backend import get_backend, set_backend
from himalaya.kernel_ridge import KernelRidgeCV
from himalaya.ridge import RidgeCV
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import LeaveOneGroupOut

# Voxels predicted at once. Bounds memory: himalaya holds the predictions of all penalties.
_VOXELS_AT_ONCE = 1024
_ON_GPU = "torch_cuda"  # himalaya's name of what computes on the current GPU


def fit_ridge(
    X: ArrayLike, Y: ArrayLike, groups: ArrayLike, alphas: ArrayLike
) -> RidgeCV | KernelRidgeCV:
    """Ridge regression with a penalty per voxel, chosen by leaving groups of rows out.

    For each voxel the penalty is the one with the least squared error on the left-out rows,
    averaged over groups (himalaya's ``l2_neg_loss``, the loss that is fitted; unlike R2 it does
    not weigh a group by the inverse of the voxel's variance there). Among equals the largest is
    taken. Coefficients are then fitted to all rows, in the primal form if there are at least as
    many rows as features and in the dual form (himalaya's default, a linear kernel) otherwise; both
    predict the same.

    No intercept is fitted: standardise features and responses first, story by story.

    Parameters
    ----------
    X : array of shape (n_rows, n_features)
        Features, delayed.
    Y : array of shape (n_rows, n_voxels)
        Responses.
    groups : array of shape (n_rows,)
        Which rows are left out together: stories, or `story_folds` of them.
    alphas : array of shape (n_alphas,)
        Penalties to choose from, all positive.

    Returns
    -------
    himalaya.ridge.RidgeCV or himalaya.kernel_ridge.KernelRidgeCV
        Fitted; ``predict(X)`` and ``best_alphas_`` of shape (n_voxels,), NumPy arrays also where
        the fit was computed on a GPU, as it is where there is one. Computed in float32 if both X
        and Y are float32, in float64 otherwise.

    Raises
    ------
    ValueError
        If rows do not match, a value is not finite, a penalty is not positive, or there are fewer
        than two groups.

    Examples
    --------
    Two voxels that follow two features, the second one with noise: it gets the larger penalty.

    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(40, 2))
    >>> Y = X @ [[1, 1], [2, 0]] + rng.normal(size=(40, 2)) * [0, 5]
    >>> model = fit_ridge(X, Y, groups=np.arange(40) % 4, alphas=[0.01, 100])
    >>> model.best_alphas_
    array([1.e-02, 1.e+02])
    >>> model.predict([[1.0, 0.0]])[:, 0].round(2)
    array([1.])
    """
    X, Y, groups, alphas = (np.asarray(array) for array in (X, Y, groups, alphas))
    _check_ridge(X, Y, groups, alphas)
    # himalaya casts Y to the precision of X, and whole numbers to float32.
    dtype = np.float32 if X.dtype == Y.dtype == np.float32 else np.float64
    settings = {
        "alphas": alphas,
        "cv": list(LeaveOneGroupOut().split(X, groups=groups)),
        "solver_params": {"n_targets_batch": _VOXELS_AT_ONCE},
    }
    n_rows, n_features = X.shape
    ridge = RidgeCV(**settings) if n_rows >= n_features else KernelRidgeCV(**settings)
    return _fit(ridge, X.astype(dtype, copy=False), Y.astype(dtype, copy=False))


def _fit(ridge: RidgeCV | KernelRidgeCV, X: NDArray, Y: NDArray) -> RidgeCV | KernelRidgeCV:
    """Fit on a GPU if there is one, and bring what was fitted back."""
    import torch  # takes seconds, and chapters import this module for its correlations

    users = get_backend()
    backend = set_backend(_ON_GPU if torch.cuda.is_available() else "numpy")
    try:
        ridge.fit(X, Y)
        for name, value in vars(ridge).items():
            if isinstance(value, torch.Tensor):
                setattr(ridge, name, backend.to_numpy(value))
    finally:
        set_backend(users)
    return ridge


def _check_ridge(X: NDArray, Y: NDArray, groups: NDArray, alphas: NDArray) -> None:
    if X.ndim != 2 or Y.ndim != 2 or not X.shape[:1] == Y.shape[:1] == groups.shape:
        raise ValueError(
            "X, Y and groups must have the same rows: "
            f"X is {X.shape}, Y is {Y.shape}, groups is {groups.shape}"
        )
    for name, values, columns in (("X", X, "features"), ("Y", Y, "voxels")):
        bad = ~np.isfinite(values).all(axis=0)
        if bad.any():
            raise ValueError(
                f"{bad.sum()} of {bad.size} {columns} in {name} are NaN or infinite somewhere: "
                "mask them before fitting"
            )
    if len(np.unique(groups)) < 2:
        raise ValueError("leaving groups out needs two or more groups of rows")
    if alphas.ndim != 1 or not len(alphas) or not (np.isfinite(alphas) & (alphas > 0)).all():
        raise ValueError(f"alphas must be one or more positive penalties, not {alphas}")


def story_folds(stories: Sequence[str], n_folds: int) -> NDArray[np.int64]:
    """Merge stories into folds, in turn, in the order in which they first appear.

    Parameters
    ----------
    stories : sequence of str
        The story of each row.
    n_folds : int
        Number of folds, at least two.

    Returns
    -------
    array of shape (n_rows,)
        The fold of each row, 0 to ``n_folds - 1``: the `groups` of `fit_ridge`.

    Raises
    ------
    ValueError
        If there are fewer stories than folds, or fewer than two folds.
    """
    order = {story: index for index, story in enumerate(dict.fromkeys(stories))}
    if not 2 <= n_folds <= len(order):
        raise ValueError(f"{len(order)} stories cannot make {n_folds} folds (two or more)")
    return np.array([order[story] % n_folds for story in stories])
