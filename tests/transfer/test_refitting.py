from dataclasses import replace

import numpy as np
import pytest
from tiny_models import tiny_model
from transfer_inputs import PROFILE

from bthelpers.core.timing import SAMPLE_RATE
from bthelpers.encoding.alignment import predicted_r
from bthelpers.encoding.inputs import read_responses
from bthelpers.encoding.representations import extract
from bthelpers.models.speech import SpeechEncoder
from bthelpers.params.splits import Splits
from bthelpers.transfer.refitting import RefitScore, validation_inputs

N_ROWS, N_VOXELS = 25, 7
SPLITS = Splits(train=("one", "two", "left"), validation=("held",), test=("test",))
REPRESENTATION = replace(PROFILE.representation, window=2.0, stride=1.0, precision="float32")


class Noises:
    """Stands for a dataset of noise."""

    def waveform(self, story):
        rng = np.random.default_rng([*story.encode()])
        return rng.normal(size=2 * (N_ROWS + 16) * SAMPLE_RATE).astype(np.float32)

    def tr_times(self, story):
        return 2.0 * np.arange(N_ROWS + 15)

    def response_times(self, story):
        return self.tr_times(story)[10:-5]

    def responses(self, participant, story, voxels):
        rng = np.random.default_rng([*participant.encode(), *story.encode()])
        return rng.normal(size=(N_ROWS, N_VOXELS)).astype(np.float32)[:, voxels]


@pytest.fixture(scope="module")
def profile():
    [name, *_] = PROFILE.models
    models = {"m": replace(PROFILE.models[name], tuning_stories=2)}
    encoding = replace(PROFILE.encoding, folds=2, skip_test_rows=3)
    dataset = replace(PROFILE.dataset, splits=SPLITS)
    return replace(PROFILE, models=models, dataset=dataset, encoding=encoding)


def test_ridges_are_fitted_to_what_tunes_and_tested_on_validation_stories(profile):
    voxels = np.array([1, 4])
    inputs = validation_inputs(Noises(), "A", voxels, profile, "m")
    for found, stories in ((inputs.training, ["one", "two"]), (inputs.test, ["held"])):
        expected = read_responses(Noises(), "A", stories, voxels)
        assert found.stories == stories
        np.testing.assert_array_equal(found.responses, expected.responses)


def test_fewer_stories_to_tune_on_than_folds_make_fewer_folds(profile):
    """The encoding model has four folds, and this model is tuned on two stories."""
    four, two = (
        replace(profile, encoding=replace(profile.encoding, folds=number)) for number in (4, 2)
    )
    encoder, voxels = SpeechEncoder(tiny_model()), np.arange(5)
    scores = [
        RefitScore(
            Noises(), {"A": validation_inputs(Noises(), "A", voxels, one, "m")}, REPRESENTATION
        )(encoder)
        for one in (four, two)
    ]
    assert scores[0] == scores[1]


def test_one_story_to_tune_on_is_refused_with_its_remedy(profile):
    single = {"m": replace(profile.models["m"], tuning_stories=1)}
    with pytest.raises(ValueError, match=r"models\.m: A has 1 story.*raise its tuning_stories"):
        validation_inputs(Noises(), "A", np.arange(5), replace(profile, models=single), "m")


@pytest.mark.parametrize("layer", [None, 1])
def test_a_score_is_the_mean_r_of_participants_from_the_layer_that_is_read_out(profile, layer):
    encoder = SpeechEncoder(tiny_model())
    inputs = {
        participant: validation_inputs(Noises(), participant, voxels, profile, "m")
        for participant, voxels in (("A", np.array([1, 4])), ("B", np.arange(5)))
    }
    score = RefitScore(Noises(), inputs, REPRESENTATION, layer)
    features = extract(encoder, Noises(), ["one", "two", "held"], REPRESENTATION)
    expected = [
        predicted_r(features.sel(layer=2 if layer is None else layer), of_one).mean()
        for of_one in inputs.values()
    ]
    assert score(encoder) == pytest.approx(np.mean(expected))
    assert expected[0] != expected[1]


class Louder(Noises):
    def waveform(self, story):
        return 2 * super().waveform(story)


def test_a_score_has_a_digest_of_all_that_it_depends_on(profile):
    def score(profile=profile, dataset=None, voxels=(1, 4), layer=None, **representation):
        inputs = {"A": validation_inputs(Noises(), "A", np.array(voxels), profile, "m")}
        return RefitScore(
            dataset or Noises(), inputs, replace(REPRESENTATION, **representation), layer
        )

    alphas = replace(profile, encoding=replace(profile.encoding, alphas=(0, 1, 2)))
    scores = [
        score(),
        score(stride=0.5),
        score(pooling="last"),
        score(layer=1),
        score(voxels=(1, 3)),
        score(profile=alphas),
        score(dataset=Louder()),
    ]
    assert len({one.digest for one in scores}) == len(scores)
    assert score().digest == score().digest
