import numpy as np
import pytest
import xarray as xr
from scipy import stats

from bthelpers.encoding.stages.similarity import (
    RepeatedStory,
    compare,
    dissimilarity,
    representational_similarity,
    similarity_ceiling,
    unit_ranks,
)
from bthelpers.params.settings import EncodingSettings, StatisticsSettings

ENCODING = EncodingSettings((1, 2), (-2, 4, 7), "training", folds=2, skip_test_rows=3)
N_RESPONSES = 150


def settings(block=50, permutations=199):
    return StatisticsSettings(20, 5, permutations, block)


def smooth(rng, n_trs, n_features, width=4):
    noise = rng.normal(size=(n_trs + width - 1, n_features))
    return np.mean([noise[k : k + n_trs] for k in range(width)], axis=0)


def test_dissimilarities_are_one_minus_the_correlation_of_each_pair():
    patterns = np.random.default_rng(0).normal(size=(7, 5))
    expected = [1 - np.corrcoef(patterns[i], patterns[j])[0, 1]
                for i in range(7) for j in range(i + 1, 7)]  # fmt: skip
    np.testing.assert_allclose(dissimilarity(patterns), expected)


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        ([[1, 2, 3], [2, 2, 2], [1, 0, 2]], "1 of 3 TRs have a constant pattern over 3"),
        ([[1.0], [2.0]], "2 of 2 TRs have a constant pattern over 1"),
        ([[1, np.nan], [1, 2]], "1 values of the patterns are not finite"),
    ],
)
def test_patterns_without_a_correlation_are_refused(patterns, message):
    with pytest.raises(ValueError, match=message):
        dissimilarity(patterns)


def test_products_of_unit_ranks_are_rank_correlations():
    a, b = np.random.default_rng(0).integers(0, 6, (2, 30))
    assert unit_ranks(a) @ unit_ranks(b) == pytest.approx(stats.spearmanr(a, b).statistic)
    with pytest.raises(ValueError, match="all dissimilarities are equal"):
        unit_ranks([2, 2, 2])


def test_the_ceiling_is_that_of_a_plain_loop_and_holds_the_true_model():
    rng = np.random.default_rng(0)
    true = rng.normal(size=(40, 12))
    repeats = unit_ranks([dissimilarity(true + rng.normal(size=true.shape)) for _ in range(6)])
    low, high = similarity_ceiling(repeats)

    def r(one, other):
        return np.corrcoef(one, other)[0, 1]

    others = [np.delete(repeats, k, axis=0).mean(axis=0) for k in range(6)]
    assert low == pytest.approx(np.mean([r(*pair) for pair in zip(repeats, others, strict=True)]))
    assert high == pytest.approx(np.mean([r(one, repeats.mean(axis=0)) for one in repeats]))
    of_true = np.mean(repeats @ unit_ranks(dissimilarity(true)))
    assert low < of_true < high
    with pytest.raises(ValueError, match="two or more repeats"):
        similarity_ceiling(repeats[:1])


def test_the_test_permutes_trs_of_the_second_set_and_keeps_what_is_its_own():
    """By a plain loop, over orders that are drawn as the function draws them."""
    from bthelpers.statistics.permutation import block_orders

    rng = np.random.default_rng(1)
    one, other = (smooth(rng, 24, 6) for _ in range(2))
    ranks = unit_ranks([dissimilarity(one)]), unit_ranks([dissimilarity(other)])
    found = compare(*ranks, settings(block=6, permutations=50), seed=3)
    drawn = [
        stats.spearmanr(dissimilarity(one), dissimilarity(other[order])).statistic
        for order in block_orders(24, 6, 50, 3)
    ]
    assert found["similarity"].item() == pytest.approx(drawn[0])
    assert found["chance"].item() == pytest.approx(np.mean(drawn[1:]))
    assert found["p"].item() == pytest.approx(np.mean(np.array(drawn) >= drawn[0] - 1e-12))


def test_slow_series_that_have_nothing_to_do_with_each_other_are_rarely_found():
    """Shuffled TRs, which the test does not use, would find most of them."""
    p, of_shuffled = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        one, other = (unit_ranks([dissimilarity(smooth(rng, 120, 3, 12))]) for _ in range(2))
        p.append(compare(one, other, settings(40, 99), seed)["p"].item())
        of_shuffled.append(compare(one, other, settings(1, 99), seed)["p"].item())
    assert np.mean(np.array(p) <= 0.05) < 0.17
    assert np.mean(np.array(of_shuffled) <= 0.05) > 0.25


def heard_story(rng, weights, repeats=5, noise=0.7):
    """Layers of a story, a model of the stimulus, and a region that follows each, two TRs later."""
    n_trs = N_RESPONSES + 15
    meaning, sound, other = (smooth(rng, n_trs, 8, 3) for _ in range(3))
    layers = np.stack([weights[0] * meaning + sound, weights[1] * meaning + sound])
    story = {"story": ("tr", np.full(n_trs, "new"))}
    representations = xr.DataArray(layers, {"layer": [0, 1], **story}, ("layer", "tr", "feature"))
    models = {
        name: xr.DataArray(values, story, ("tr", "feature"))
        for name, values in (("meaning", meaning), ("other", other))
    }

    def responses(values):
        mixed = (np.roll(values, 1, axis=0) + np.roll(values, 2, axis=0))[10:-5]
        mixed = mixed @ rng.normal(size=(8, 20)) / 3
        return mixed + noise * rng.normal(size=(repeats, *mixed.shape))

    regions = xr.DataArray(
        np.repeat(np.eye(2, dtype=bool), 20, axis=1),
        {"region": ["language", "auditory"]},
        ("region", "voxel"),
    )
    voxels = np.concatenate([responses(meaning), responses(sound)], axis=2)
    return representations, models, RepeatedStory("new", voxels, regions, ENCODING, settings(), 0)


@pytest.fixture(scope="module")
def found():
    return representational_similarity(*heard_story(np.random.default_rng(0), weights=(0.3, 3)))


def test_planted_similarities_are_found_and_others_are_not(found):
    similar = found["similarity"] - found["chance"]
    layer = {"object": ["layer 0", "layer 1"]}
    assert similar.sel(other="language", **layer).diff("object").item() > 0.1
    assert similar.sel(other="auditory", **layer).diff("object").item() < -0.1
    assert similar.sel(other="meaning", **layer).diff("object").item() > 0.2
    assert found["p"].sel(object="layer 1", other="language") <= 0.02
    assert found["p"].sel(object="other", other=["language", "auditory", "layer 1"]).min() > 0.05
    meaning = found["similarity"].sel(object="meaning", other="language").item()
    assert meaning <= found["ceiling"].sel(region="language", bound="high").item()


def test_objects_are_compared_with_each_other_symmetrically_and_are_like_themselves(found):
    assert found["object"].values.tolist() == ["layer 0", "layer 1", "meaning", "other"]
    assert found["kind"].values.tolist() == ["layer", "layer", "model", "model"]
    assert found["other_kind"].values.tolist()[4:] == ["region", "region"]
    square = found["similarity"].sel(other=found["object"].values).values
    np.testing.assert_allclose(square, square.T)
    np.testing.assert_allclose(np.diag(square), 1)


def test_rows_at_the_start_are_left_out():
    representations, models, heard = heard_story(np.random.default_rng(0), weights=(0.3, 3))
    heard.repeats[:, :3] += 50
    again = representational_similarity(representations, models, heard)
    expected = representational_similarity(*heard_story(np.random.default_rng(0), (0.3, 3)))
    xr.testing.assert_allclose(again, expected)


def test_errors_name_what_cannot_be_compared():
    representations, models, heard = heard_story(np.random.default_rng(0), weights=(0.3, 3))
    with pytest.raises(ValueError, match="must differ: layer 0, layer 1, language"):
        representational_similarity(representations, {"language": models["other"]}, heard)
    heard.regions[1] = np.arange(40) == 39
    with pytest.raises(ValueError, match=r"auditory: 147 of 147 TRs have a constant pattern"):
        representational_similarity(representations, models, heard)
