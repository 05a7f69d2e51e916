from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from sklearn.linear_model import Ridge
from sklearn.model_selection import LeaveOneGroupOut

from bthelpers.encoding.alignment import bootstrap_alignment, evaluate_layers
from bthelpers.encoding.inputs import EncodingInputs, StoryResponses, delayed_features
from bthelpers.params.loading import load

PROFILE = load(Path(__file__).parents[2] / "params" / "smoke.yaml")
ENCODING = replace(PROFILE.encoding, fir_delays=(1, 2), alphas=(-2, 3, 4), folds=2)
STATISTICS = replace(PROFILE.statistics, bootstrap_draws=20, block=4)
TRS = {"a": 45, "b": 52, "c": 60, "d": 48, "test": 55}  # 15 more than responses
TRAINING = ["a", "b", "c", "d"]
N_VOXELS = 6
CEILING = np.linspace(0.5, 1, N_VOXELS)


def zscored(x):
    return (x - x.mean(axis=0)) / x.std(axis=0)


@pytest.fixture(scope="module")
def representations():
    rng = np.random.default_rng(0)
    return xr.DataArray(
        rng.normal(size=(3, sum(TRS.values()), 4)).astype(np.float32),
        dims=("layer", "tr", "feature"),
        coords={"layer": [0, 1, 2], "story": ("tr", np.repeat(list(TRS), list(TRS.values())))},
    )


@pytest.fixture(scope="module")
def regions():
    masks = np.arange(N_VOXELS) < [[2], [5]]
    return xr.DataArray(masks, {"region": ["small", "large"]}, dims=("region", "voxel"))


def naive_features(representation, stories, delays):
    """Row k of the responses is TR k + 10, and a delay of d TRs looks at the TR d before it."""
    pieces = []
    for story in stories:
        values = representation.values[representation["story"].values == story]
        rows = [
            np.concatenate(
                [values[k + 10 - d] if k + 10 - d >= 0 else 0 * values[0] for d in delays]
            )
            for k in range(len(values) - 15)
        ]
        pieces.append(zscored(np.array(rows, np.float64)))
    return np.concatenate(pieces)


def responses(stories, make):
    """Responses to some stories, of which ``make`` gives those to one."""
    pieces = [zscored(make(story)).astype(np.float32) for story in stories]
    story_of_row = [story for story, piece in zip(stories, pieces, strict=True) for _ in piece]
    return StoryResponses(list(stories), np.concatenate(pieces), story_of_row)


def planted(representations, layer, noise, seed=1):
    """Responses that are a linear function of a layer's delayed features, and noise."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(8, N_VOXELS))

    def make(story):
        features = naive_features(representations.sel(layer=layer), [story], (1, 2))
        return features @ weights + noise * rng.normal(size=(len(features), N_VOXELS))

    return make


@pytest.mark.parametrize("delays", [(1, 2, 3, 4, 5), (2,), (4, 1), (0, 12)])
def test_features_are_delayed_before_they_are_trimmed(representations, delays):
    layer = representations.sel(layer=1)
    features = delayed_features(layer, ["c", "a"], delays)
    assert features.shape == (60 - 15 + 45 - 15, 4 * len(delays))
    np.testing.assert_allclose(features, naive_features(layer, ["c", "a"], delays), atol=1e-5)


def test_a_story_that_is_not_represented_is_an_error(representations):
    with pytest.raises(ValueError, match="the representation lacks the stories e, f"):
        delayed_features(representations.sel(layer=0), ["a", "f", "e"], (1,))


def evaluate(representations, regions, make, encoding=ENCODING, test=("test",), seed=0):
    training, test = responses(TRAINING, make), responses(test, make)
    inputs = EncodingInputs(training, test, CEILING, regions, encoding, STATISTICS, seed)
    return evaluate_layers(representations, inputs)


def test_a_layer_that_drives_the_responses_predicts_them(representations, regions):
    alignment = evaluate(representations, regions, planted(representations, layer=1, noise=0))
    assert alignment["r"].dims == ("layer", "voxel")
    assert (alignment["r"].sel(layer=1) > 0.99).all()
    assert (np.abs(alignment["r"].sel(layer=[0, 2])) < 0.6).all()
    expected = [(1 / CEILING[:2]).mean(), (1 / CEILING[:5]).mean()]
    np.testing.assert_allclose(
        alignment["alignment"].sel(layer=1, region=["small", "large"]), expected, rtol=1e-2
    )
    assert alignment["draws"].dims == ("layer", "region", "draw")
    assert alignment.sizes == {"layer": 3, "voxel": N_VOXELS, "region": 2, "draw": 20}
    np.testing.assert_allclose(
        alignment["draws"].sel(layer=1, region="large"), expected[1], rtol=1e-2
    )
    assert list(alignment["layer"].values) == [0, 1, 2]


def test_voxels_have_the_labels_of_the_regions(representations, regions):
    numbers = [3, 7, 8, 9, 20, 41]
    found, unlabelled = (
        evaluate(representations, masks, planted(representations, layer=1, noise=1))
        for masks in (regions.assign_coords(voxel=numbers), regions)
    )
    assert found["voxel"].values.tolist() == numbers
    xr.testing.assert_identical(found.drop_vars("voxel"), unlabelled.drop_vars("voxel"))


def test_alignment_agrees_with_a_naive_pipeline(representations, regions):
    """A ridge per voxel, its penalty chosen by leaving folds of stories out, by scikit-learn."""
    make = planted(representations, layer=1, noise=4)
    train, test = responses(TRAINING, make), responses(["test"], make)
    inputs = EncodingInputs(train, test, CEILING, regions, ENCODING, STATISTICS, seed=7)
    alignment = evaluate_layers(representations, inputs)
    folds = [TRAINING.index(story) % 2 for story in train.story_of_row]
    for layer in (0, 1):
        features = representations.sel(layer=layer)
        X, X_test = (naive_features(features, s, (1, 2)) for s in (TRAINING, ["test"]))
        predicted = np.empty_like(test.responses, dtype=float)
        for voxel in range(N_VOXELS):
            y = train.responses[:, voxel].astype(float)
            errors = {}
            for alpha in np.logspace(-2, 3, 4):
                ridge = Ridge(alpha, fit_intercept=False)
                errors[alpha] = np.mean(
                    [
                        ((ridge.fit(X[fit], y[fit]).predict(X[left]) - y[left]) ** 2).mean()
                        for fit, left in LeaveOneGroupOut().split(X, groups=folds)
                    ]
                )
            best = min(errors, key=errors.get)
            assert alignment["alpha"].sel(layer=layer)[voxel] == pytest.approx(best, rel=1e-5)
            predicted[:, voxel] = Ridge(best, fit_intercept=False).fit(X, y).predict(X_test)
        r = [np.corrcoef(predicted[:, v], test.responses[:, v])[0, 1] for v in range(N_VOXELS)]
        np.testing.assert_allclose(alignment["r"].sel(layer=layer), r, atol=1e-4)
        for region, n_voxels in (("small", 2), ("large", 5)):
            naive = np.mean((np.array(r) / CEILING)[:n_voxels])
            assert alignment["alignment"].sel(layer=layer, region=region) == pytest.approx(
                naive, abs=1e-4
            )
        draws = bootstrap_alignment(predicted, test.responses, CEILING, regions, 4, 20, seed=7)
        np.testing.assert_allclose(alignment["draws"].sel(layer=layer), draws, atol=1e-3)
    assert len(np.unique(alignment["alpha"])) > 1


def test_the_seed_pairs_the_draws_of_two_models(representations, regions):
    make = planted(representations, layer=1, noise=4)
    train, test = responses(TRAINING, make), responses(["test"], make)
    inputs = EncodingInputs(train, test, CEILING, regions, ENCODING, STATISTICS, seed=3)
    first, again, other = (
        evaluate_layers(representations, replace(inputs, seed=seed)) for seed in (3, 3, 4)
    )
    xr.testing.assert_identical(first, again)
    xr.testing.assert_equal(first["alignment"], other["alignment"])
    assert not first["draws"].equals(other["draws"])


@pytest.mark.parametrize("stories", [("test",), ("test", "d")])
def test_the_first_rows_of_each_test_story_can_be_left_out(representations, regions, stories):
    make = planted(representations, layer=1, noise=1)
    train, test = responses(TRAINING[:3], make), responses(stories, make)
    spoilt = test.responses.copy()
    firsts = [test.story_of_row.index(story) for story in stories]
    for first in firsts:
        spoilt[first : first + 6] = np.random.default_rng(first).normal(size=(6, N_VOXELS))

    def evaluated(test, skip):
        encoding = replace(ENCODING, skip_test_rows=skip)
        inputs = EncodingInputs(train, test, CEILING, regions, encoding, STATISTICS, seed=0)
        return evaluate_layers(representations, inputs)

    spoilt = replace(test, responses=spoilt)
    xr.testing.assert_identical(evaluated(test, skip=6), evaluated(spoilt, skip=6))
    assert not evaluated(test, skip=5)["r"].equals(evaluated(spoilt, skip=5)["r"])
    assert not evaluated(test, skip=6)["r"].equals(evaluated(test, skip=7)["r"])


def test_no_warning_is_given(representations, regions, recwarn):
    evaluate(representations, regions, planted(representations, layer=1, noise=1))
    assert [str(warning.message) for warning in recwarn] == []
