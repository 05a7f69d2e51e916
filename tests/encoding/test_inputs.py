from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from delayed_stories import invented_representations, naive_features, zscored
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bthelpers.encoding.inputs import (
    at_trs,
    delayed_features,
    invalid_voxels,
    read_inputs,
    read_responses,
)
from bthelpers.params.loading import load
from bthelpers.params.splits import Splits

SMOKE = Path(__file__).parents[2] / "params" / "smoke.yaml"


@pytest.fixture(scope="module")
def representations():
    return invented_representations()


class TwoStories:
    """Stands for a dataset."""

    def tr_times(self, story):
        return 2.0 * np.arange(len(story) + 18)

    def response_times(self, story):
        return np.arange(len(story) + 3)

    def responses(self, participant, story, voxels):
        rng = np.random.default_rng(len(participant + story))
        return rng.normal(5, 2, (len(story) + 3, 8)).astype(np.float32)[:, voxels]


def test_responses_are_standardised_within_each_story():
    voxels = np.array([1, 4, 6])
    read = read_responses(TwoStories(), "SIM01", ("long", "x"), voxels)
    assert read.stories == ["long", "x"]
    assert read.story_of_row == ["long"] * 7 + ["x"] * 4
    raw = [TwoStories().responses("SIM01", story, voxels) for story in ("long", "x")]
    np.testing.assert_allclose(read.responses, np.concatenate([*map(zscored, raw)]), atol=1e-5)
    assert read.responses.dtype == np.float32


@pytest.mark.parametrize("leading", [(), (3,)])
def test_values_are_labelled_by_story_and_time(leading):
    values = np.random.default_rng(0).normal(size=(*leading, 22 + 19, 2))
    labelled = at_trs(TwoStories(), ("long", "x"), values)
    assert labelled.dims == (("layer",) if leading else ()) + ("tr", "feature")
    assert labelled.dtype == np.float32
    np.testing.assert_array_equal(labelled, values.astype(np.float32))
    assert labelled["story"].values.tolist() == ["long"] * 22 + ["x"] * 19
    times = [*2.0 * np.arange(22), *2.0 * np.arange(19)]
    np.testing.assert_array_equal(labelled["time"], times)
    assert labelled["time"].attrs == {"units": "s"}


def test_inputs_are_the_responses_of_the_voxels_to_the_stories_that_were_heard():
    profile = load(SMOKE)
    splits = Splits(train=("long", "x"), validation=("none",), test=("test", "lost"))
    heard = replace(profile.dataset, splits=splits, absent={"SIM01": ("lost",)})
    profile = replace(profile, dataset=heard)
    regions = np.random.default_rng(0).uniform(size=(2, 3)) < 0.5
    voxels = xr.Dataset(
        {"ceiling": ("voxel", [0.5, 0.75, 1]), "regions": (("region", "voxel"), regions)},
        {"voxel": [1, 4, 6], "region": ["a", "b"]},
    )
    inputs = read_inputs(TwoStories(), "SIM01", voxels, profile)
    for responses, stories in ((inputs.training, ["long", "x"]), (inputs.test, ["test"])):
        expected = read_responses(TwoStories(), "SIM01", stories, np.array([1, 4, 6]))
        assert responses.stories == stories
        assert responses.story_of_row == expected.story_of_row
        np.testing.assert_array_equal(responses.responses, expected.responses)
    np.testing.assert_array_equal(inputs.ceiling, [0.5, 0.75, 1])
    xr.testing.assert_identical(inputs.regions, voxels["regions"])
    settings = (inputs.encoding, inputs.statistics, inputs.seed)
    assert settings == (profile.encoding, profile.statistics, profile.seed)
    assert str(inputs) == "11 + 7 TRs, 3 voxels"
    assert inputs.validation is None
    encoding = replace(profile.encoding, penalties="validation")
    chosen = read_inputs(TwoStories(), "SIM01", voxels, replace(profile, encoding=encoding))
    assert chosen.validation.stories == ["none"]
    assert chosen.training.stories == ["long", "x"]


@pytest.mark.parametrize("delays", [(1, 2, 3, 4, 5), (2,), (4, 1), (0, 12)])
def test_features_are_delayed_before_they_are_trimmed(representations, delays):
    layer = representations.sel(layer=1)
    features = delayed_features(layer, ["c", "a"], delays)
    assert features.shape == (60 - 15 + 45 - 15, 4 * len(delays))
    np.testing.assert_allclose(features, naive_features(layer, ["c", "a"], delays), atol=1e-5)


def test_a_story_that_is_not_represented_is_an_error(representations):
    with pytest.raises(ValueError, match="the representation lacks the stories e, f"):
        delayed_features(representations.sel(layer=0), ["a", "f", "e"], (1,))


@given(
    arrays(
        float,
        st.tuples(st.integers(1, 3), st.integers(2, 5), st.integers(1, 6)),
        elements=st.sampled_from([0.0, 1.0, np.nan, np.inf]),
    )
)
def test_invalid_voxels_by_loop(responses):
    expected = [
        any(
            not np.isfinite(repeat[:, voxel]).all() or len(set(repeat[:, voxel])) == 1
            for repeat in responses
        )
        for voxel in range(responses.shape[-1])
    ]
    np.testing.assert_array_equal(invalid_voxels(responses), expected)
    np.testing.assert_array_equal(invalid_voxels(responses[0]), invalid_voxels(responses[:1]))
