from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from himalaya.kernel_ridge import KernelRidgeCV
from himalaya.ridge import RidgeCV
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from bthelpers.encoding.ridge import edge_shares, fit_ridge, fit_validated_ridge, story_folds

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
    np.testing.assert_allclose(fitted.coef_, reference.coef_.T, rtol=0, atol=1e-8)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("himalayas", [RidgeCV, KernelRidgeCV])  # primal and dual form
def test_penalties_scores_and_predictions_are_those_of_himalaya(shape, himalayas):
    X, Y, groups = problem(*shape)
    ours = fit_ridge(X, Y, groups, ALPHAS)
    folds = [(np.flatnonzero(groups != g), np.flatnonzero(groups == g)) for g in range(3)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that one form is the slower one
        theirs = himalayas(alphas=ALPHAS, cv=folds).fit(X, Y)
    np.testing.assert_allclose(ours.best_alphas_, theirs.best_alphas_, rtol=1e-9)
    np.testing.assert_allclose(ours.cv_scores_, theirs.cv_scores_, rtol=1e-7)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=0, atol=1e-8)


@pytest.mark.parametrize("shape", [(240, 40), (100, 320)])
def test_in_float32_choices_and_correlations_are_those_of_himalaya(shape):
    """At a penalty per column of 10^-2 to 10^5, of columns as alike as those of speech models."""
    X, Y, groups = (array for array in problem(*shape, n_voxels=50))
    X += 2 * X[:, :3].sum(axis=1, keepdims=True)
    alphas = shape[1] * np.logspace(-2, 5, 15)
    ours = fit_ridge(np.float32(X), np.float32(Y), groups, alphas)
    folds = [(np.flatnonzero(groups != g), np.flatnonzero(groups == g)) for g in range(3)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = RidgeCV(alphas=alphas, cv=folds).fit(X, Y)
    np.testing.assert_allclose(ours.best_alphas_, theirs.best_alphas_)
    new, _, _ = problem(*shape, seed=1)
    predicted, expected = ours.predict(np.float32(new)), theirs.predict(new)
    r = [np.corrcoef(*pair)[0, 1] for pair in zip(predicted.T, expected.T, strict=True)]
    np.testing.assert_allclose(r, 1, rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_validation_rows_choose_penalties_and_nothing_is_fitted_to_them(shape):
    X, Y, groups = problem(*shape)
    out = groups == 1
    fitted = fit_validated_ridge(X[~out], Y[~out], X[out], Y[out], ALPHAS)
    assert len(set(fitted.best_alphas_)) > 1
    for voxel, y in enumerate(Y.T):
        candidates = [closed_form(X[~out], y[~out], alpha) for alpha in ALPHAS]
        errors = [np.mean((y[out] - X[out] @ coefficients) ** 2) for coefficients in candidates]
        best = np.argmin(errors)
        assert fitted.best_alphas_[voxel] == ALPHAS[best]
        assert fitted.cv_scores_[voxel] == pytest.approx(-errors[best])
        np.testing.assert_allclose(fitted.coef_[:, voxel], candidates[best], atol=1e-8)


@given(seed=st.integers(0, 9999), copies=st.integers(2, 4), wide=st.booleans())
def test_penalties_per_column_do_not_depend_on_how_often_columns_are_repeated(seed, copies, wide):
    """Of k copies, the penalty k times as large gives the same predictions."""
    X, Y, groups = problem(*((20, 31) if wide else (40, 9)), seed=seed)
    one, many = (fit_ridge(np.tile(X, k), Y, groups, k * X.shape[1] * ALPHAS) for k in (1, copies))
    np.testing.assert_allclose(many.best_alphas_, copies * one.best_alphas_)
    np.testing.assert_allclose(many.predict(np.tile(X, copies)), one.predict(X), atol=1e-6)


def test_edges_are_told_from_voxels_in_which_nothing_is_predicted():
    rng = np.random.default_rng(0)
    X, groups = rng.standard_normal((400, 5)), np.arange(400) % 4
    signal = X @ rng.standard_normal((5, 6))
    Y = np.column_stack([signal[:, :3], signal[:, 3:] + 20 * rng.standard_normal((400, 3))])
    Y = np.column_stack([Y, rng.standard_normal((400, 200))])
    Y = (Y - Y.mean(axis=0)) / Y.std(axis=0)
    of_noise = fit_ridge(X, Y[:, 6:], groups, [10.0, 1e9])
    lower, upper, nothing = edge_shares(of_noise, [10.0, 1e9])
    # What is fitted to noise correlates with left-out noise below zero, about as often as above.
    assert 0.4 < nothing < 0.95
    assert lower + upper == pytest.approx(1 - nothing)
    wide, above, below = np.logspace(-8, 6, 15), np.logspace(2, 6, 5), np.logspace(-8, -2, 7)
    pure = Y[:, :3]
    np.testing.assert_array_equal(edge_shares(fit_ridge(X, pure, groups, above), above), [1, 0, 0])
    noisy = Y[:, 3:6]
    np.testing.assert_array_equal(edge_shares(fit_ridge(X, noisy, groups, below), below), [0, 1, 0])
    np.testing.assert_array_equal(edge_shares(fit_ridge(X, noisy, groups, wide), wide), [0, 0, 0])


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
        ({"groups": np.zeros((60, 1))}, "same rows"),
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


def test_a_ridge_that_does_not_fit_the_device_says_how_large_it_is(monkeypatch):
    def lack(X):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("bthelpers.encoding.ridge._gram", lack)
    X, Y, groups = problem(60, 7)
    message = r"a ridge of 60 rows, 7 columns and 6 voxels: raise `voxels\.ceiling`, or name fewer"
    for fit in (
        lambda: fit_ridge(X, Y, groups, ALPHAS),
        lambda: fit_validated_ridge(X, Y, X, Y, ALPHAS),
    ):
        with pytest.raises(torch.OutOfMemoryError, match=message):
            fit()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("n_features", [7, 60])  # primal and dual
def test_a_fit_on_a_gpu_is_brought_back(n_features, monkeypatch):
    X, Y, groups = problem(40, n_features)
    there = fit_ridge(X, Y, groups, ALPHAS)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    here = fit_ridge(X, Y, groups, ALPHAS)
    np.testing.assert_array_equal(there.best_alphas_, here.best_alphas_)
    assert isinstance(there.coef_, np.ndarray)
    np.testing.assert_allclose(there.predict(X), here.predict(X), rtol=1e-9, atol=1e-9)


def test_validation_rows_are_checked_too():
    X, Y, _ = problem(60, 7)
    for change in ({"Y_validation": Y[:9]}, {"X_validation": X[:, :3] * np.nan}):
        rows = {"X_validation": X[:10], "Y_validation": Y[:10]} | change
        with pytest.raises(ValueError, match=r"same rows|3 of 3 features in X"):
            fit_validated_ridge(X, Y, alphas=ALPHAS, **rows)
