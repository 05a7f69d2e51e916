"""Voxelwise ridges with a penalty per voxel: ours, himalaya's and scikit-learn's.

Features are as alike as a speech model's; responses follow what they share, with noise. All choose
from the same penalties, on the same folds; only scikit-learn can leave out no more than single rows
where each voxel has a penalty of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
from himalaya.backend import set_backend
from himalaya.kernel_ridge import KernelRidgeCV
from himalaya.ridge import RidgeCV
from sklearn.linear_model import RidgeCV as LeaveOneOut
from sklearn.model_selection import LeaveOneGroupOut

from bthelpers.encoding.ridge import fit_ridge
from bthelpers.statistics.correlation import pearson_r
from side_by_side.measuring import Comparison, Contender, scaled

CODE = ("encoding/ridge.py",)
VOXELS, ROWS = "ridge, by voxels", "ridge, by rows"
N_FOLDS, N_PENALTIES, VOXELS_AT_ONCE = 5, 10, 1024
FEATURES = {VOXELS: 1536, ROWS: 768}
AMOUNTS = {VOXELS: (100, 1000, 10_000), ROWS: (150, 1500, 15_000)}
OTHERWISE = 1500, 1000  # rows where voxels grow, and voxels where rows do
LEAST = 2 * N_FOLDS
BACKENDS = {"numpy": "NumPy", "torch": "PyTorch"}


class Problem(NamedTuple):
    """Features and responses, standardised, and new ones to be predicted."""

    X: np.ndarray
    Y: np.ndarray
    X_test: np.ndarray
    Y_test: np.ndarray
    folds: np.ndarray
    alphas: np.ndarray


class Fitted(NamedTuple):
    """Penalties chosen and responses predicted."""

    alphas: np.ndarray
    predicted: np.ndarray


def comparisons(scale: float) -> Iterator[Comparison]:
    """Comparisons over voxels, then over rows; all extents are multiplied by `scale`."""
    n_rows, n_voxels = (max(round(scale * extent), LEAST) for extent in OTHERWISE)
    for study, unit, shape in (
        (VOXELS, "voxels", lambda amount: (n_rows, amount)),
        (ROWS, "rows", lambda amount: (amount, n_voxels)),
    ):
        n_columns = max(round(scale * FEATURES[study]), LEAST)
        for amount in scaled(AMOUNTS[study], scale, LEAST):
            problem = planted(*shape(amount), n_columns)
            yield Comparison(
                study,
                amount,
                unit,
                contenders(problem),
                partial(agreement, problem),
                exact=partial(ours, problem, np.float64),
            )


def planted(n_rows: int, n_voxels: int, n_columns: int) -> Problem:
    """Forty latent features drive the others and the voxels; a tenth as many rows are new."""
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((n_rows + max(n_rows // 10, 5), 40))
    X = shared @ rng.standard_normal((40, n_columns))
    X += rng.standard_normal(X.shape)
    Y = shared @ rng.standard_normal((40, n_voxels)) / 6
    Y += 3 * rng.standard_normal(Y.shape)
    X, X_test = np.split((X / X.std(axis=0)).astype(np.float32), [n_rows])
    Y, Y_test = np.split((Y / Y.std(axis=0)).astype(np.float32), [n_rows])
    folds = np.arange(n_rows) * N_FOLDS // n_rows
    return Problem(X, Y, X_test, Y_test, folds, n_columns * np.logspace(-3, 3, N_PENALTIES))


def contenders(problem: Problem) -> list[Contender]:
    """All of them; a kernel only where it has no more rows than there are features."""
    found = [Contender("ours", partial(ours, problem, np.float32), ours=True)]
    for backend, name in BACKENDS.items():
        run = partial(by_features, problem, backend)
        found.append(Contender(f"himalaya RidgeCV, {name}", run))
        if len(problem.X) <= problem.X.shape[1]:
            run = partial(by_kernel, problem, backend)
            found.append(Contender(f"himalaya KernelRidgeCV, {name}", run))
    run = partial(leave_one_out, problem)
    return [*found, Contender("scikit-learn RidgeCV", run, precision="float64")]


def agreement(problem: Problem, fitted: Fitted, exact: Fitted) -> dict[str, float]:
    """Share of voxels with the same penalty, and the largest difference of correlations."""
    r, exact_r = (pearson_r(one.predicted, problem.Y_test) for one in (fitted, exact))
    same = np.isclose(fitted.alphas, exact.alphas, rtol=1e-4)
    return {"same": float(same.mean()), "difference": float(np.abs(r - exact_r).max())}


def ours(problem: Problem, dtype: type) -> Fitted:
    X, Y, X_test = (array.astype(dtype, copy=False) for array in problem[:3])
    model = fit_ridge(X, Y, problem.folds, problem.alphas)
    return Fitted(model.best_alphas_, model.predict(X_test))


def by_features(problem: Problem, backend: str) -> Fitted:
    solver = {"n_targets_batch": VOXELS_AT_ONCE, "warn": False}  # that a kernel may be faster
    return _himalaya(RidgeCV(solver_params=solver), problem, backend)


def by_kernel(problem: Problem, backend: str) -> Fitted:
    solver = {"n_targets_batch": VOXELS_AT_ONCE}
    return _himalaya(KernelRidgeCV(solver_params=solver), problem, backend)


def _himalaya(model: RidgeCV | KernelRidgeCV, problem: Problem, backend: str) -> Fitted:
    set_backend(backend)
    cv = list(LeaveOneGroupOut().split(problem.X, groups=problem.folds))
    alphas = problem.alphas.astype(np.float32)  # float64 would make all of it float64
    model.set_params(alphas=alphas, cv=cv).fit(problem.X, problem.Y)
    return Fitted(np.asarray(model.best_alphas_), np.asarray(model.predict(problem.X_test)))


def leave_one_out(problem: Problem) -> Fitted:
    model = LeaveOneOut(problem.alphas, fit_intercept=False, alpha_per_target=True)
    model.fit(problem.X, problem.Y)
    return Fitted(model.alpha_, model.predict(problem.X_test))
