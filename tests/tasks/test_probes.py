import warnings
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, f1_score, r2_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bthelpers.params.evaluations import ProbeSettings
from bthelpers.statistics.bootstrap import resampling_counts
from bthelpers.tasks.clips import Clip
from bthelpers.tasks.probes import (
    SPOKEN_PROBES,
    accuracy_scores,
    f1_scores,
    probe_layers,
    r2_scores,
)

SETTINGS = ProbeSettings(inverse_penalties=(-3.0, 1.0, 5), tokens_per_clip=4, precision="float32")
CS = np.logspace(-3, 1, 5)
SPLIT_OF = ["train", "test", "train", "validation", "train"]  # of clips, modulo 5: interleaved
N_CLIPS, N_FEATURES, TOKENS = 90, 7, 4
DRAWS = 50


def names(n_clips=N_CLIPS):
    return [f"clip{k:03d}" for k in range(n_clips)]


def splits(n_clips=N_CLIPS):
    return {name: SPLIT_OF[k % 5] for k, name in enumerate(names(n_clips))}


def clips_of(split_of, speaker_of=None):
    return {
        name: Clip(name, None, split, (speaker_of or {}).get(name), "")
        for name, split in split_of.items()
    }


def rows(split, n_clips=N_CLIPS, repeats=1):
    of_row = np.repeat(list(splits(n_clips).values()), repeats)
    return np.flatnonzero(of_row == split)


def layers(values, clips=None):
    """Features of two layers: the values, which the second one hides in noise."""
    noise = np.random.default_rng(1).standard_normal(values.shape)
    both = np.stack([values, values + 3 * noise]).astype(np.float32)
    dim = "clip" if clips is None else "token"
    coords = {"layer": [0, 1], "clip": (dim, names(len(values)) if clips is None else clips)}
    return xr.DataArray(both, coords, dims=("layer", dim, "feature"))


@pytest.fixture
def values():
    scales = np.geomspace(0.01, 100, N_FEATURES)
    return np.random.default_rng(0).standard_normal((N_CLIPS, N_FEATURES)) * scales


@pytest.fixture
def classes(values):
    """Three classes of unequal size that features tell apart but for some noise."""
    noisy = values[:, :2] / values[:, :2].std(axis=0)
    noisy = noisy + 0.7 * np.random.default_rng(2).standard_normal(noisy.shape)
    return np.where(noisy[:, 0] > 0.8, "rare", np.where(noisy[:, 1] > 0, "one", "other"))


@pytest.fixture
def labels(values):
    noisy = values[:, :4] / values[:, :4].std(axis=0)
    noisy = noisy + np.random.default_rng(2).standard_normal(noisy.shape)
    return noisy > [-0.5, 0, 0.5, 1]


def probe(features, truth, penalties=SETTINGS, of_clip=None, n_draws=DRAWS, seed=0):
    clips = of_clip or clips_of(splits())
    return probe_layers(features, truth, clips, penalties, n_draws, seed)


def by_hand(X, truth, model, score, repeats=1):
    """Test score, inverse penalty and test predictions, by scikit-learn alone."""
    train, validation, test = (
        rows(split, repeats=repeats) for split in ("train", "validation", "test")
    )
    X = X.astype(float)
    fitted = [make_pipeline(StandardScaler(), model(C=C)).fit(X[train], truth[train]) for C in CS]
    scores = [score(truth[validation], one.predict(X[validation])) for one in fitted]
    best = int(np.argmax(scores))
    predicted = fitted[best].predict(X[test])
    return score(truth[test], predicted), CS[best], predicted


def macro(truth, predicted):
    present = np.unique(truth) if truth.ndim == 1 else np.flatnonzero(truth.any(axis=0))
    return f1_score(truth, predicted, labels=present, average="macro", zero_division=0)


def test_classes_agree_with_sklearn(values, classes):
    result = probe(features := layers(values), classes)
    for layer in (0, 1):
        X = features.sel(layer=layer).values
        f1, C, predicted = by_hand(
            X, classes, lambda C: LogisticRegression(C=C, max_iter=500), macro
        )
        one = result.sel(layer=layer)
        assert one["f1_macro"].item() == pytest.approx(f1)
        assert one["C"].item() == pytest.approx(C)
        weighted = f1_score(classes[rows("test")], predicted, average="weighted")
        assert one["f1_weighted"].item() == pytest.approx(weighted)
    assert result["f1_macro"][0] > result["f1_macro"][1] + 0.1
    assert result["n_clips"].to_series().to_dict() == {"train": 54, "validation": 18, "test": 18}
    counts = [result[name].item() for name in ("n_outputs", "n_constant", "n_untested")]
    assert counts == [3, 0, 0]


def one_vs_rest(C):
    return OneVsRestClassifier(LogisticRegression(C=C, max_iter=500))


def test_labels_agree_with_sklearn(values, labels):
    result = probe(features := layers(values), labels)
    for layer in (0, 1):
        X = features.sel(layer=layer).values
        f1, C, predicted = by_hand(X, labels, one_vs_rest, macro)
        one = result.sel(layer=layer)
        assert one["f1_macro"].item() == pytest.approx(f1)
        assert one["C"].item() == pytest.approx(C)
        weighted = f1_score(labels[rows("test")], predicted, average="weighted", zero_division=0)
        assert one["f1_weighted"].item() == pytest.approx(weighted)


@pytest.fixture
def tokens(values):
    """Tokens of clips of one length, and coefficients of different scales."""
    rng = np.random.default_rng(3)
    X = np.repeat(values, TOKENS, axis=0) + rng.standard_normal((N_CLIPS * TOKENS, N_FEATURES))
    Y = X @ rng.standard_normal((N_FEATURES, 3)) * [1, 10, 100]
    Y += Y.std(axis=0) * rng.standard_normal(Y.shape)
    return layers(X, np.repeat(names(), TOKENS)), Y


def test_values_agree_with_sklearn(tokens):
    features, Y = tokens
    result = probe(features, Y)
    for layer in (0, 1):
        X = features.sel(layer=layer).values
        r2, C, _ = by_hand(X, Y, lambda C: Ridge(alpha=1 / C), r2_score, TOKENS)
        assert result["r2"].sel(layer=layer).item() == pytest.approx(r2)
        assert result["C"].sel(layer=layer).item() == pytest.approx(C)
    assert result["n_clips"].values.tolist() == [54, 18, 18]
    train, test = rows("train", repeats=TOKENS), rows("test", repeats=TOKENS)
    mean = np.broadcast_to(Y[train].mean(axis=0), Y[test].shape)
    assert result["naive_r2"].item() == pytest.approx(r2_score(Y[test], mean))


@pytest.mark.parametrize("kind", ["classes", "labels"])
def test_the_naive_model_predicts_the_majority(values, kind, request):
    truth = request.getfixturevalue(kind)
    result, train, test = probe(layers(values), truth), rows("train"), rows("test")
    dummy = DummyClassifier(strategy="most_frequent").fit(train[:, None], truth[train])
    predicted = dummy.predict(test[:, None])
    assert result["naive_f1_macro"].item() == pytest.approx(macro(truth[test], predicted))
    weighted = f1_score(truth[test], predicted, average="weighted", zero_division=0)
    assert result["naive_f1_weighted"].item() == pytest.approx(weighted)


CLASSES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=30)


@settings(max_examples=40)
@given(CLASSES)
def test_f1_of_classes_is_that_of_sklearn(pairs):
    truth, predicted = np.array(pairs).T
    ours = f1_scores(truth, predicted, np.ones((1, len(truth))), np.arange(len(truth)))
    assert ours["f1_macro"][0] == pytest.approx(macro(truth, predicted))
    weighted = f1_score(truth, predicted, average="weighted", zero_division=0)
    assert ours["f1_weighted"][0] == pytest.approx(weighted)


@pytest.mark.parametrize("seed", range(5))
def test_scores_of_draws_are_those_of_drawn_clips(seed):
    rng = np.random.default_rng(seed)
    truth, predicted = rng.random((2, 20, 3)) < [0.1, 0.5, 0.8]
    truth[0] = True
    counts = resampling_counts(20, 8, seed)
    drawn = [np.repeat(np.arange(20), count) for count in counts.astype(int)]
    ours = f1_scores(truth, predicted, counts, np.arange(20))
    for number, some in enumerate(drawn):
        assert ours["f1_macro"][number] == pytest.approx(macro(truth[some], predicted[some]))
    lengths = rng.integers(1, 5, 20)  # tokens of clips
    starts = np.cumsum(lengths) - lengths
    Y = 5 + rng.standard_normal((lengths.sum(), 2))
    Y_predicted = Y + rng.standard_normal(Y.shape)
    ours = r2_scores(Y, Y_predicted, counts, starts)["r2"]
    for number, some in enumerate(drawn):
        tokens = np.concatenate([starts[k] + np.arange(lengths[k]) for k in some])
        assert ours[number] == pytest.approx(r2_score(Y[tokens], Y_predicted[tokens]))


def test_draws_are_paired_by_seed_and_straddle_the_score(values, classes):
    features = layers(values)
    one, again = (probe(features, classes, n_draws=400) for _ in range(2))
    assert one.identical(again)
    assert one["f1_macro_draws"].dims == ("layer", "draw")
    low, high = one["f1_macro_draws"].quantile([0.025, 0.975], "draw").values
    assert (low < one["f1_macro"]).all()
    assert (one["f1_macro"] < high).all()
    other = probe(features, classes, n_draws=400, seed=1)
    assert not one["f1_macro_draws"].equals(other["f1_macro_draws"])
    assert one["f1_macro"].equals(other["f1_macro"])


def test_clips_of_a_speaker_are_drawn_together():
    """Whether a speaker's clips are told right is the speaker's doing: five of ten speakers."""
    n_speakers, n_each = 10, 12
    test = [f"test{k:03d}" for k in range(n_speakers * n_each)]
    train = [f"train{k}" for k in range(40)]
    validation = [f"valid{k}" for k in range(20)]
    split_of = dict.fromkeys(train, "train") | dict.fromkeys(validation, "validation")
    clips = split_of | dict.fromkeys(test, "test")
    speaker_of = {name: f"speaker{k // n_each}" for k, name in enumerate(test)}
    classes = np.array(["yes", "no"])[np.arange(len(clips)) % 2]
    seen = np.where(classes == "yes", 1.0, -1.0)
    seen[-len(test) :] *= np.repeat(np.arange(n_speakers) % 2 * 2 - 1, n_each)
    features = xr.DataArray(
        np.float32(seen)[None, :, None],
        {"layer": [0], "clip": list(clips)},
        ("layer", "clip", "feature"),
    )
    alone, together = (
        probe(features, classes, of_clip=clips_of(clips, speakers), n_draws=2000)
        for speakers in (None, speaker_of)
    )
    of_clips, of_speakers = (run["f1_macro_draws"].std().item() for run in (alone, together))
    # of means of ten speakers, and of as many independent clips, that are 0 or 1
    assert of_speakers == pytest.approx(0.5 / np.sqrt(n_speakers), rel=0.1)
    assert of_clips == pytest.approx(0.5 / np.sqrt(n_speakers * n_each), rel=0.1)
    assert (together["n_drawn"] == n_speakers).all()
    assert (alone["n_drawn"] == len(test)).all()


def test_test_clips_choose_nothing(values, classes):
    before = probe(features := layers(values), classes)
    shuffled, test = classes.copy(), rows("test")
    shuffled[test] = np.random.default_rng(0).permutation(shuffled[test])
    features.values[:, test] *= 5
    after = probe(features, shuffled)
    assert before["C"].equals(after["C"])
    assert not before["f1_macro"].equals(after["f1_macro"])


def test_of_equal_penalties_the_strongest_is_taken(values):
    """Classes that every probe tells apart."""
    above = values[:, 3] > 0
    values += 1000 * above[:, None]
    weak = replace(SETTINGS, inverse_penalties=(0.0, 2.0, 3))
    result = probe(layers(values), above.astype(str), weak)
    assert result["f1_macro"].values[0] == 1
    assert result["C"].values[0] == pytest.approx(1)


def test_constant_features_are_counted_and_change_nothing(values, classes):
    features = layers(values)
    constant = xr.full_like(features.isel(feature=[0, 1]), 3.0)
    constant[..., 1] += np.float32(1e-6) * np.arange(N_CLIPS)  # rounding
    padded = xr.concat([features, constant], dim="feature")
    result, expected = probe(padded, classes), probe(features, classes)
    assert result["n_constant_features"].values.tolist() == [2, 2]
    assert expected["n_constant_features"].values.tolist() == [0, 0]
    assert result["f1_macro"].equals(expected["f1_macro"])


@pytest.mark.parametrize("rounding", [0, 1e-7])
def test_a_layer_that_is_constant_is_an_error(values, classes, rounding):
    features = layers(values)
    noise = rounding * np.random.default_rng(0).standard_normal(values.shape)
    features[1] = 2 + noise
    with pytest.raises(ValueError, match=r"layer 1: .* same for all training clips.*collapsed"):
        probe(features, classes)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_finite_are_an_error(values, classes, value):
    features = layers(values)
    features[1, 5, 2:4] = value
    with pytest.raises(ValueError, match=r"layer 1: 2 of 7 features are NaN or infinite"):
        probe(features, classes)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_class_without_training_clip_is_named(values, classes, split):
    classes = classes.astype("U8")
    classes[rows(split)[0]] = "new one"
    with pytest.raises(ValueError, match=r"1 of 4 classes have no training clip: new one;"):
        probe(layers(values), classes)


def test_a_class_without_test_clip_is_counted_and_not_averaged(values, classes):
    classes[rows("test")] = np.where(classes[rows("test")] == "rare", "one", classes[rows("test")])
    result = probe(features := layers(values), classes)
    assert result["n_untested"].item() == 1
    model = partial(LogisticRegression, max_iter=500)
    f1, _, predicted = by_hand(features[0].values, classes, model, macro)
    assert result["f1_macro"].values[0] == pytest.approx(f1)
    both = [f1_score(classes[rows("test")] == c, predicted == c) for c in ("one", "other")]
    assert f1 == pytest.approx(np.mean(both))


def test_labels_that_never_change_are_counted_and_scored(values, labels):
    always, never = np.ones((N_CLIPS, 1), bool), np.zeros((N_CLIPS, 1), bool)
    once = never.copy()
    once[rows("test")[0]] = True  # of no training clip
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = probe(layers(values), np.hstack([labels, always, never, once]))
    expected = probe(layers(values), labels)
    counts = [result[name].item() for name in ("n_outputs", "n_constant", "n_untested")]
    assert counts == [7, 3, 1]
    # the one that is always there is always right, the one that training lacks always wrong
    np.testing.assert_allclose(result["f1_macro"], (4 * expected["f1_macro"] + 1 + 0) / 6)


def test_coefficients_without_variance_are_counted_and_left_out(tokens):
    features, Y = tokens
    flat, untested = np.full((len(Y), 1), 2.5), Y[:, :1].copy()
    untested[rows("test", repeats=TOKENS)] = 1.0
    result, expected = probe(features, np.hstack([Y, flat, untested])), probe(features, Y)
    counts = [result[name].item() for name in ("n_outputs", "n_constant", "n_untested")]
    assert counts == [5, 1, 2]
    np.testing.assert_allclose(result["r2"], expected["r2"])


def test_values_that_are_not_finite_are_an_error(tokens):
    features, Y = tokens
    Y[3, 1] = np.nan
    with pytest.raises(ValueError, match="1 values to predict are NaN or infinite"):
        probe(features, Y)


def test_one_class_is_nothing_to_tell_apart(values):
    with pytest.raises(ValueError, match=r"nothing to tell apart: of 1 classes, labels or coeff"):
        probe(layers(values), np.full(N_CLIPS, "same"))


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_split_without_clips_is_an_error(values, classes, split):
    other = {"train": "validation", "validation": "test", "test": "train"}[split]
    of_clip = {name: other if s == split else s for name, s in splits().items()}
    with pytest.raises(ValueError, match=f"no clip is for {split}"):
        probe(layers(values), classes, of_clip=clips_of(of_clip))


def test_an_unknown_split_is_an_error(values, classes):
    of_clip = splits() | {"clip003": "dev"}
    with pytest.raises(ValueError, match="splits are train, validation, test, not dev"):
        probe(layers(values), classes, of_clip=clips_of(of_clip))


@pytest.mark.parametrize("extra", [-1, 1])
def test_rows_that_do_not_match_are_an_error(values, classes, extra):
    longer = np.append(classes, classes)[: N_CLIPS + extra]
    with pytest.raises(ValueError, match=f"{N_CLIPS + extra} rows to predict do not match 90"):
        probe(layers(values), longer)


def test_labels_are_not_taken_for_values(values, labels):
    with pytest.raises(ValueError, match="a matrix of int64, not bool or float"):
        probe(layers(values), labels.astype(int))


def test_labels_that_no_validation_clip_has_are_an_error(values, labels):
    labels[rows("validation")] = False
    with pytest.raises(ValueError, match="no validation clip has any of the labels"):
        probe(layers(values), labels)


def test_coefficients_that_validation_cannot_score_are_left_out(tokens):
    features, Y = tokens
    flat = Y[:, :1].copy()
    flat[rows("validation", repeats=TOKENS)] = 1.0
    result, expected = probe(features, np.hstack([Y, flat])), probe(features, Y)
    assert result["n_untested"].item() == 1
    np.testing.assert_allclose(result["r2"], expected["r2"])


# Of what is spoken


def test_accuracy_is_that_of_sklearn():
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(3, size=(2, 20))
    counts = resampling_counts(20, 5, seed=0)
    found = accuracy_scores(truth, predicted, counts, np.arange(20))["accuracy"]
    expected = [accuracy_score(truth, predicted, sample_weight=weights) for weights in counts]
    np.testing.assert_allclose(found, expected)


def test_what_is_not_linear_is_found_by_the_probe_that_is_not():
    """Whether two signs agree: no linear probe can tell."""
    n_clips = 1000
    signs = np.random.default_rng(0).standard_normal((n_clips, 2))
    truth = np.where(signs.prod(axis=1) > 0, "same", "other")
    features = layers(signs).isel(layer=[0])
    arguments = (truth, clips_of(splits(n_clips)), SETTINGS, DRAWS, 0)
    linear, nonlinear = (
        probe_layers(features, *arguments, SPOKEN_PROBES[name][1])
        for name in ("category", "category, not linear")
    )
    assert linear["accuracy"].item() < 0.65
    assert nonlinear["accuracy"].item() > 0.85
    assert linear["naive_accuracy"].item() == pytest.approx(0.5, abs=0.08)
    assert linear["accuracy_draws"].shape == (1, DRAWS)
    assert "f1_macro" not in linear
