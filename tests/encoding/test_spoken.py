from dataclasses import replace

import numpy as np
import pytest
import torch
from scarce_memory import hold
from tiny_models import FAMILIES, standardized, tiny_extractor, tiny_model

from bthelpers.core.timing import Interval
from bthelpers.encoding import spoken
from bthelpers.encoding.spoken import (
    Spoken,
    choose_spoken,
    spoken_features,
    tokens_of,
    transcribed,
)
from bthelpers.models.speech import SpeechEncoder
from bthelpers.params.splits import Splits

SPLITS = Splits(train=("one", "two"), validation=("three",), test=("four",))
PHONES = [
    Interval(0.0, 0.3, "sp"),
    Interval(0.3, 0.4, "K"),
    Interval(0.4, 0.52, "AE1"),
    Interval(0.52, 0.6, "{NS}"),
    Interval(0.6, 0.7, "AH0"),
]
SECONDS = {"one": 5.3, "two": 1.1, "three": 3.0, "four": 2.0}


class Stories:
    """Stands for a dataset: noise, and the same transcription of every story."""

    def waveform(self, story):
        rng = np.random.default_rng(list(SECONDS).index(story))
        return rng.normal(size=round(16_000 * SECONDS[story])).astype(np.float32)


def spoken_at(story, *times):
    return [Spoken("x", story, "train", start, stop) for start, stop in times]


def test_phones_lose_stress_and_words_are_in_lower_case(monkeypatch):
    words = [Interval(0.3, 0.7, "Cat"), Interval(0.7, 0.9, "sp"), Interval(1.0, 1.2, "{BR}")]
    tiers = {"phones": lambda dataset, story: PHONES, "words": lambda dataset, story: words}
    monkeypatch.setattr(spoken, "TIERS", tiers)
    phones = transcribed(Stories(), SPLITS, "phones")
    assert [one.label for one in phones] == 4 * ["K", "AE", "AH"]
    assert [one.story for one in phones[::3]] == ["one", "two", "three", "four"]
    assert [one.split for one in phones[::3]] == ["train", "train", "validation", "test"]
    assert [one.label for one in transcribed(Stories(), SPLITS, "words")] == 4 * ["cat"]
    assert len({one.name for one in phones}) == len(phones)


def many(counts):
    """So many of each label in each split, at times of their own."""
    return [
        Spoken(label, split, split, start, start + 0.5)
        for label, of_split in counts.items()
        for split, n in zip(("train", "validation", "test"), of_split, strict=True)
        for start in range(n)
    ]


def numbers(some):
    labels = {one.label for one in some}
    return {
        label: tuple(
            sum(one.label == label and one.split == split for one in some)
            for split in ("train", "validation", "test")
        )
        for label in labels
    }


def test_labels_of_all_splits_are_taken_so_many_of_each(monkeypatch):
    monkeypatch.setattr(spoken, "PER_LABEL", 4)
    counts = {"a": (9, 2, 7), "b": (3, 1, 1), "c": (20, 0, 3), "d": (8, 5, 0), "e": (5, 1, 1)}
    every = many(counts)
    chosen = choose_spoken(every, seed=0)
    assert numbers(chosen) == {"a": (4, 2, 4), "b": (3, 1, 1), "e": (4, 1, 1)}
    assert chosen == sorted(chosen, key=every.index)
    assert chosen == choose_spoken(every, seed=0) != choose_spoken(every, seed=1)
    assert {one.label for one in choose_spoken(every, seed=0, n_labels=2)} == {"a", "e"}


def test_too_few_labels_are_an_error():
    with pytest.raises(ValueError, match=r"1 phones or words are spoken in training, validation"):
        choose_spoken(many({"a": (2, 2, 2), "b": (5, 5, 0)}), seed=0)


@pytest.fixture(scope="module")
def encoders():
    return {name: SpeechEncoder(tiny_model(name), tiny_extractor(name)) for name in FAMILIES}


@pytest.mark.parametrize("family", FAMILIES)
def test_tokens_are_those_whose_centres_lie_within(encoders, family):
    encoder = encoders[family]
    n_tokens = encoder.frames(Stories().waveform("four")).n_frames
    some = spoken_at("four", (0.0, 0.31), (0.5, 0.505), (0.7, 1.4), (1.93, 2.0), (1.999, 2.0))
    centres = (encoder.token_centre + encoder.hop * np.arange(n_tokens)) / 16_000
    for one, (start, stop) in zip(some, tokens_of(encoder, some, n_tokens), strict=True):
        inside = np.flatnonzero((centres >= one.start) & (centres < one.stop))
        if not len(inside):
            inside = [np.abs(centres - (one.start + one.stop) / 2).argmin()]
        np.testing.assert_array_equal(np.arange(start, stop), inside)


def test_a_story_of_one_window_is_what_transformers_gives(encoders):
    """A direct call on the whole sound."""
    waveform = Stories().waveform("two")
    some = spoken_at("two", (0.1, 0.4), (0.35, 0.36), (0.8, 1.1))
    features = spoken_features(encoders["hubert"], Stories(), some, 10.0, "float32")
    assert features.dims == ("layer", "clip", "feature")
    assert features.dtype == np.float32
    assert list(features["clip"].values) == [one.name for one in some]
    with torch.no_grad():
        samples = torch.from_numpy(standardized(waveform))[None]
        states = tiny_model()(samples, output_hidden_states=True).hidden_states
    for layer, state in enumerate(states):
        tokens = tokens_of(encoders["hubert"], some, state.shape[1])
        for number, (start, stop) in enumerate(tokens):
            expected = state[0, start:stop].mean(dim=0)
            np.testing.assert_allclose(features[layer, number], expected, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_each_is_heard_in_the_window_whose_middle_is_nearest(encoders, family, monkeypatch):
    """Window after window, by a model that is called for each by itself."""
    monkeypatch.setattr(spoken, "WAVEFORMS_AT_ONCE", 3)
    encoder, window = encoders[family], 1.0
    starts_of_time = np.random.default_rng(0).permutation(np.arange(0.05, 5.0, 0.31))
    some = spoken_at("one", *((start, start + 0.2) for start in starts_of_time))
    features = spoken_features(encoder, Stories(), some, window, "float32")
    frames = encoder.frames(Stories().waveform("one"))
    length = encoder.n_tokens(window)
    last = frames.n_frames - length
    starts = [*range(0, last, length // 2), last]
    for number, (first, stop) in enumerate(tokens_of(encoder, some, frames.n_frames)):
        start = min(starts, key=lambda s: abs((first + stop) / 2 - (s + length / 2)))
        with torch.no_grad():
            layers = encoder.all_layers(frames.window(start, start + length)[None], length)
        expected = [layer[0, first - start : stop - start].mean(dim=0) for layer in layers]
        np.testing.assert_allclose(features[:, number], torch.stack(expected), atol=1e-4)


def test_windows_that_do_not_fit_the_device_are_halved_once(encoders, monkeypatch, capsys):
    some = spoken_at("one", *((start, start + 0.2) for start in np.arange(0.1, 5.0, 0.5)))
    some += spoken_at("three", (0.5, 0.7), (1.2, 1.3), (2.2, 2.4))
    arguments = encoders["hubert"], Stories(), some, 1.0, "float32"
    expected = spoken_features(*arguments)
    monkeypatch.setattr(spoken, "WAVEFORMS_AT_ONCE", 4)
    asked = hold(monkeypatch, SpeechEncoder, "all_layers", 2)
    np.testing.assert_allclose(spoken_features(*arguments), expected, atol=1e-4)
    assert [number for number in asked if number > 2] == [4]
    assert capsys.readouterr().err.count("WARNING: the GPU has no memory for windows (4 at") == 1
    hold(monkeypatch, SpeechEncoder, "all_layers", 1)
    with pytest.raises(
        torch.OutOfMemoryError, match=r"lower `representation\.window`, or set `prob"
    ):
        spoken_features(*arguments)


def test_stories_in_any_order_give_the_same(encoders):
    some = spoken_at("one", (0.5, 0.9), (3.0, 3.1)) + spoken_at("four", (0.2, 0.6))
    arguments = (1.5, "float32")
    together = spoken_features(encoders["hubert"], Stories(), some[::-1], *arguments)
    apart = [spoken_features(encoders["hubert"], Stories(), [one], *arguments) for one in some]
    for one, other in zip(together.values.swapaxes(0, 1)[::-1], apart, strict=True):
        np.testing.assert_allclose(one, other[:, 0], atol=1e-5)


def test_what_is_longer_than_half_a_window_is_an_error(encoders):
    long = spoken_at("one", (1.0, 1.2), (2.0, 3.6))
    with pytest.raises(ValueError, match=r"one 2\.000 s: spoken for longer than half a window"):
        spoken_features(encoders["hubert"], Stories(), long, 1.0, "float32")
    assert replace(long[1], stop=2.4).cluster == "one 2.000 s"
