from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from delayed_stories import invented_representations, naive_features, zscored
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from sklearn.model_selection import LeaveOneGroupOut

from bthelpers.encoding.alignment import (
    bootstrap_alignment,
    evaluate_layers,
    normalized_alignment,
)
from bthelpers.encoding.inputs import EncodingInputs, StoryResponses
from bthelpers.params.loading import load
from bthelpers.statistics.intervals import interval

SMOKE = Path(__file__).parents[2] / "params" / "smoke.yaml"
PROFILE = load(SMOKE)
ENCODING = replace(PROFILE.encoding, fir_delays=(1, 2), alphas=(-4, 6, 6), folds=2)
STATISTICS = replace(PROFILE.statistics, bootstrap_draws=20, block=4)
TRAINING = ["a", "b", "c", "d"]
N_VOXELS = 6
CEILING = np.linspace(0.5, 1, N_VOXELS)


@pytest.fixture(scope="module")
def representations():
    return invented_representations()


@pytest.fixture(scope="module")
def regions():
    masks = np.arange(N_VOXELS) < [[2], [5]]
    return xr.DataArray(masks, {"region": ["small", "large"]}, dims=("region", "voxel"))


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
    assert alignment.sizes == {"layer": 3, "voxel": N_VOXELS, "region": 2, "draw": 20, "edge": 3}
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
            for alpha in np.logspace(-4, 6, 6):
                ridge = Ridge(8 * alpha, fit_intercept=False)
                errors[alpha] = np.mean(
                    [
                        ((ridge.fit(X[fit], y[fit]).predict(X[left]) - y[left]) ** 2).mean()
                        for fit, left in LeaveOneGroupOut().split(X, groups=folds)
                    ]
                )
            best = min(errors, key=errors.get)
            assert alignment["alpha"].sel(layer=layer)[voxel] == pytest.approx(best, rel=1e-5)
            predicted[:, voxel] = Ridge(8 * best, fit_intercept=False).fit(X, y).predict(X_test)
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


def test_validation_stories_choose_the_penalties_where_they_are_to(representations, regions):
    """Ridges by scikit-learn, fitted to the other stories alone."""
    make = planted(representations, layer=1, noise=4)
    train, validation, test = (responses(s, make) for s in (TRAINING[:3], ["d"], ["test"]))
    inputs = EncodingInputs(
        train, test, CEILING, regions, ENCODING, STATISTICS, seed=7, validation=validation
    )
    alignment = evaluate_layers(representations, inputs).sel(layer=1)
    X, X_validation, X_test = (
        naive_features(representations.sel(layer=1), stories, (1, 2))
        for stories in (TRAINING[:3], ["d"], ["test"])
    )
    for voxel in range(N_VOXELS):
        y, actual = train.responses[:, voxel], validation.responses[:, voxel]
        ridges = {a: Ridge(8 * a, fit_intercept=False).fit(X, y) for a in np.logspace(-4, 6, 6)}
        errors = {a: np.mean((of.predict(X_validation) - actual) ** 2) for a, of in ridges.items()}
        best = min(errors, key=errors.get)
        assert alignment["alpha"][voxel] == pytest.approx(best, rel=1e-5)
        r = np.corrcoef(ridges[best].predict(X_test), test.responses[:, voxel])[0, 1]
        assert alignment["r"][voxel] == pytest.approx(r, abs=1e-4)
    by_training = evaluate_layers(representations, replace(inputs, validation=None))
    assert not np.array_equal(by_training["alpha"].sel(layer=1), alignment["alpha"])


@pytest.mark.parametrize("profile", ["demo", "paper"])
def test_penalties_reach_far_enough_at_the_width_of_a_speech_model(profile):
    """Columns as alike as a speech model's, and voxels that follow what they share, with noise.

    As much noise as 100 times the signal, a penalty of about 10^2 per column is best: 10^5.6 for
    3,840 columns. Penalties that do not scale with these ended at 10^5.
    """
    encoding = load(SMOKE.with_name(f"{profile}.yaml")).encoding
    encoding = replace(encoding, skip_test_rows=0)
    rng, stories = np.random.default_rng(0), ["a", "b", "c", "d", "test"]
    shared = rng.normal(size=(5 * 315, 3))
    values = shared @ rng.normal(size=(3, 768)) + 0.3 * rng.normal(size=(5 * 315, 768))
    coords = {"layer": [0], "story": ("tr", np.repeat(stories, 315))}
    representations = xr.DataArray(
        values[None].astype(np.float32), coords, ("layer", "tr", "feature")
    )
    weights = rng.normal(size=(3, 100)) / np.sqrt(3)

    def make(story):
        rows = stories.index(story) * 315 + np.arange(10, 310)
        return shared[rows - 2] @ weights + 10 * rng.normal(size=(300, 100))

    training, test = responses(stories[:4], make), responses(["test"], make)
    region = xr.DataArray(np.ones((1, 100), bool), {"region": ["all"]}, ("region", "voxel"))
    inputs = EncodingInputs(training, test, np.ones(100), region, encoding, STATISTICS, seed=0)
    aligned = evaluate_layers(representations, inputs).squeeze("layer")
    beyond = (aligned["alpha"] * 3840 > 10**5.01).mean()
    lower, upper, nothing = aligned["edge_share"].values
    assert beyond > 0.5
    assert lower == upper == 0
    assert 0 < nothing < 0.5


@pytest.mark.parametrize(
    ("alphas", "noise", "message"),
    [
        ((-4, -3, 2), 9, "upper edge: .* reach higher"),
        ((3, 6, 4), 0.5, "lower edge: .* begin lower"),
    ],
)
def test_penalties_at_an_edge_are_told(representations, regions, alphas, noise, message):
    encoding = replace(ENCODING, alphas=alphas)
    make = planted(representations, layer=1, noise=noise)
    with pytest.warns(UserWarning, match=message):
        aligned = evaluate(representations, regions, make, encoding)
    assert aligned["edge_share"].dims == ("layer", "edge")
    assert aligned["edge_share"].max() > 0.5


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
    evaluate(representations, regions, planted(representations, layer=1, noise=4))
    assert [str(warning.message) for warning in recwarn] == []


def test_equation_1_by_hand():
    r, ceiling = np.array([0.2, 0.3, 0.9, np.nan]), np.array([0.5, 0.6, 0.0, np.nan])
    mask = np.array([True, True, False, False])
    assert normalized_alignment(r, ceiling, mask) == pytest.approx((0.2 / 0.5 + 0.3 / 0.6) / 2)


@settings(max_examples=50)
@given(seed=st.integers(0, 9999), n_voxels=st.integers(1, 40))
def test_equation_1_agrees_with_a_loop(seed, n_voxels):
    rng = np.random.default_rng(seed)
    r, ceiling = rng.uniform(-1, 1, n_voxels), rng.uniform(0.4, 1, n_voxels)
    mask = rng.random(n_voxels) < 0.5
    mask[rng.integers(n_voxels)] = True
    total = 0.0
    for voxel in range(n_voxels):
        if mask[voxel]:
            total += r[voxel] / ceiling[voxel]
    alignment = normalized_alignment(r, ceiling, mask)
    assert isinstance(alignment, float)
    assert alignment == pytest.approx(total / mask.sum(), abs=1e-12)


@pytest.mark.parametrize(
    ("r", "ceiling", "mask", "message"),
    [
        ([0.1, 0.2], [0.5, 0.5], [False, False], "no voxel"),
        ([0.1, 0.2], [0.5, 0.0], [True, True], "1 of 2 voxels .* ceiling"),
        ([0.1, 0.2], [0.5, np.nan], [True, True], "1 of 2 voxels .* ceiling"),
        ([0.1, np.nan], [0.5, 0.5], [True, True], "1 of 2 voxels have no correlation"),
        ([0.1, 0.2], [0.5, 0.5], [1, 0], "must be bool"),
        ([0.1, 0.2], [0.5, 0.5], [True], "must be bool"),
        ([0.1, 0.2, 0.3], [0.5, 0.5], [True, True], "do not match"),
    ],
)
def test_refuses_voxels_without_a_normalised_alignment(r, ceiling, mask, message):
    with pytest.raises(ValueError, match=message):
        normalized_alignment(r, ceiling, np.array(mask))


def story(n_trs=53, n_voxels=9, seed=0):
    """Predictions, responses and ceilings of one story, and two overlapping regions."""
    rng = np.random.default_rng(seed)
    actual = rng.normal(50, 2, size=(n_trs, n_voxels))
    predicted = 0.3 * actual + rng.standard_normal((n_trs, n_voxels))
    inside = [np.arange(n_voxels) < 5, np.arange(n_voxels) % 2 == 0]
    masks = xr.DataArray(inside, dims=("region", "voxel"), coords={"region": ["late", "early"]})
    return predicted, actual, rng.uniform(0.4, 1, n_voxels), masks


@pytest.mark.parametrize(
    ("n_trs", "block", "n_blocks"), [(53, 10, 5), (56, 10, 6), (12, 1, 12), (17, 10, 2)]
)
def test_bootstrap_agrees_with_resampled_series(n_trs, block, n_blocks, monkeypatch):
    monkeypatch.setattr("bthelpers.encoding.alignment._VOXELS_AT_ONCE", 4)
    predicted, actual, ceiling, masks = story(n_trs)
    draws = bootstrap_alignment(predicted, actual, ceiling, masks, block, 20, seed=3)
    assert draws.dims == ("region", "draw")
    assert draws.shape == (2, 20)
    rows = np.arange(n_trs)
    blocks = np.split(rows, [n_trs * k // n_blocks for k in range(1, n_blocks)])
    assert (draws["n_drawn"] == n_blocks).all()
    counts = np.random.default_rng(3).multinomial(
        len(blocks), np.full(len(blocks), 1 / len(blocks)), size=20
    )
    assert (counts.sum(axis=1) == len(blocks)).all()
    for draw, count in enumerate(counts):
        drawn = np.concatenate([np.tile(b, c) for b, c in zip(blocks, count, strict=True)]).astype(
            int
        )
        r = np.array([np.corrcoef(predicted[drawn, v], actual[drawn, v])[0, 1] for v in range(9)])
        for region in ("late", "early"):
            mask = masks.sel(region=region).values
            expected = np.mean(r[mask] / ceiling[mask])
            np.testing.assert_allclose(draws.sel(region=region)[draw], expected, atol=1e-9)


def test_bootstrap_surrounds_the_alignment_and_widens_with_noise():
    predicted, actual, ceiling, masks = story(n_trs=291)
    point = normalized_alignment(
        [np.corrcoef(predicted[:, v], actual[:, v])[0, 1] for v in range(9)],
        ceiling,
        masks.sel(region="late").values,
    )

    def bounds(n_trs):
        story = predicted[:n_trs], actual[:n_trs]
        draws = bootstrap_alignment(*story, ceiling, masks, 10, 500, seed=0)
        return interval(xr.Dataset({"value": point, "draws": draws})).sel(region="late")

    low, high = bounds(291)
    assert low < point < high
    assert bounds(60).diff("bound").item() > high - low


def test_draws_of_two_conditions_are_paired():
    predicted, actual, ceiling, masks = story()
    draws = bootstrap_alignment(predicted, actual, ceiling, masks, 10, 50, seed=1)
    same = bootstrap_alignment(2 * predicted + 3, actual, ceiling, masks, 10, 50, seed=1)
    np.testing.assert_allclose(same, draws, atol=1e-9)
    other = bootstrap_alignment(predicted, actual, ceiling, masks, 10, 50, seed=2)
    assert (np.abs(other - draws) > 1e-3).any()


def test_bootstrap_in_float32_loses_no_digits_to_large_offsets():
    predicted, actual, ceiling, masks = story()
    single = np.float32(predicted + 1000), np.float32(actual + 1000)
    exact = bootstrap_alignment(*(np.float64(x) for x in single), ceiling, masks, 10, 9, seed=0)
    draws = bootstrap_alignment(*single, ceiling, masks, 10, 9, seed=0)
    np.testing.assert_allclose(draws, exact, atol=1e-10)


def test_bootstrap_ignores_voxels_outside_of_every_region():
    predicted, actual, ceiling, masks = story()
    draws = bootstrap_alignment(predicted, actual, ceiling, masks, 10, 9, seed=0)
    predicted[:, 7] = np.nan  # in neither region
    ceiling[7] = 0
    again = bootstrap_alignment(predicted, actual, ceiling, masks, 10, 9, seed=0)
    np.testing.assert_array_equal(again, draws)


def test_bootstrap_refuses():
    predicted, actual, ceiling, masks = story()
    for block in (36, 53):
        with pytest.raises(ValueError, match="shorter blocks"):
            bootstrap_alignment(predicted, actual, ceiling, masks, block, 9, seed=0)
    with pytest.raises(ValueError, match="cannot correlate"):
        bootstrap_alignment(predicted[1:], actual, ceiling, masks, 10, 9, seed=0)
    with pytest.raises(ValueError, match="no voxel"):
        bootstrap_alignment(predicted, actual, ceiling, masks & False, 10, 9, seed=0)
    predicted[:, 2] = 0.1
    with pytest.raises(ValueError, match="1 of 7 voxels have no correlation"):
        bootstrap_alignment(predicted, actual, ceiling, masks, 10, 9, seed=0)
