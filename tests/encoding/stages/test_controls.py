from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from bthelpers.encoding.alignment import evaluate_layers
from bthelpers.encoding.inputs import EncodingInputs, StoryResponses, delayed_features
from bthelpers.encoding.stages.controls import layer_controls
from bthelpers.encoding.stages.splits import (
    SPLITS,
    shuffled_folds,
    split_correlation,
    stretch_folds,
)
from bthelpers.params.settings import EncodingSettings, StatisticsSettings

STORIES, N_RESPONSES = ["a", "b", "c", "new"], 60
DELAYS = (1, 2)


def slow(rng, n_rows, n_columns, width=8):
    noise = rng.normal(size=(n_rows + width - 1, n_columns))
    return np.mean([noise[k : k + n_rows] for k in range(width)], axis=0)


@pytest.fixture(scope="module")
def told():
    """Layers, simple features, and responses: half of the voxels follow layer 1, half are slow."""
    rng = np.random.default_rng(0)
    n_trs = N_RESPONSES + 15
    story = ("tr", np.repeat(STORIES, n_trs))
    layers = np.concatenate([slow(rng, n_trs, 2 * 6).reshape(n_trs, 2, 6) for _ in STORIES])
    representations = xr.DataArray(
        layers, {"layer": [0, 1], "story": story}, ("tr", "layer", "feature")
    ).transpose("layer", "tr", "feature")
    baseline = xr.DataArray(
        np.concatenate([rng.poisson(4, (n_trs, 2)) for _ in STORIES]).astype(float),
        {"story": story},
        ("tr", "feature"),
    )

    def responses(stories):
        followed = delayed_features(representations.sel(layer=1), stories, DELAYS)
        followed = followed @ np.random.default_rng(1).normal(size=(12, 10))
        others = np.concatenate([slow(rng, N_RESPONSES, 10) for _ in stories])
        values = np.hstack([followed / followed.std(axis=0), others / others.std(axis=0)])
        values = values + 0.5 * rng.normal(size=values.shape)
        return StoryResponses(stories, values, np.repeat(stories, N_RESPONSES).tolist())

    regions = np.repeat(np.eye(2, dtype=bool), 10, axis=1)
    inputs = EncodingInputs(
        responses(STORIES[:3]),
        responses(STORIES[3:]),
        ceiling=np.full(20, 0.9),
        regions=xr.DataArray(regions, {"region": ["follows", "slow"]}, ("region", "voxel")),
        encoding=EncodingSettings(DELAYS, (-3, 3, 5), "training", folds=3, skip_test_rows=0),
        statistics=StatisticsSettings(20, block=10, permutations=20, permutation_block=20),
        seed=0,
    )
    return representations, baseline, inputs


def test_stretches_are_successive_rows_of_each_story_and_nearly_equal():
    stories = ["x"] * 7 + ["y"] * 11
    folds = stretch_folds(stories, 3)
    for rows in (folds[:7], folds[7:]):
        assert (np.diff(rows) >= 0).all()
        assert np.ptp(np.bincount(rows)) <= 1
    # Also where rows of stories alternate, as none of ours do.
    mixed = np.random.default_rng(0).permutation(18)
    again = stretch_folds(np.array(stories)[mixed].tolist(), 3)
    assert sorted(np.bincount(again)) == sorted(np.bincount(folds))


def test_shuffled_rows_are_dealt_evenly_and_by_the_seed():
    folds = shuffled_folds(["x"] * 10, 3, seed=0)
    assert sorted(np.bincount(folds)) == [3, 3, 4]
    np.testing.assert_array_equal(folds, shuffled_folds(["x"] * 10, 3, seed=0))
    assert not np.array_equal(folds, shuffled_folds(["x"] * 10, 3, seed=1))


def test_slow_voxels_are_predicted_only_where_rows_are_shuffled(told):
    """Features that share nothing with a voxel but being slow predict it from its neighbours."""
    representations, _, inputs = told
    found = split_correlation(representations.sel(layer=1), inputs)
    assert found["split"].values.tolist() == list(SPLITS)
    follows, slow_ones = found.sel(region="follows"), found.sel(region="slow")
    assert (follows > 0.7).all()
    assert slow_ones.sel(split="shuffled rows") > 0.25
    assert abs(slow_ones.sel(split="whole stories")) < 0.2
    assert abs(slow_ones.sel(split="stretches")) < 0.2


def test_the_first_fold_is_predicted_from_the_others(told):
    """What is planted in the first story alone cannot be learnt from the others."""
    representations, _, inputs = told
    responses = inputs.training.responses.copy()
    responses[:N_RESPONSES, :10] *= -1  # of story a, the fold that is left out
    turned = replace(inputs, training=replace(inputs.training, responses=responses))
    found = split_correlation(representations.sel(layer=1), turned).sel(region="follows")
    assert found.sel(split="whole stories") < -0.7


def test_three_folds_are_needed(told):
    representations, _, inputs = told
    two = replace(inputs, encoding=replace(inputs.encoding, folds=2))
    with pytest.raises(ValueError, match=r"encoding\.folds is 2"):
        split_correlation(representations.sel(layer=1), two)


def test_controls_are_those_of_their_functions(told):
    representations, baseline, inputs = told
    controls = layer_controls(representations, baseline, inputs)
    alone = evaluate_layers(baseline.expand_dims(layer=[7]), inputs).sel(layer=7)
    xr.testing.assert_allclose(controls["baseline_draws"], alone["draws"].drop_vars("layer"))
    np.testing.assert_allclose(controls["baseline_alignment"], alone["alignment"])
    of_layer = split_correlation(representations.sel(layer=0), inputs)
    np.testing.assert_allclose(controls["r"].sel(layer=0).transpose(*of_layer.dims), of_layer)
    assert controls["baseline_r"].dims == ("split", "region")
    assert controls["participation_ratio"].dims == ("layer",)


def test_a_layer_that_is_followed_beats_the_baseline_in_every_draw(told):
    representations, baseline, inputs = told
    controls = layer_controls(representations, baseline, inputs)
    draws = evaluate_layers(representations, inputs)["draws"].sel(layer=1)
    better = (draws - controls["baseline_draws"]) > 0
    assert better.sel(region="follows").all()
