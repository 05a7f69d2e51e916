import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from bthelpers.core.timing import SILENCE
from bthelpers.simulation import stories
from bthelpers.simulation.espeak import restart
from bthelpers.simulation.lexicon import Lexicon, load_lexicon, sentence
from bthelpers.simulation.stories import STIMULUS_RATE, Speaker, random_speaker, tell_story

LEXICONS = Path(__file__).parents[2] / "params" / "lexicons"
FIRST, SECOND = LEXICONS / "english.yaml", LEXICONS / "english_second.yaml"
SPEAKER = Speaker("en-us+m3", 170, 50)


@pytest.fixture(params=[FIRST, SECOND], ids=["first", "second"])
def lexicon(request):
    return load_lexicon(request.param, 8)


def category_of(lexicon, word):
    (category,) = [name for name, words in lexicon.categories.items() if word in words]
    return category


# Sentences


def test_sentence_fills_a_template(lexicon):
    rng = np.random.default_rng(0)
    content, verb = "|".join(lexicon.words), "|".join(lexicon.verbs)
    patterns = [
        "".join({"C": f"({content})", "V": f"({verb})"}.get(c, re.escape(c)) for c in template)
        for template in lexicon.templates
    ]
    used = set()
    for _ in range(300):
        text = sentence(lexicon, list(lexicon.categories)[:2], 0.5, rng)
        matching = [k for k, pattern in enumerate(patterns) if re.fullmatch(pattern, text)]
        assert matching
        used.update(matching)
    assert used == set(range(len(patterns)))


@pytest.mark.parametrize("probability", [0.0, 0.85, 1.0])
def test_share_of_words_on_topic(lexicon, probability):
    rng = np.random.default_rng(0)
    topic = list(lexicon.categories)[3:5]
    text = " ".join(sentence(lexicon, topic, probability, rng) for _ in range(1000))
    words = [word for word in re.findall("[a-z]+", text) if word in lexicon.words]
    share = np.mean([category_of(lexicon, word) in topic for word in words])
    expected = probability + (1 - probability) * 2 / len(lexicon.categories)
    assert share == pytest.approx(expected, abs=4 * np.sqrt(0.25 / len(words)))
    assert (
        set(lexicon.words) >= set(words) >= {w for name in topic for w in lexicon.categories[name]}
    )


def test_speakers_are_within_half_open_ranges():
    rng = np.random.default_rng(0)
    speakers = [random_speaker(("a", "b"), (150, 153), (30, 32), rng) for _ in range(200)]
    assert {speaker.voice for speaker in speakers} == {"a", "b"}
    assert {speaker.rate for speaker in speakers} == {150, 151, 152}
    assert {speaker.pitch for speaker in speakers} == {30, 31}


# Stories


def test_story_of_an_own_lexicon_has_its_words():
    lexicon = Lexicon(
        {"animal": ("dog", "cat"), "food": ("bread", "soup")}, ("saw",), ("the C V the C.",)
    )
    story = tell_story(lexicon, SPEAKER, 0.02, np.random.default_rng(0))
    vocabulary = {"the", "saw", "dog", "cat", "bread", "soup", SILENCE}
    assert {word.label for word in story.words} <= vocabulary


def tell(lexicon, seed, minutes=0.5, **settings):
    restart()
    return tell_story(lexicon, SPEAKER, minutes, np.random.default_rng(seed), **settings)


@pytest.fixture(scope="module")
def story():
    return tell(load_lexicon(FIRST, 8), seed=0, minutes=1)


def test_story_is_long_enough_and_at_the_rate_of_the_stimuli(story):
    assert story.rate == STIMULUS_RATE == 44_100
    assert story.waveform.dtype == np.int16
    assert 60 <= story.duration < 90  # a topic takes less than 30 s


@pytest.mark.parametrize("tier", ["words", "phones"])
def test_intervals_cover_the_story_without_overlap(story, tier):
    intervals = getattr(story, tier)
    assert intervals[0].start == 0
    assert intervals[-1].stop == pytest.approx(story.duration, abs=1e-4)
    for left, right in pairwise(intervals):
        assert left.start < left.stop
        assert left.stop == pytest.approx(right.start, abs=1e-9)


def test_transcription_stays_in_step_over_topics(story):
    """Silences of the last topic are as silent as those of the first."""

    def power(silence):
        first, last = (round(t * story.rate) for t in (silence.start + 0.05, silence.stop - 0.05))
        return np.mean(story.waveform[first:last].astype(float) ** 2)

    powers = [power(i) for i in story.phones if i.label == SILENCE and i.stop - i.start > 0.15]
    loudness = np.mean(story.waveform.astype(float) ** 2)
    assert len(powers) > 10
    assert max(powers) < 0.01 * loudness


def test_resampling_keeps_the_sound(monkeypatch):
    """Every second sample of the story is the synthesizer's, but for the filter's edge."""
    utterances = []
    speak = stories.speak
    monkeypatch.setattr(
        stories, "speak", lambda *args: utterances.append(speak(*args)) or utterances[-1]
    )
    story = tell(load_lexicon(FIRST, 8), seed=0)
    original = np.concatenate([u.waveform for u in utterances]).astype(float)
    assert utterances[0].rate * 2 == story.rate
    assert story.duration == pytest.approx(sum(u.duration for u in utterances), abs=1e-9)
    assert np.corrcoef(story.waveform[::2], original)[0, 1] > 0.99


def test_topics_hold_so_many_sentences_of_two_categories(monkeypatch, lexicon):
    texts = []
    speak = stories.speak
    monkeypatch.setattr(
        stories, "speak", lambda text, *args: texts.append(text) or speak(text, *args)
    )
    story = tell(lexicon, seed=0, topic_sentences=4, topic_probability=1.0)
    assert len(texts) > 1
    for text in texts:
        assert text.count(".") == 4
        content = [word for word in re.findall("[a-z]+", text) if word in lexicon.words]
        assert len({category_of(lexicon, word) for word in content}) <= 2
    told = [word.label for word in story.words if word.label != SILENCE]
    assert told == re.findall("[a-z]+", " ".join(texts))


def test_same_seed_tells_the_same_story_and_another_another():
    lexicon = load_lexicon(FIRST, 8)
    one, same, other = (tell(lexicon, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.waveform, same.waveform)
    assert (one.words, one.phones) == (same.words, same.phones)
    labels = [[word.label for word in story.words] for story in (one, other)]
    assert labels[0] != labels[1]
