from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from impact_results import invented_alignment
from sklearn.linear_model import Ridge

from bthelpers.encoding.alignment import evaluate_layers
from bthelpers.encoding.impact import (
    exchanged,
    low_level_impact,
    residual_alignment,
    residualize,
    voxel_impact,
)
from bthelpers.encoding.inputs import EncodingInputs, StoryResponses
from bthelpers.params.loading import load

PROFILE = load(Path(__file__).parents[2] / "params" / "smoke.yaml")
ENCODING = replace(PROFILE.encoding, fir_delays=(1, 2), alphas=(-1, 4, 6), folds=2)
STATISTICS = replace(PROFILE.statistics, bootstrap_draws=30, block=10)
ALPHAS = np.logspace(-6, 6, 7)
TRAINING = ["a", "b", "c"]


def labelled(values, trs, feature_set="one"):
    """Rows (..., tr, feature) of stories of so many TRs."""
    dims = ("layer", "tr", "feature")[-values.ndim :]
    coords = {"story": ("tr", np.repeat(list(trs), list(trs.values())))}
    if values.ndim == 3:
        coords["layer"] = np.arange(len(values)) + 1
    else:
        coords["time"] = ("tr", np.concatenate([2.0045 * np.arange(n) - 10 for n in trs.values()]))
        coords["feature_set"] = ("feature", np.broadcast_to(feature_set, values.shape[1:]))
    return xr.DataArray(values.astype(np.float32), coords, dims)


TRS = {"a": 45, "test": 40, "b": 52, "c": 38}
STARTS = [0, 45, 85, 137]


@pytest.fixture
def low_level():
    """Two sets of features with stories' own means, and more or fewer columns than rows."""

    def make(n_columns, seed=0):
        rng = np.random.default_rng(seed)
        values = rng.normal(size=(sum(TRS.values()), n_columns)) * rng.uniform(0.2, 5, n_columns)
        sets = np.where(np.arange(n_columns) < 3, "few", "many")
        return labelled(values, TRS, sets)

    return make


@pytest.fixture
def representations(low_level):
    """Two layers of three dimensions: partly linear in seven columns, from little to much noise."""
    rng = np.random.default_rng(1)
    features = low_level(7).values
    noise = rng.normal(size=(2, len(features), 3)) * np.array([1, 3, 30])
    values = features @ rng.normal(size=(2, 7, 3)) + noise + rng.normal(5, 1, (2, 1, 3))
    return labelled(values, TRS)


def by_story(values, stories, trim=True):
    """Around the mean of each story's rows 10 to -5; these rows or all."""
    pieces = []
    for story in stories:
        first = STARTS[list(TRS).index(story)]
        rows = values[first : first + TRS[story]].astype(float)
        pieces.append((rows[10:-5] if trim else rows) - rows[10:-5].mean(axis=0))
    return pieces


@pytest.mark.parametrize("n_columns", [7, 150])
def test_residual_is_that_of_a_ridge_per_dimension(low_level, representations, n_columns):
    """By scikit-learn: folds are stories a with c, and b."""
    features = low_level(n_columns)
    found = residualize(features, representations, TRAINING, 2, ALPHAS)
    assert found["residual"].dims == ("layer", "tr", "feature")
    assert found["residual"].dtype == np.float32
    X, X_all = by_story(features.values, TRAINING), by_story(features.values, TRS, trim=False)
    scale = np.empty(n_columns)
    for of_set in (slice(3), slice(3, None)):
        scale[of_set] = np.sqrt(np.concatenate(X)[:, of_set].var(axis=0).sum())
    chosen = []
    for layer, of_layer in enumerate(representations.values):
        left = []
        for dimension, values in enumerate(of_layer.T):
            y, y_all = by_story(values, TRAINING), by_story(values, TRS, trim=False)
            deviation = np.concatenate(y).std()
            errors = []
            for alpha in ALPHAS:
                ridge, losses = Ridge(alpha, fit_intercept=False), []
                for fit, out in (([0, 2], [1]), ([1], [0, 2])):
                    x_fit, y_fit, x_out, y_out = (
                        np.concatenate([arrays[story] for story in fold])
                        for fold in (fit, out)
                        for arrays in (X, y)
                    )
                    ridge.fit(x_fit / scale, y_fit / deviation)
                    losses.append(((ridge.predict(x_out / scale) - y_out / deviation) ** 2).mean())
                errors.append(np.mean(losses))
            left.append(min(errors))
            chosen.append(ALPHAS[np.argmin(errors)])
            ridge = Ridge(chosen[-1], fit_intercept=False)
            ridge.fit(np.concatenate(X) / scale, np.concatenate(y) / deviation)
            predicted = ridge.predict(np.concatenate(X_all) / scale)
            predicted[[first + k for first in STARTS for k in range(8)]] = 0
            expected = np.concatenate(y_all) / deviation - predicted
            np.testing.assert_allclose(found["residual"][layer, :, dimension], expected, atol=1e-5)
        assert found["left"][layer] == pytest.approx(np.mean(left), rel=1e-5)
    assert len(set(chosen)) > 1, "the dimensions must need different penalties"


def test_test_stories_are_not_fitted(low_level, representations):
    features = low_level(7)
    before = residualize(features, representations, TRAINING, 2, ALPHAS)
    rows = (features["story"] == "test").values
    other_features, other = features.copy(), representations.copy()
    other_features[rows] = np.random.default_rng(9).normal(size=(rows.sum(), 7))
    other[:, rows] = np.random.default_rng(10).normal(size=(2, rows.sum(), 3))
    after = residualize(other_features, other, TRAINING, 2, ALPHAS)
    np.testing.assert_array_equal(after["residual"][:, ~rows], before["residual"][:, ~rows])
    assert not np.allclose(after["residual"][:, rows], before["residual"][:, rows])
    xr.testing.assert_identical(after["left"], before["left"])


def test_units_of_a_feature_set_do_not_matter(low_level, representations):
    features = low_level(7)
    scaled = features * xr.where(features["feature_set"] == "few", 1000.0, 1.0)
    first, second = (
        residualize(values, representations, TRAINING, 2, ALPHAS) for values in (features, scaled)
    )
    xr.testing.assert_allclose(first, second, atol=1e-4)


def test_what_does_not_vary_is_counted(low_level, representations):
    features, dead = low_level(9), representations.copy()
    training = (features["story"] != "test").values
    features[training, 4] = 0.1  # constant in training stories, not in the test story
    features[:, 8] = -140
    dead[0, :, 1] = 0.3
    found = residualize(features, dead, TRAINING, 2, ALPHAS)
    assert (found["columns"], found["constant_columns"]) == (7, 2)
    assert found["constant"].values.tolist() == [1, 0]
    assert found["removed"].values.tolist() == [0, 0]
    assert (found["residual"][0, :, 1] == 0).all()
    assert np.isfinite(found["residual"]).all()
    without = residualize(
        features.isel(feature=[0, 1, 2, 3, 5, 6, 7]), representations, TRAINING, 2, ALPHAS
    )
    np.testing.assert_allclose(found["residual"][1], without["residual"][1], atol=1e-6)
    assert found["left"][0] == pytest.approx(
        residualize(features, dead.isel(feature=[0, 2]), TRAINING, 2, ALPHAS)["left"][0].item()
    )


def test_linear_dimensions_are_removed_and_counted(low_level, representations):
    features, linear = low_level(7), representations.copy()
    linear[1, :, 2] = features.values @ np.arange(1, 8) + 100
    found = residualize(features, linear, TRAINING, 2, ALPHAS)
    assert found["removed"].values.tolist() == [0, 1]
    assert (found["residual"][1, :, 2] == 0).all()
    assert found["residual"][1, :, :2].any("tr").all()


def test_what_is_faint_in_a_feature_is_removed(low_level, representations):
    """A penalty of 1e-8 of the largest eigenvalue, below what float32 rounds."""
    features, linear = low_level(7), representations.copy()
    features[:] = features.values / 100 + features.values[:, :1]  # one direction outweighs all
    linear[1, :, 2] = features.values.astype(float) @ np.arange(-3, 4)  # not in it
    found = residualize(features, linear, TRAINING, 2, [1e-6])
    assert found["removed"].values.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f, r: (f[::-1], r), "the low-level feature is of other stories or TRs"),
        (lambda f, r: (f[:-1], r), "the low-level feature is of other stories or TRs"),
        (lambda f, r: (f[:85], r[:, :85]), "the representation lacks the stories b, c"),
        (lambda f, r: (f.where(f < 5), r), "of 7 columns of the low-level feature are NaN"),
        (lambda f, r: (f, r / (r["layer"] - 2)), "3 of 6 columns of the representation are NaN"),
        (lambda f, r: (0 * f, r), "nothing varies .* in the low-level feature"),
        (lambda f, r: (f, r * (r["layer"] == 1)), r"nothing varies .* in layer\(s\) 2 of the"),
    ],
)
def test_what_cannot_be_removed_is_an_error(low_level, representations, spoil, message):
    with pytest.raises(ValueError, match=message):
        residualize(*spoil(low_level(7), representations), TRAINING, 2, ALPHAS)


# A planted truth. The test story is long, so that chance alignments are small.
LONG = {"a": 165, "b": 165, "c": 165, "d": 165, "test": 2015}
N_VOXELS, N_LATENTS = 40, 12
CEILING = np.linspace(0.5, 1, N_VOXELS)
REGIONS = xr.DataArray(
    np.arange(N_VOXELS) < [[40], [25]],
    {"region": ["whole", "part"], "voxel": np.arange(N_VOXELS)},
    ("region", "voxel"),
)


@pytest.fixture(scope="module")
def planted():
    """Responses that follow low-level and other latents, half each, with noise."""
    rng = np.random.default_rng(5)
    n_trs = sum(LONG.values())
    low, other = rng.normal(size=(2, n_trs, N_LATENTS))
    stories = np.repeat(list(LONG), list(LONG.values()))
    latents = np.concatenate([low, other], axis=1)
    signal = np.roll(latents, 1, axis=0) @ rng.normal(size=(2 * N_LATENTS, N_VOXELS))
    responses = signal / signal.std() + rng.normal(size=signal.shape)

    def of(names):
        pieces = [responses[stories == name][10:-5] for name in names]
        pieces = [(piece - piece.mean(axis=0)) / piece.std(axis=0) for piece in pieces]
        rows = [name for name, piece in zip(names, pieces, strict=True) for _ in piece]
        return StoryResponses(list(names), np.concatenate(pieces).astype(np.float32), rows)

    return labelled(low, LONG), other, of(["a", "b", "c", "d"]), of(["test"])


def aligned(planted, representations, low_level=None):
    """Alignment of representations; of their residuals if there is a low-level feature."""
    _, _, training, test = planted
    inputs = EncodingInputs(training, test, CEILING, REGIONS, ENCODING, STATISTICS, seed=3)
    if low_level is None:
        return evaluate_layers(representations, inputs)
    return residual_alignment(representations, low_level, inputs, ALPHAS)


def test_planted_impact_is_found(planted):
    """Linear in the low-level feature, with a little of its own, with as much; independent."""
    low, other, _, _ = planted
    rng = np.random.default_rng(6)
    linear = low.values @ rng.normal(size=(N_LATENTS, N_LATENTS))
    noise = linear.std() * rng.normal(size=linear.shape)
    layers = [linear, linear + 0.1 * noise, linear + noise, other]
    representations = labelled(np.stack(layers), LONG)
    original = aligned(planted, representations)["alignment"]
    residual = aligned(planted, representations, {"one": low})
    found = residual["alignment"].sel(feature="one")
    assert (original > 0.3).all()
    assert residual["removed"].values.tolist() == [[N_LATENTS, 0, 0, 0]]
    assert (found[0] == 0).all()
    assert (np.abs(found[1:3]) < 0.02).all()
    np.testing.assert_allclose(found[3], original[3], atol=0.02)
    np.testing.assert_allclose(residual["left"][0], [0, 0.01, 0.5, 1], atol=0.02)


def test_part_of_a_representation_is_left(planted):
    low, other, _, _ = planted
    mixed = labelled(np.concatenate([low.values, other], axis=1)[None], LONG)
    found = aligned(planted, mixed, {"one": low})["alignment"].sel(feature="one")
    alone = aligned(planted, labelled(other[None], LONG))["alignment"]
    np.testing.assert_allclose(found, alone, atol=0.02)


def test_residuals_are_evaluated_like_representations(planted):
    low, other, training, _ = planted
    representations = labelled(np.stack([low.values + other, low.values, other]), LONG)
    features = {
        "some": low.isel(feature=slice(4)).assign_attrs(not_phones="sp (3)"),
        "all": low.assign_attrs(not_phones="sp (3)"),
    }
    found = aligned(planted, representations, features)
    assert found.sizes == {"feature": 2, "layer": 3, "voxel": 40, "region": 2, "draw": 30}
    assert found.attrs == {"not_phones": "sp (3)"}
    assert found["columns"].values.tolist() == [4, N_LATENTS]
    for name, feature in features.items():
        removal = residualize(feature, representations, training.stories, 2, ALPHAS)
        expected = aligned(planted, removal["residual"].sel(layer=[1, 3]))
        for variable in ("r", "alignment", "draws"):
            xr.testing.assert_identical(
                found[variable].sel(feature=name, layer=[1, 3]).reset_coords(drop=True),
                expected[variable].reset_coords(drop=True),
            )
        other = residualize(
            exchanged(feature, training.stories), representations, training.stories, 2, ALPHAS
        )
        expected = aligned(planted, other["residual"])
        for variable in ("alignment", "draws"):
            np.testing.assert_array_equal(
                found[f"floor_{variable}"].sel(feature=name), expected[variable]
            )
        for count in ("left", "removed", "constant"):
            np.testing.assert_array_equal(found[count].sel(feature=name), removal[count])
    assert (found.sel(feature="all", layer=2)[["r", "alignment", "draws"]] == 0).all()
    assert found["r"].dtype == np.float32


def test_another_story_explains_nothing(planted):
    low, other, _, _ = planted
    linear = low.values @ np.random.default_rng(6).normal(size=(N_LATENTS, N_LATENTS))
    representations = labelled(np.stack([linear, other]), LONG)
    original = aligned(planted, representations)
    found = low_level_impact(original, aligned(planted, representations, {"one": low}))
    whole = found.sel(feature="one", region="whole")
    np.testing.assert_allclose(whole["impact"], [100, 0], atol=3)
    np.testing.assert_allclose(whole["floor"], [0, 0], atol=3)


def test_stories_are_exchanged(low_level):
    """By hand: each training story's successor; rows of responses in a circle."""
    features = low_level(3)
    found = exchanged(features, TRAINING)
    assert found.drop_vars(found.coords).dims == features.dims
    xr.testing.assert_identical(found.coords.to_dataset(), features.coords.to_dataset())
    rows = dict(zip(TRS, np.split(features.values, STARTS[1:]), strict=True))
    new = dict(zip(TRS, np.split(found.values, STARTS[1:]), strict=True))
    for story, donor in {"a": "b", "b": "c", "c": "a", "test": "a"}.items():
        given = rows[donor][10:-5]
        for row, values in enumerate(new[story]):
            np.testing.assert_array_equal(values, given[(row - 10) % len(given)])


def test_nothing_left_of_any_layer_is_no_alignment(planted):
    low = planted[0]
    found = aligned(planted, labelled(low.values[None], LONG), {"one": low})
    for variable in ("r", "alignment", "draws"):
        assert (found[variable] == 0).all()
    assert found["removed"].values.tolist() == [[N_LATENTS]]


def test_impact_is_the_drop_in_percent():
    rng = np.random.default_rng(0)
    before, after = rng.uniform(0.1, 1, (2, 2)), rng.uniform(-0.1, 1, (3, 2, 2))
    draws, drawn_after = rng.uniform(0.1, 1, (2, 2, 50)), rng.uniform(-0.1, 1, (3, 2, 2, 50))
    original, residual = invented_alignment(before, draws), invented_alignment(after, drawn_after)
    impact = low_level_impact(original, residual)
    for feature in range(3):
        for layer in range(2):
            for region in range(2):
                chosen = (feature, layer, region)
                expected = 100 * (1 - after[chosen] / before[layer, region])
                assert impact["impact"].values[chosen] == pytest.approx(expected)
                each = 100 * (1 - drawn_after[chosen] / draws[layer, region])
                np.testing.assert_allclose(impact["draws"].values[chosen], each)


def test_the_floor_is_the_drop_by_features_of_another_story():
    rng = np.random.default_rng(0)
    original = invented_alignment(rng.uniform(0.1, 1, (2, 2)), rng.uniform(0.1, 1, (2, 2, 50)))
    own, other = (
        invented_alignment(rng.uniform(0, 1, (3, 2, 2)), rng.uniform(0, 1, (3, 2, 2, 50)))
        for _ in range(2)
    )
    both = own.assign(floor_alignment=other["alignment"], floor_draws=other["draws"])
    found, of_other = low_level_impact(original, both), low_level_impact(original, other)
    xr.testing.assert_identical(found["impact"], low_level_impact(original, own)["impact"])
    np.testing.assert_array_equal(found["floor"], of_other["impact"])
    np.testing.assert_array_equal(found["floor_draws"], of_other["draws"])
    assert of_other[["floor", "floor_draws"]].isnull().all().to_array().all()


def test_regions_that_may_not_be_aligned_have_no_impact(recwarn):
    draws = np.full((2, 2, 40), 0.1)
    draws[0, 1, :3] = [0, -0.01, -1]
    original = invented_alignment(np.full((2, 2), 0.1), draws)
    residual = invented_alignment(np.full((1, 2, 2), 0.04), draws[None] / 2)
    impact = low_level_impact(original, residual)
    np.testing.assert_allclose(impact["impact"], [[[60, np.nan], [60, 60]]])
    assert impact["positive"].values.tolist() == [[40, 37], [40, 40]]
    assert np.isnan(impact["draws"][0, 0, 1]).all()
    assert [str(warning.message) for warning in recwarn] == []


def test_impact_of_some_regions_and_means_over_layers():
    rng = np.random.default_rng(1)
    original, residual = (
        invented_alignment(rng.uniform(0.1, 1, (2, 2)), rng.uniform(0.1, 1, (2, 2, 9)))
        for _ in range(2)
    )
    impact = low_level_impact(
        original.mean("layer"), residual.mean("layer").sel(region=["auditory"])
    )
    assert impact["impact"].dims == ("region",)
    means = [each["alignment"][:, 1].mean().item() for each in (original, residual)]
    assert impact["impact"].item() == pytest.approx(100 * (means[0] - means[1]) / means[0])


@pytest.mark.parametrize(
    "other",
    [
        invented_alignment(np.ones((2, 2)), np.ones((2, 2, 8))),
        invented_alignment(np.ones((2, 2)), np.ones((2, 2, 9)), layers=(1, 3)),
    ],
)
def test_impact_needs_pairs(other):
    original = invented_alignment(np.ones((2, 2)), np.ones((2, 2, 9)))
    with pytest.raises(ValueError, match=r"alignment were not evaluated alike: .*'(draw|layer)'"):
        low_level_impact(original, other)


def test_impact_of_voxels_masks_small_correlations():
    """Voxels 2, 3, 5 and 7 of ten were evaluated."""
    original = xr.DataArray(
        [0.9, 0.9, 0.4, 0.049, -0.5, -0.5, 0.9, 0.05], {"voxel": np.arange(8)}, "voxel"
    )
    residual = xr.DataArray(
        [[0.1, 0.2, 0.3, 0.02], [0.6, 0, -0.6, -0.05]],
        {"feature": ["x", "y"], "voxel": [2, 3, 5, 7]},
        ("feature", "voxel"),
    )
    regions = xr.DataArray(
        [np.arange(8) < 4, np.arange(8) > 4, np.arange(8) == 0],
        {"region": ["first", "last", "none"], "voxel": np.arange(8)},
        ("region", "voxel"),
    )
    found = voxel_impact(original, residual, regions)
    np.testing.assert_allclose(
        found["impact"], [[75, np.nan, np.nan, 60], [-50, np.nan, np.nan, 200]]
    )
    assert found["masked"].values.tolist() == [1, 1, 0]
    assert found["voxels"].values.tolist() == [2, 2, 0]
