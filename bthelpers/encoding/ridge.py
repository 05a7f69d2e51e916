"""Voxelwise encoding models: ridge regression from features to responses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:  # it takes seconds to load, and chapters import what imports this module
    from torch import Tensor

# Voxels predicted at once: bounds memory.
_VOXELS_AT_ONCE = 1024
EDGES = ("lower edge", "upper edge", "nothing predicted")
# A share of the variance, ten times what float32 rounds: who explains less predicts nothing.
_NOTHING = 1e-5


@dataclass(frozen=True)
class FittedRidge:
    """Coefficients of many voxels, each with a penalty of its own.

    Attributes
    ----------
    coef_ : array of shape (n_features, n_voxels)
    best_alphas_ : array of shape (n_voxels,)
        Penalties chosen.
    cv_scores_ : array of shape (n_voxels,)
        With these penalties, minus the mean squared error on the rows that chose them.
    """

    coef_: NDArray
    best_alphas_: NDArray
    cv_scores_: NDArray

    def predict(self, X: ArrayLike) -> NDArray:
        """Responses (n_rows, n_voxels) to features (n_rows, n_features)."""
        return np.asarray(X) @ self.coef_


def fit_ridge(X: ArrayLike, Y: ArrayLike, groups: ArrayLike, alphas: ArrayLike) -> FittedRidge:
    """Ridge regression with a penalty per voxel, chosen by leaving groups of rows out.

    For each voxel the penalty is the one with the least squared error on the left-out rows,
    averaged over groups (the loss that is fitted; unlike R2 it does not weigh a group by the
    inverse of the voxel's variance there). Among equals the largest is taken. Coefficients are then
    fitted to all rows.

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
    FittedRidge
        Computed on a GPU where there is one; in float32 if both X and Y are float32, in float64
        otherwise.

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
    X, Y, groups = np.asarray(X), np.asarray(Y), np.asarray(groups)
    _check_rows(X, Y)
    if groups.shape != X.shape[:1]:
        raise ValueError(f"X, Y and groups must have the same rows: groups is {groups.shape}")
    left_out = [groups == group for group in np.unique(groups)]
    if len(left_out) < 2:
        raise ValueError("leaving groups out needs two or more groups of rows")
    with _memory(X, Y):
        X, Y, *left_out = _tensors(X, Y, *left_out)
        penalties, gram = _descending(alphas), _gram(X)
        errors = [
            _squared_errors(_leave_out(X, gram, out), Y[~out], Y[out], penalties)
            for out in left_out
        ]
        return _fit(_decompose(X, gram), Y, sum(errors) / len(errors), penalties)


def fit_validated_ridge(
    X: ArrayLike,
    Y: ArrayLike,
    X_validation: ArrayLike,
    Y_validation: ArrayLike,
    alphas: ArrayLike,
) -> FittedRidge:
    """Ridge regression with a penalty per voxel, chosen by the error on other rows.

    As `fit_ridge`, but that coefficients are fitted to all rows of X at each penalty, and the least
    squared error on the validation rows decides. These are fitted to by nothing.

    Parameters
    ----------
    X : array of shape (n_rows, n_features)
        Features, delayed.
    Y : array of shape (n_rows, n_voxels)
        Responses.
    X_validation : array of shape (n_validation_rows, n_features)
    Y_validation : array of shape (n_validation_rows, n_voxels)
    alphas : array of shape (n_alphas,)
        Penalties to choose from, all positive.

    Returns
    -------
    FittedRidge

    Raises
    ------
    ValueError
        As `fit_ridge`.
    """
    arrays = [np.asarray(array) for array in (X, Y, X_validation, Y_validation)]
    _check_rows(*arrays[:2])
    _check_rows(*arrays[2:])
    with _memory(*arrays[:2]):
        X, Y, X_validation, Y_validation = _tensors(*arrays)
        penalties, whole = _descending(alphas), _decompose(X, _gram(X))
        rotated = _Rotated(whole.eigenvalues, whole.rotation, X_validation @ whole.basis)
        return _fit(whole, Y, _squared_errors(rotated, Y, Y_validation, penalties), penalties)


class _Decomposition(NamedTuple):
    """X in the basis in which a ridge is a division: its coefficients at a penalty are
    ``basis @ (rotation @ Y / (eigenvalues + penalty))``.
    """

    eigenvalues: Tensor  # (k,), k the smaller one of the numbers of rows and features
    basis: Tensor  # (n_features, k)
    rotation: Tensor  # (k, n_rows)


class _Rotated(NamedTuple):
    """Rows that are fitted to, and others, in that basis: the others' responses are
    ``projected @ (rotation @ Y / (eigenvalues + penalty))``.
    """

    eigenvalues: Tensor  # (k,)
    rotation: Tensor  # (k, n_rows)
    projected: Tensor  # (n_other_rows, k)


def _primal(X: Tensor) -> bool:
    return X.shape[0] >= X.shape[1]


def _gram(X: Tensor) -> Tensor:
    """X'X (the primal form), or XX' (the dual) where there are fewer rows."""
    return X.T @ X if _primal(X) else X @ X.T


def _eigh(gram: Tensor) -> tuple[Tensor, Tensor]:
    import torch

    eigenvalues, vectors = torch.linalg.eigh(gram)
    return eigenvalues.clamp(min=0), vectors  # rounding makes some negative


def _decompose(X: Tensor, gram: Tensor) -> _Decomposition:
    """Diagonalise in float64: in float32 as all else, correlations would be wrong by 1e-4."""
    eigenvalues, vectors = (part.to(X.dtype) for part in _eigh(gram.double()))
    if _primal(X):
        return _Decomposition(eigenvalues, vectors, (X @ vectors).T)
    return _Decomposition(eigenvalues, X.T @ vectors, vectors.T)


def _leave_out(X: Tensor, gram: Tensor, out: Tensor) -> _Rotated:
    """Decompose rows that are kept, from the Gram matrix of all; project those that are left out.

    In the precision of X: penalties are chosen here, of which neighbours are factors apart.
    """
    if _primal(X):
        eigenvalues, vectors = _eigh(gram - X[out].T @ X[out])
        return _Rotated(eigenvalues, (X[~out] @ vectors).T, X[out] @ vectors)
    eigenvalues, vectors = _eigh(gram[~out][:, ~out])
    return _Rotated(eigenvalues, vectors.T, gram[out][:, ~out] @ vectors)


def _squared_errors(
    rotated: _Rotated, Y: Tensor, Y_other: Tensor, penalties: NDArray[np.float64]
) -> Tensor:
    """Mean squared error (n_alphas, n_voxels) on rows that were not fitted to."""
    import torch

    errors = Y.new_empty(len(penalties), Y.shape[1])
    for voxels in _batches(Y):
        responses, actual = rotated.rotation @ Y[:, voxels], Y_other[:, voxels]
        for of_penalty, penalty in zip(errors, penalties.tolist(), strict=True):
            shrunk = rotated.projected / (rotated.eigenvalues + penalty)
            error = torch.addmm(actual, shrunk, responses, beta=-1)
            of_penalty[voxels] = error.square_().mean(dim=0)
    return errors


def _fit(whole: _Decomposition, Y: Tensor, errors: Tensor, penalties: NDArray) -> FittedRidge:
    """Coefficients with the penalty of least error, the first among equals."""
    least, best = errors.min(dim=0).values, errors.argmin(dim=0)
    chosen = penalties[best.cpu().numpy()]
    (alphas,) = _tensors(chosen.astype(least.cpu().numpy().dtype))
    coefficients = Y.new_empty(len(whole.basis), Y.shape[1])
    for voxels in _batches(Y):
        shrunk = whole.rotation @ Y[:, voxels] / (whole.eigenvalues[:, None] + alphas[voxels])
        coefficients[:, voxels] = whole.basis @ shrunk
    return FittedRidge(coefficients.cpu().numpy(), chosen, -least.cpu().numpy())


def _batches(Y: Tensor) -> Iterator[slice]:
    for start in range(0, Y.shape[1], _VOXELS_AT_ONCE):
        yield slice(start, start + _VOXELS_AT_ONCE)


def _tensors(*arrays: NDArray) -> list[Tensor]:
    """On the current GPU, if there is one; in float32 if all numbers are, or else in float64."""
    import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    single = all(array.dtype in (np.float32, bool) for array in arrays)
    dtype = np.float32 if single else np.float64
    return [
        torch.as_tensor(
            array if array.dtype == bool else array.astype(dtype, copy=False), device=device
        )
        for array in arrays
    ]


def _memory(X: NDArray, Y: NDArray) -> AbstractContextManager[None]:
    """Context in which a ridge that does not fit the GPU says what makes it smaller."""
    from bthelpers.models.devices import memory_for

    extent = f"{len(X):,} rows, {X.shape[1]:,} columns and {Y.shape[1]:,} voxels"
    remedy = "raise `voxels.ceiling`, or name fewer `encoding.fir_delays` (of impact, its `delays`)"
    return memory_for(f"a ridge of {extent}", remedy)


def _descending(alphas: ArrayLike) -> NDArray[np.float64]:
    alphas = np.asarray(alphas, np.float64)
    if alphas.ndim != 1 or not len(alphas) or not (np.isfinite(alphas) & (alphas > 0)).all():
        raise ValueError(f"alphas must be one or more positive penalties, not {alphas}")
    return np.sort(alphas)[::-1]


def _check_rows(X: NDArray, Y: NDArray) -> None:
    if X.ndim != 2 or Y.ndim != 2 or len(X) != len(Y):
        raise ValueError(f"X and Y must have the same rows: X is {X.shape}, Y is {Y.shape}")
    for name, values, columns in (("X", X, "features"), ("Y", Y, "voxels")):
        bad = ~np.isfinite(values).all(axis=0)
        if bad.any():
            raise ValueError(
                f"{bad.sum()} of {bad.size} {columns} in {name} are NaN or infinite somewhere: "
                "mask them before fitting"
            )


def edge_shares(model: FittedRidge, alphas: ArrayLike) -> NDArray[np.float64]:
    """Shares of voxels whose best penalty lies beyond the penalties that there were to choose from.

    Parameters
    ----------
    model : FittedRidge
        Of standardised responses: the mean squared error of predicting nothing is 1.
    alphas : array of shape (n_alphas,)
        What it chose from.

    Returns
    -------
    array of shape (3,)
        As `EDGES`: voxels that chose the smallest penalty and those that chose the largest one; and
        apart from these, voxels in which no penalty predicts better than nothing does. Their best
        penalty is infinite, however far the others reach.

    Examples
    --------
    >>> scores = np.array([-0.8, -0.9, -0.9, -1])
    >>> model = FittedRidge(np.zeros((1, 4)), np.array([1, 10, 100, 100]), scores)
    >>> edge_shares(model, alphas=[1, 10, 100])
    array([0.25, 0.25, 0.25])
    """
    predicted = 1 + model.cv_scores_ > _NOTHING
    lower, upper = (predicted & (model.best_alphas_ == end(alphas)) for end in (np.min, np.max))
    return np.mean([lower, upper, ~predicted], axis=1)


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
