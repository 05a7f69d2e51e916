from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from himalaya.kernel_ridge import KernelRidgeCV
from himalaya.ridge import RidgeCV
from sklearn.linear_model import Ridge

from bthelpers.encoding import ridge as encoding
from bthelpers.encoding.ridge import fit_ridge, story_folds

ALPHAS = np.logspace(-2, 4, 7)
# More rows than features, as many, fewer; the left-out group leaves fewer rows than features too.
SHAPES = [(60, 7), (41, 11), (30, 30), (24, 20), (25, 53), (9, 40)]


def problem(n_rows, n_features, n_voxels=6, n_groups=3, seed=0):
    """Voxels from almost pure signal to pure noise, in groups of unequal length."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_rows, n_features))
    noise = np.geomspace(0.1, 30, n_voxels)
    Y = X @ rng.standard_normal((n_features, n_voxels)) / np.sqrt(n_features)
    Y += noise * rng.standard_normal((n_rows, n_voxels))
    groups = np.minimum(np.arange(n_rows) * (n_groups + 1) // n_rows, n_groups - 1)
    return X, Y, groups


def closed_form(X, y, alpha):
    return np.linalg.solve(X.T @ X + alpha * np.eye(X.shape[1]), X.T @ y)


def ridge_by_loops(X, Y, groups, alphas):
    """Penalty and coefficients of each voxel by itself."""
    best, coefficients = [], []
    for y in Y.T:
        losses = []
        for alpha in alphas:
            per_group = []
            for group in np.unique(groups):
                out = groups == group
                error = y[out] - X[out] @ closed_form(X[~out], y[~out], alpha)
                per_group.append(np.mean(error**2))
            losses.append(np.mean(per_group))
        best.append(alphas[np.argmin(losses)])
        coefficients.append(closed_form(X, y, best[-1]))
    return np.array(best), np.array(coefficients).T


@pytest.mark.parametrize("shape", SHAPES)
def test_penalties_and_predictions_agree_with_loops(shape):
    X, Y, groups = problem(*shape)
    best, coefficients = ridge_by_loops(X, Y, groups, ALPHAS)
    fitted = fit_ridge(X, Y, groups, ALPHAS)
    assert len(set(best)) > 1, "the voxels must need different penalties"
    np.testing.assert_allclose(fitted.best_alphas_, best, rtol=1e-9)
    new = np.random.default_rng(1).standard_normal((13, shape[1]))
    np.testing.assert_allclose(fitted.predict(new), new @ coefficients, rtol=0, atol=1e-8)


@pytest.mark.parametrize("shape", SHAPES)
def test_coefficients_are_those_of_sklearn(shape):
    X, Y, groups = problem(*shape)
    fitted = fit_ridge(X, Y, groups, ALPHAS)
    reference = Ridge(alpha=fitted.best_alphas_, fit_intercept=False, solver="cholesky").fit(X, Y)
    primal = isinstance(fitted, RidgeCV)
    assert primal == (shape[0] >= shape[1])
    coefficients = fitted.coef_ if primal else fitted.get_primal_coef()
    np.testing.assert_allclose(coefficients, reference.coef_.T, rtol=0, atol=1e-8)


@pytest.mark.parametrize("shape", SHAPES)
def test_primal_and_dual_form_agree(shape):
    X, Y, groups = problem(*shape)
    ours = fit_ridge(X, Y, groups, ALPHAS)
    other = KernelRidgeCV if isinstance(ours, RidgeCV) else RidgeCV
    folds = [(np.flatnonzero(groups != g), np.flatnonzero(groups == g)) for g in range(3)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the other form is the slower one
        theirs = other(alphas=ALPHAS, cv=folds).fit(X, Y)
    np.testing.assert_allclose(ours.best_alphas_, theirs.best_alphas_, rtol=1e-9)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=0, atol=1e-8)


def test_groups_are_left_out_whole():
    # Rows come in identical pairs; if a pair were split, no penalty at all would win.
    rng = np.random.default_rng(2)
    X = np.repeat(rng.standard_normal((20, 15)), 2, axis=0)
    Y = np.repeat(rng.standard_normal((20, 4)), 2, axis=0)
    pairs = np.repeat(np.arange(20), 2)
    together = fit_ridge(X, Y, pairs, ALPHAS).best_alphas_
    apart = fit_ridge(X, Y, np.tile([0, 1], 20), ALPHAS).best_alphas_
    assert apart.max() < 1 < together.min()


def test_groups_need_neither_order_nor_numbers():
    X, Y, groups = problem(60, 7)
    names = np.array(["souls", "life", "buck"])[groups]
    shuffled = np.random.default_rng(3).permutation(60)
    fitted = fit_ridge(X, Y, groups, ALPHAS)
    again = fit_ridge(X[shuffled], Y[shuffled], names[shuffled], ALPHAS)
    np.testing.assert_allclose(again.coef_, fitted.coef_, atol=1e-10)


def test_more_voxels_than_are_predicted_at_once():
    X, Y, groups = problem(40, 5, n_voxels=1500)
    fitted = fit_ridge(X, Y, groups, ALPHAS)
    for voxel in (0, 1023, 1024, 1499):
        alone = fit_ridge(X, Y[:, [voxel]], groups, ALPHAS)
        np.testing.assert_allclose(fitted.coef_[:, [voxel]], alone.coef_, atol=1e-10)


def test_constant_columns_are_harmless():
    X, Y, groups = problem(60, 7)
    best, coefficients = ridge_by_loops(X, Y, groups, ALPHAS)
    fitted = fit_ridge(
        np.column_stack([X, np.zeros(60)]), np.column_stack([Y, np.zeros(60)]), groups, ALPHAS
    )
    np.testing.assert_allclose(fitted.best_alphas_[:-1], best)
    np.testing.assert_allclose(fitted.coef_[:-1, :-1], coefficients, atol=1e-8)
    np.testing.assert_array_equal(fitted.coef_[-1], 0)
    np.testing.assert_array_equal(fitted.coef_[:, -1], 0)
    assert fitted.best_alphas_[-1] == pytest.approx(ALPHAS.max())


@pytest.mark.parametrize("shape", [(60, 7), (25, 53)])
def test_only_float32_throughout_is_computed_in_float32(shape):
    X, Y, groups = problem(*shape)
    exact = fit_ridge(X, Y, groups, ALPHAS).predict(X)
    single = fit_ridge(np.float32(X), np.float32(Y), groups, ALPHAS).predict(np.float32(X))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, exact, atol=1e-3)
    mixed = fit_ridge(np.float32(X), Y, groups, ALPHAS).predict(np.float32(X))
    assert mixed.dtype == np.float64
    integers = fit_ridge(np.rint(10 * X).astype(int), Y, groups, ALPHAS)
    assert integers.predict(np.rint(10 * X)).dtype == np.float64


def test_inputs_are_left_as_they_were():
    X, Y, groups = problem(60, 7)
    before = X.copy(), Y.copy()
    fit_ridge(X, Y, groups, ALPHAS)
    np.testing.assert_array_equal(X, before[0])
    np.testing.assert_array_equal(Y, before[1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Y": np.ones((59, 2))}, "same rows"),
        ({"groups": np.arange(59)}, "same rows"),
        ({"Y": np.ones(60)}, "same rows"),
        ({"Y": np.where(np.eye(60, 3) > 0, np.nan, 1.0)}, "3 of 3 voxels in Y"),
        ({"X": np.where(np.eye(60, 7, 6) > 0, np.inf, 1.0)}, "1 of 7 features in X"),
        ({"groups": np.zeros(60)}, "two or more groups"),
        ({"alphas": [0.0, 1.0]}, "positive penalties"),
        ({"alphas": []}, "positive penalties"),
        ({"alphas": 1.0}, "positive penalties"),
    ],
)
def test_refuses_what_it_cannot_fit(change, message):
    X, Y, groups = problem(60, 7)
    with pytest.raises(ValueError, match=message):
        fit_ridge(**{"X": X, "Y": Y, "groups": groups, "alphas": ALPHAS} | change)


def test_story_folds_take_turns_in_order_of_appearance():
    stories = ["souls"] * 3 + ["buck"] * 2 + ["life"] + ["avatar"] * 2 + ["souls"]
    np.testing.assert_array_equal(story_folds(stories, 3), [0, 0, 0, 1, 1, 2, 0, 0, 0])
    np.testing.assert_array_equal(story_folds(np.array(stories), 4), [0, 0, 0, 1, 1, 2, 3, 3, 0])


@pytest.mark.parametrize("n_folds", [1, 4])
def test_story_folds_refuse_folds_without_stories(n_folds):
    with pytest.raises(ValueError, match="3 stories"):
        story_folds(["a", "b", "c", "c"], n_folds)


@pytest.mark.parametrize("n_features", [7, 60])  # primal and dual
def test_a_fit_elsewhere_is_brought_back(n_features, monkeypatch):
    """PyTorch on the processor stands for a GPU."""
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(40, n_features)), rng.normal(size=(40, 5))
    groups, alphas = np.repeat([0, 1], 20), [0.1, 1.0, 10.0]
    here = fit_ridge(X, Y, groups, alphas)
    monkeypatch.setattr(encoding, "_ON_GPU", "torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    there = fit_ridge(X, Y, groups, alphas)
    assert isinstance(there.best_alphas_, np.ndarray)
    np.testing.assert_array_equal(there.best_alphas_, here.best_alphas_)
    predicted = there.predict(X)
    assert isinstance(predicted, np.ndarray)
    np.testing.assert_allclose(predicted, here.predict(X), rtol=1e-9)
