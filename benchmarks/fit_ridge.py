"""Fit voxelwise ridges at the demo's size: time and error of ours and of himalaya's.

    OMP_NUM_THREADS=1 python benchmarks/fit_ridge.py [--voxels 3000] [--penalties 15]

Features are as alike as a speech model's; responses follow what they share, with noise. The error
is that of correlations with new responses, against a fit in float64.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from himalaya.ridge import RidgeCV
from sklearn.model_selection import LeaveOneGroupOut

from bthelpers.encoding.ridge import fit_ridge, fit_validated_ridge
from bthelpers.statistics.correlation import pearson_r

N_TRAINING, N_VALIDATION, N_TEST, N_COLUMNS = 1900, 230, 230, 1280


def timed(name: str, fit: Callable, X: np.ndarray, exact: np.ndarray, Y: np.ndarray) -> None:
    started, processor = time.perf_counter(), time.process_time()
    model = fit()
    seconds, processor = time.perf_counter() - started, time.process_time() - processor
    error = np.abs(pearson_r(model.predict(X), Y) - exact).max()
    print(f"{name:28s} {processor:5.1f} s of a processor, {seconds:5.1f} s; r within {error:.0e}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--voxels", type=int, default=3000)
    parser.add_argument("--penalties", type=int, default=15)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    n_rows = N_TRAINING + N_VALIDATION + N_TEST
    shared = rng.standard_normal((n_rows, 40))
    X = shared @ rng.standard_normal((40, N_COLUMNS)) + rng.standard_normal((n_rows, N_COLUMNS))
    Y = shared @ rng.standard_normal((40, arguments.voxels)) / 6
    Y += 3 * rng.standard_normal(Y.shape)
    splits = [N_TRAINING, N_TRAINING + N_VALIDATION]
    X, X_validation, X_test = np.split((X / X.std(axis=0)).astype(np.float32), splits)
    Y, Y_validation, Y_test = np.split((Y / Y.std(axis=0)).astype(np.float32), splits)
    folds = np.arange(N_TRAINING) * 16 // N_TRAINING % 4
    alphas = N_COLUMNS * np.logspace(-2, 5, arguments.penalties)
    exact = fit_ridge(np.float64(X), np.float64(Y), folds, alphas)
    r = pearson_r(X_test @ exact.coef_, Y_test)
    cv = list(LeaveOneGroupOut().split(X, groups=folds))
    theirs = RidgeCV(alphas=alphas, cv=cv, solver_params={"n_targets_batch": 1024})
    timed("himalaya, four folds", lambda: theirs.fit(X, Y), X_test, r, Y_test)
    timed("ours, four folds", lambda: fit_ridge(X, Y, folds, alphas), X_test, r, Y_test)
    validation = (X_validation, Y_validation, alphas)
    exact = fit_validated_ridge(*map(np.float64, (X, Y, *validation)))
    r = pearson_r(X_test @ exact.coef_, Y_test)
    timed("ours, validation", lambda: fit_validated_ridge(X, Y, *validation), X_test, r, Y_test)


if __name__ == "__main__":
    main()
