"""Synthetic stories: sentences from a template grammar, spoken by espeak-ng.

Content words come in topics: a few sentences share two semantic categories, so that meaning
changes slowly, as in natural speech, and can be told from the sound of single words.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from bthelpers.core.timing import Interval
from bthelpers.simulation.espeak import Utterance, speak
from bthelpers.tasks.word_pairs import Meaning

STIMULUS_RATE = 44_100  # Hz, as the stimuli of ds003020
TOPIC_CATEGORIES = 2


@dataclass(frozen=True)
class Lexicon:
    """Content words in semantic categories, verbs and sentence templates."""

    categories: dict[str, tuple[str, ...]]
    verbs: tuple[str, ...]
    templates: tuple[str, ...]

    @property
    def words(self) -> tuple[str, ...]:
        """All content words, category after category."""
        return tuple(word for words in self.categories.values() for word in words)


@dataclass(frozen=True)
class Speaker:
    """A voice of espeak-ng, its rate in words per minute and its pitch from 0 to 99."""

    voice: str
    rate: int
    pitch: int


def load_lexicon(path: str | Path, words_per_category: int) -> Lexicon:
    """Read a lexicon file, keeping the first words of each category.

    Raises
    ------
    ValueError
        If a key is missing or holds something else than words, there are too few categories or
        words, or a content word is not in lower-case letters or has a second place in the lexicon.
    """
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not readable as YAML: {error}") from error
    for key, kind in (("categories", dict), ("verbs", str), ("templates", list)):
        if not isinstance(content, dict) or not isinstance(content.get(key), kind):
            raise ValueError(
                f"{path}: the lexicon has no {key!r}, or in another form; compare params/lexicons/"
            )
    if len(content["categories"]) < TOPIC_CATEGORIES:
        raise ValueError(f"{path}: a topic takes {TOPIC_CATEGORIES} categories: add some")
    categories = {}
    for category, text in content["categories"].items():
        words = tuple(str(text).split()[:words_per_category])
        if len(words) < words_per_category:
            raise ValueError(
                f"{path}: category {category!r} has {len(words)} words, but"
                f" {words_per_category} are asked for: add words or lower words_per_category"
            )
        categories[category] = words
    lexicon = Lexicon(categories, tuple(content["verbs"].split()), tuple(content["templates"]))
    _check_content_words(path, lexicon)
    return lexicon


def _check_content_words(path: Path, lexicon: Lexicon) -> None:
    """A content word carries its meaning wherever a transcription has it: nowhere else, then."""
    if odd := [word for word in lexicon.words if not re.fullmatch("[a-z']+", word)]:
        raise ValueError(f"{path}: content words not in lower-case letters: {', '.join(odd)}")
    others = {*lexicon.verbs, *re.findall("[a-z']+", " ".join(lexicon.templates))}
    counts = Counter(lexicon.words)
    repeated = [word for word in counts if counts[word] > 1 or word in others]
    if repeated:
        raise ValueError(f"{path}: words in two places: {', '.join(repeated)}; keep each in one")


def sentence(lexicon: Lexicon, topic: list[str], topic_probability: float, rng) -> str:
    """Fill one random template; each content word is on topic with the given probability."""
    names = list(lexicon.categories)
    filled = []
    for character in lexicon.templates[rng.integers(len(lexicon.templates))]:
        if character == "C":
            on_topic = rng.random() < topic_probability
            category = rng.choice(topic) if on_topic else rng.choice(names)
            filled.append(str(rng.choice(lexicon.categories[category])))
        elif character == "V":
            filled.append(str(rng.choice(lexicon.verbs)))
        else:
            filled.append(character)
    return "".join(filled)


def random_speaker(voices, rates, pitches, rng: np.random.Generator) -> Speaker:
    """Draw a voice, a rate and a pitch from the given voices and half-open ranges."""
    return Speaker(str(rng.choice(voices)), int(rng.integers(*rates)), int(rng.integers(*pitches)))


def _shifted(intervals: list[Interval], offset: float) -> list[Interval]:
    return [Interval(i.start + offset, i.stop + offset, i.label) for i in intervals]


def tell_story(
    lexicon: Lexicon,
    speaker: Speaker,
    minutes: float,
    rng: np.random.Generator,
    topic_sentences: int = 5,
    topic_probability: float = 0.85,
) -> Utterance:
    """Speak topics, one after another, until the story is at least so many minutes long.

    Returns
    -------
    Utterance
        Mono, at the rate of the real stimuli (44.1 kHz).
    """
    waveforms: list[np.ndarray] = []
    words: list[Interval] = []
    phones: list[Interval] = []
    duration = 0.0
    while duration < 60 * minutes:
        topic = list(rng.choice(list(lexicon.categories), TOPIC_CATEGORIES, replace=False))
        text = " ".join(
            sentence(lexicon, topic, topic_probability, rng) for _ in range(topic_sentences)
        )
        spoken = speak(text, speaker.voice, speaker.rate, speaker.pitch)
        words += _shifted(spoken.words, duration)
        phones += _shifted(spoken.phones, duration)
        waveforms.append(spoken.waveform)
        duration += spoken.duration
    story = Utterance(np.concatenate(waveforms), spoken.rate, words, phones)
    return story.resampled(STIMULUS_RATE)


def lexicon_meanings(lexicon: Lexicon) -> dict[str, Meaning]:
    """Meanings of the content words of simulated stories: a category is a sense."""
    return {
        word: Meaning(frozenset([category]), frozenset([word]))
        for category, words in lexicon.categories.items()
        for word in words
    }
