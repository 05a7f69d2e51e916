import copy
from itertools import product

import numpy as np
import pytest
import torch
import xarray as xr
from scipy.spatial.distance import cosine
from tiny_models import standardized, tiny_extractor, tiny_model

from bthelpers.core.errors import DatasetError
from bthelpers.models.speech import HiddenStates, SpeechEncoder
from bthelpers.tasks import preference
from bthelpers.tasks.preference import (
    KINDS,
    measure_preference,
    neighbour_distances,
    represent,
    semantic_minus_phonetic,
    word_distances,
)
from bthelpers.tasks.word_pairs import ChosenWords, SpokenWord, WordPairs

SPOKEN = [
    SpokenWord(word, story, start, start + seconds)
    for word, story, start, seconds in [
        ("cat", "one", 0.4, 0.31),
        ("dog", "two", 0.1, 0.5),
        ("fog", "one", 1.2, 0.28),
        ("cat", "two", 1.7, 0.44),
        ("fog", "two", 2.3, 0.28),
        ("dog", "one", 1.6, 0.12),
        ("cat", "one", 2.0, 0.2),
        ("rain", "two", 0.7, 0.3),
        ("rain", "one", 0.8, 0.37),
        ("dog", "three", 0.05, 0.25),
    ]
]
PAIRS = [
    WordPairs("cat", ("dog",), ("fog",), ("rain",)),
    WordPairs("dog", ("cat",), ("fog",), ("rain",)),
    WordPairs("fog", ("rain",), ("dog",), ("cat",)),
    WordPairs("rain", ("fog",), ("cat", "dog"), ("dog",)),
]
CHOSEN = ChosenWords(SPOKEN, PAIRS, {"in one story only": 3, "without neighbours": 1}, n_short=2)


class Stories:
    """Stands for a dataset: noise."""

    def waveform(self, story):
        seed = ["one", "two", "three"].index(story)
        return np.random.default_rng(seed).normal(size=3 * 16_000).astype(np.float32)


@pytest.fixture(scope="module")
def encoder():
    return SpeechEncoder(tiny_model())


@pytest.mark.parametrize("at_once", [1, 3, 64])
def test_words_are_heard_alone(at_once, monkeypatch):
    """A direct call of transformers on each word's own samples."""
    monkeypatch.setattr(preference, "WORDS_AT_ONCE", at_once)
    model = tiny_model()
    features = represent(SpeechEncoder(copy.deepcopy(model)), Stories(), SPOKEN)
    assert features.dtype == np.float32
    assert features.shape == (3, len(SPOKEN), 32)
    for number, one in enumerate(SPOKEN):
        sound = Stories().waveform(one.story)
        sound = sound[round(16_000 * one.start) : round(16_000 * one.stop)]
        with torch.no_grad():
            states = model(
                torch.from_numpy(standardized(sound))[None], output_hidden_states=True
            ).hidden_states
        for layer, state in enumerate(states):
            np.testing.assert_allclose(features[layer, number], state[0].mean(0), atol=1e-5)


def test_whispers_silence_is_no_part_of_a_word():
    encoder = SpeechEncoder(tiny_model("whisper"), tiny_extractor("whisper"))
    features = represent(encoder, Stories(), SPOKEN[:3])
    for number, one in enumerate(SPOKEN[:3]):
        states, lengths = encoder.hidden_states([Stories().waveform(one.story)[one.samples]])
        assert lengths == np.ceil(one.n_samples / encoder.hop)
        for layer, state in enumerate(states):
            np.testing.assert_allclose(features[layer, number], state[0].mean(0), atol=1e-5)


@pytest.mark.parametrize("start", [1.0, 7.0])
def test_a_word_without_sound_is_an_error(encoder, start):
    class Silence(Stories):
        def waveform(self, story):
            return np.zeros(5 * 16_000, np.float32)

    with pytest.raises(DatasetError, match=rf"'one' is silent at {start:.2f} s.*word 'cat'"):
        represent(encoder, Silence(), [SpokenWord("cat", "one", start, start + 0.3)])


class Spoilt:
    """An encoder of which one layer gives nothing to compare."""

    n_layers, hidden_size = 2, 4

    def __init__(self, layer, value):
        self.layer, self.value = layer, value

    def hidden_states(self, sounds):
        rows = torch.tensor(np.stack([sound[:4] for sound in sounds]))[:, None]
        layers = [rows.clone() for _ in range(3)]
        if self.layer is not None:
            layers[self.layer][:] = self.value
        return HiddenStates(tuple(layers), torch.ones(len(sounds), dtype=torch.int))


@pytest.mark.parametrize("value", [0.0, 0.5, np.nan, np.inf])
def test_a_layer_that_tells_no_words_apart_is_an_error(value):
    represent(Spoilt(None, value), Stories(), SPOKEN)
    with pytest.raises(ValueError, match=r"layers 1 represent words by zeros.*all words alike"):
        represent(Spoilt(1, value), Stories(), SPOKEN)


def naive_distances(features, words, stories):
    names = sorted(set(words))
    distances = np.empty((len(names), len(names)))
    for (i, a), (j, b) in product(enumerate(names), enumerate(names)):
        distances[i, j] = np.mean(
            [
                cosine(features[k], features[m])
                for k, m in product(range(len(words)), range(len(words)))
                if words[k] == a and words[m] == b and stories[k] != stories[m]
            ]
        )
    return names, distances


@pytest.mark.parametrize("seed", range(3))
def test_distances_are_of_all_occurrences_in_different_stories(seed):
    rng = np.random.default_rng(seed)
    words, stories = zip(*[(one.word, one.story) for one in SPOKEN], strict=True)
    features = rng.normal(size=(len(words), 3)).astype(np.float32) + 5 * seed
    _, expected = naive_distances(features.astype(float), words, stories)
    numbers = (np.unique(names, return_inverse=True)[1] for names in (words, stories))
    np.testing.assert_allclose(word_distances(features, *numbers), expected, atol=1e-9)


def test_neighbours_are_averaged_word_by_word():
    distances = np.arange(16.0).reshape(4, 4)
    rows = neighbour_distances(distances, ["cat", "dog", "fog", "rain"], PAIRS)
    np.testing.assert_array_equal(rows, [[1, 4, 11, 14], [2, 6, 9, (12 + 13) / 2], [3, 7, 8, 13]])


@pytest.fixture(scope="module")
def measured(encoder):
    return measure_preference(encoder, Stories(), CHOSEN, n_draws=4000, seed=0)


def test_d_is_that_of_a_naive_loop(encoder, measured):
    words, stories = zip(*[(one.word, one.story) for one in SPOKEN], strict=True)
    for layer, features in enumerate(represent(encoder, Stories(), SPOKEN)):
        names, distances = naive_distances(features.astype(float), words, stories)
        differences = []
        for number, pair in enumerate(PAIRS):
            mean = {}
            for kind in KINDS:
                row = [
                    distances[names.index(pair.word), names.index(other)]
                    for other in getattr(pair, kind)
                ]
                mean[kind] = sum(row) / len(row)
                found = measured["distance"].sel(layer=layer, kind=kind)[number]
                assert found == pytest.approx(mean[kind], abs=1e-6)
            differences.append(mean["semantic"] - mean["phonetic"])
        assert measured["preference"].sel(layer=layer) == pytest.approx(
            np.mean(differences), abs=1e-6
        )


def test_what_was_compared_is_kept_beside_it(measured):
    assert list(measured["word"].values) == ["cat", "dog", "fog", "rain"]
    assert list(measured["n_spoken"].values) == [3, 3, 2, 2]
    assert measured["semantic"].sel(word="rain") == "fog"
    assert measured["phonetic"].sel(word="rain") == "cat, dog"
    assert measured["left_out"].to_series().to_dict() == CHOSEN.left_out
    assert measured["n_short"] == 2


def test_draws_are_means_over_words_drawn_with_replacement(measured):
    """Mean and deviation of the mean of n words drawn from n."""
    differences = semantic_minus_phonetic(measured["distance"])
    draws = measured["draws"]
    assert draws.dims == ("layer", "draw")
    np.testing.assert_allclose(draws.mean("draw"), measured["preference"], atol=5e-3)
    np.testing.assert_allclose(draws.std("draw"), differences.std("word") / 4**0.5, rtol=0.05)
    assert len(np.unique(draws.sel(layer=2).round(9))) <= 35  # ways to draw 4 of 4
    xr.testing.assert_allclose(draws, semantic_minus_phonetic(measured["distance_draws"]))


def test_draws_follow_from_the_seed(encoder, measured):
    again, other = (
        measure_preference(encoder, Stories(), CHOSEN, n_draws=4000, seed=seed) for seed in (0, 1)
    )
    xr.testing.assert_identical(again, measured)
    assert not np.array_equal(other["draws"], measured["draws"])
    xr.testing.assert_identical(other["distance"], measured["distance"])


@pytest.mark.parametrize("n_pairs", [0, 1])
def test_too_few_words_are_an_error(encoder, n_pairs):
    left_out = {"in one story only": 7}
    few = ChosenWords(SPOKEN, CHOSEN.pairs[:n_pairs], left_out, n_short=0)
    with pytest.raises(ValueError, match=r"\(not so: 7 in one story only\): add splits to pref"):
        measure_preference(encoder, Stories(), few, n_draws=10, seed=0)
