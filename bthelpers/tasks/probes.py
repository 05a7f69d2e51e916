"""Linear probes: what can be read from each layer of a speech model.

A logistic regression predicts the class of a clip, or which labels it has, from its mean token
(ICLR paper, section 3.4.3 and appendix B); a ridge regression predicts the spectrum at each token
(appendix D.1). Validation clips choose the penalty; test clips are scored once.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
import xarray as xr
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

from bthelpers.core.progress import Progress
from bthelpers.encoding.spoken import Spoken
from bthelpers.params.evaluations import ProbeSettings
from bthelpers.statistics.bootstrap import clustered_counts
from bthelpers.tasks.clips import SPLITS, Clip

MAX_ITERATIONS = 1000  # of a solver, which warns if they do not suffice
# Range of a constant feature, relative to the layer's largest value: clips of different lengths
# have means that differ by rounding.
CONSTANT = 1e-5


def f1_scores(
    truth: np.ndarray, predicted: np.ndarray, counts: np.ndarray, starts: np.ndarray
) -> dict[str, np.ndarray]:
    """F1 over the classes or labels that occur in the truth: plain mean, and weighted.

    Parameters
    ----------
    truth, predicted : array of shape (clip,) or bool array of shape (clip, label)
        Classes, or which labels a clip has.
    counts : array of shape (draw, clip)
        How often each clip counts.
    starts : int array of shape (clip,)
        First row of each clip: here each has one.

    Returns
    -------
    dict of arrays of shape (draw,)
        ``f1_macro`` and ``f1_weighted``: by the number of clips that have the class. NaN where a
        draw has none of the labels.
    """
    if truth.ndim == 1:
        classes = np.unique(truth)
        truth, predicted = truth[:, None] == classes, predicted[:, None] == classes
    true = _totals(truth, counts, starts)
    hits = _totals(truth & predicted, counts, starts)
    f1 = 2 * hits / np.maximum(true + _totals(predicted, counts, starts), 1)
    return {
        "f1_macro": f1.sum(axis=1) / (true > 0).sum(axis=1),  # 0 for those that do not occur
        "f1_weighted": (f1 * true).sum(axis=1) / true.sum(axis=1),
    }


def accuracy_scores(
    truth: np.ndarray, predicted: np.ndarray, counts: np.ndarray, starts: np.ndarray
) -> dict[str, np.ndarray]:
    """``accuracy``, the share of clips whose class is predicted; parameters are of `f1_scores`."""
    right = _totals((truth == predicted)[:, None], counts, starts)[:, 0]
    return {"accuracy": right / counts.sum(axis=1)}


def r2_scores(
    truth: np.ndarray, predicted: np.ndarray, counts: np.ndarray, starts: np.ndarray
) -> dict[str, np.ndarray]:
    """Share of variance explained, averaged over coefficients.

    Parameters
    ----------
    truth, predicted : array of shape (token, coefficient)
        Clip after clip.
    counts : array of shape (draw, clip)
        How often each clip counts.
    starts : int array of shape (clip,)
        First token of each clip.

    Returns
    -------
    dict of arrays of shape (draw,)
        ``r2``.
    """
    n_tokens = counts @ np.diff(starts, append=len(truth))
    centred = truth - truth.mean(axis=0, dtype=float)
    sums, squares = (_totals(values, counts, starts) for values in (centred, centred**2))
    errors = _totals((truth - predicted) ** 2, counts, starts)
    return {"r2": (1 - errors / (squares - sums**2 / n_tokens[:, None])).mean(axis=1)}


def _totals(values: np.ndarray, counts: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Sums over the rows of each draw: (draw, column)."""
    return counts @ np.add.reduceat(values.astype(float), starts, axis=0)


class Kind(NamedTuple):
    """A kind of probe: its model by the inverse penalty, the naive model, and its scores."""

    model: Callable[[float], BaseEstimator]
    naive: Callable[[], BaseEstimator]
    scores: Callable[..., dict[str, np.ndarray]]  # the first one chooses the penalty


# The solvers are the quickest ones for these sizes.
KINDS = {
    "class": Kind(
        lambda C: LogisticRegression(C=C, max_iter=MAX_ITERATIONS),
        partial(DummyClassifier, strategy="most_frequent"),
        f1_scores,
    ),
    "labels": Kind(
        lambda C: OneVsRestClassifier(
            LogisticRegression(C=C, solver="newton-cholesky", max_iter=MAX_ITERATIONS)
        ),
        partial(DummyClassifier, strategy="most_frequent"),
        f1_scores,
    ),
    "values": Kind(lambda C: Ridge(alpha=1 / C), DummyRegressor, r2_scores),
}


LINEAR = KINDS["class"]._replace(scores=accuracy_scores)
NONLINEAR = LINEAR._replace(
    model=lambda C: MLPClassifier(alpha=1 / C, early_stopping=True, random_state=0)
)
# By name, what is told of what is spoken: a category can be in a model without being linear.
SPOKEN_PROBES = {
    "phone": ("phone", LINEAR),
    "word": ("word", LINEAR),
    "category": ("category", LINEAR),
    "category, not linear": ("category", NONLINEAR),
}


class _Part(NamedTuple):
    """One split: its rows, and which of them are the first of their clips."""

    rows: np.ndarray
    starts: np.ndarray


def probe_layers(
    features: xr.DataArray,
    truth: np.ndarray,
    clips: Mapping[str, Clip | Spoken],
    settings: ProbeSettings,
    n_draws: int,
    seed: int,
    kind: Kind | None = None,
) -> xr.Dataset:
    """Fit a linear probe to each layer, choose its penalty on validation clips, and test it.

    Features are standardised by the training rows. Of the penalties with the highest macro F1 or R2
    on the validation clips the strongest is taken; the probe is not fitted to these clips.

    Parameters
    ----------
    features : DataArray (layer, clip, feature) or (layer, token, feature)
        With the coordinate ``clip``: the name of each row's clip, clip after clip.
    truth : array of shape (row,), bool (row, label) or float (row, coefficient)
        The class of each clip; the labels that it has; or values at each token.
    clips : mapping of str to Clip or Spoken
        By their names: the splits and speakers of these clips.
    settings : ProbeSettings
    n_draws, seed : int
        Of the bootstrap over speakers of test clips, or over clips where the corpus names no
        speakers; one seed pairs the draws of two models.
    kind : Kind, optional
        Of `SPOKEN_PROBES`; by default one of `KINDS`.

    Returns
    -------
    Dataset
        ``f1_macro`` and ``f1_weighted``, ``r2`` or ``accuracy`` of the test clips (layer), their
        draws (``f1_macro_draws`` …) and those of a naive model: it predicts the commonest class,
        the commoner value of each label, or the mean (``naive_f1_macro`` …, scalars). ``C``
        (layer), the inverse penalty; ``n_constant_features`` (layer), which were left out;
        ``n_clips`` (split). The coordinate ``n_drawn`` (draw) is the number of speakers, or of
        clips, in a draw. Of ``n_outputs`` classes, labels or coefficients, ``n_constant`` are
        the same in all training rows, and ``n_untested`` are of no test clip, or without variance
        among validation or test rows. F1 is over the classes or labels of test clips, also the
        constant ones; coefficients that are constant or untested are left out.

    Raises
    ------
    ValueError
        If rows do not match, a split is unknown or has no clip, a class has no training clip,
        nothing can be told apart, chosen or tested, a value is not finite, or a layer is constant.
    """
    truth, of_rows = np.asarray(truth), features["clip"].values
    if len(truth) != len(of_rows):
        raise ValueError(f"{len(truth)} rows to predict do not match {len(of_rows)} of features")
    kind, parts = kind or KINDS[_kind(truth)], _parts(of_rows, clips)
    truth, counted = _outputs(truth, parts)
    tested = of_rows[parts["test"].rows[parts["test"].starts]]
    clusters = [clips[name].cluster for name in tested]
    resampled = clustered_counts(clusters, n_draws, seed)
    layers = []
    progress = Progress("probes, layers", features.sizes["layer"])
    for layer in features.transpose("layer", ...):
        layers.append(_probe(layer, truth, parts, kind, settings, resampled))
        progress.advance()
    train, test = parts["train"], parts["test"]
    naive = kind.naive().fit(train.rows[:, None], truth[train.rows])
    naive_scores = _score(truth, naive.predict(test.rows[:, None]), test, kind)
    return (
        xr.concat(layers, dim="layer")
        .assign_coords(
            layer=features["layer"].values,
            split=list(SPLITS),
            n_drawn=("draw", np.full(n_draws, len(set(clusters)), np.int32)),
        )
        .assign({f"naive_{name}": value for name, value in naive_scores.items()})
        .assign(n_clips=("split", [len(parts[split].starts) for split in SPLITS]), **counted)
    )


def _kind(truth: np.ndarray) -> str:
    if truth.ndim == 1:
        return "class"
    if truth.dtype == bool:
        return "labels"
    if np.issubdtype(truth.dtype, np.floating):
        return "values"
    raise ValueError(f"what is to be predicted is a matrix of {truth.dtype}, not bool or float")


def _parts(of_rows: np.ndarray, clips: Mapping[str, Clip | Spoken]) -> dict[str, _Part]:
    split_of_row = np.array([clips[name].split for name in of_rows])
    if unknown := set(split_of_row.tolist()) - set(SPLITS):
        raise ValueError(f"splits are {', '.join(SPLITS)}, not {', '.join(sorted(unknown))}")
    parts = {}
    for split in SPLITS:
        rows = np.flatnonzero(split_of_row == split)
        if not len(rows):
            raise ValueError(f"no clip is for {split}: check the corpus's splits")
        changes = of_rows[rows][1:] != of_rows[rows][:-1]
        parts[split] = _Part(rows, np.flatnonzero(np.append(True, changes)))
    return parts


def _outputs(truth: np.ndarray, parts: dict[str, _Part]) -> tuple[np.ndarray, dict[str, int]]:
    """Truth without coefficients that cannot be scored, and counts of what there is to predict."""
    kind = _kind(truth)
    columns = truth[:, None] == np.unique(truth) if kind == "class" else truth
    train, validation, test = (columns[parts[split].rows] for split in SPLITS)
    if kind == "class" and (untrained := ~train.any(axis=0)).any():
        raise ValueError(
            f"{untrained.sum()} of {len(untrained)} classes have no training clip:"
            f" {', '.join(map(str, np.unique(truth)[untrained]))}; leave their clips out"
        )
    constant, *others = ((rows == rows[0]).all(axis=0) for rows in (train, validation, test))
    if kind == "values":
        if not np.isfinite(truth).all():
            raise ValueError(f"{(~np.isfinite(truth)).sum()} values to predict are NaN or infinite")
        untested = np.logical_or(*others)
        truth = truth[:, ~(constant | untested)]
    else:
        untested = ~test.any(axis=0)
        if not validation.any():
            raise ValueError("no validation clip has any of the labels: they cannot choose")
    if (constant | untested).all():
        raise ValueError(
            f"there is nothing to tell apart: of {len(constant)} classes, labels or coefficients,"
            f" {constant.sum()} do not vary in training, and {untested.sum()} cannot be tested"
        )
    counted = {"n_outputs": len(constant), "n_constant": constant.sum()}
    return truth, counted | {"n_untested": untested.sum()}


def _probe(
    layer: xr.DataArray,
    truth: np.ndarray,
    parts: dict[str, _Part],
    kind: Kind,
    settings: ProbeSettings,
    resampled: np.ndarray,
) -> xr.Dataset:
    """Test scores of one layer's probe, with their draws."""
    X, n_constant = _standardized(layer, parts["train"].rows)
    C, model = _chosen(X, truth, parts, kind, settings)
    rows, starts = parts["test"]
    predicted = model.predict(X[rows])
    draws = kind.scores(truth[rows], predicted, resampled, starts)
    return (
        xr.Dataset(_score(truth, predicted, parts["test"], kind))
        .assign({f"{name}_draws": ("draw", v.astype(np.float32)) for name, v in draws.items()})
        .assign(C=C, n_constant_features=n_constant)
    )


def _standardized(layer: xr.DataArray, train: np.ndarray) -> tuple[np.ndarray, int]:
    """Features by the mean and deviation of the training rows; how many were constant there."""
    number, values = layer["layer"].item(), layer.values
    if bad := int((~np.isfinite(values).all(axis=0)).sum()):
        raise ValueError(
            f"layer {number}: {bad} of {values.shape[1]} features are NaN or infinite in some clip:"
            " the model is broken; tune or load it again"
        )
    constant = np.ptp(values[train], axis=0) <= CONSTANT * np.abs(values[train]).max()
    if constant.all():
        raise ValueError(
            f"layer {number}: the representation is the same for all training clips, so nothing can"
            " be read from it: the model has collapsed; tune it again, at a lower rate"
        )
    kept = values[:, ~constant].astype(float)
    return StandardScaler().fit(kept[train]).transform(kept), int(constant.sum())


def _score(truth: np.ndarray, predicted: np.ndarray, part: _Part, kind: Kind) -> dict[str, float]:
    """Scores of a split's predictions, each clip counting once."""
    once = np.ones((1, len(part.starts)))
    scores = kind.scores(truth[part.rows], predicted, once, part.starts)
    return {name: float(value[0]) for name, value in scores.items()}


def _chosen(
    X: np.ndarray,
    truth: np.ndarray,
    parts: dict[str, _Part],
    kind: Kind,
    settings: ProbeSettings,
) -> tuple[float, BaseEstimator]:
    """Inverse penalty that is best on the validation clips, and its model."""
    train, validation = parts["train"].rows, parts["validation"]
    models = {}
    with warnings.catch_warnings():
        # `n_constant` counts them.
        warnings.filterwarnings("ignore", message=".* is present in all training examples")
        for C in np.logspace(*settings.inverse_penalties):
            models[float(C)] = kind.model(C).fit(X[train], truth[train])

    def score(C: float) -> float:
        predicted = models[C].predict(X[validation.rows])
        return next(iter(_score(truth, predicted, validation, kind).values()))

    best = max(models, key=score)  # of equals the first: the strongest penalty
    return best, models[best]
