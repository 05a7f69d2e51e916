import numpy as np

from bthelpers.encoding.inputs import read_responses


def zscored(x):
    return (x - x.mean(axis=0)) / x.std(axis=0)


class TwoStories:
    """Stands for a dataset."""

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
