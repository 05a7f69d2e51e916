"""Synthetic stories: sentences from a template grammar, spoken by espeak-ng.

Content words come in topics: a few sentences share two semantic categories, so that meaning
changes slowly, as in natural speech, and can be told from the sound of single words.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
import yaml

from bthelpers.synthesis import Interval, Utterance, speak

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
        If a key is missing, a category has too few words, or two categories share a word.
    """
    content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    for key in ("categories", "verbs", "templates"):
        if not isinstance(content, dict) or key not in content:
            raise ValueError(f"{path}: the lexicon has no {key!r}; compare params/lexicons/")
    categories = {}
    for category, text in content["categories"].items():
        words = tuple(text.split()[:words_per_category])
        if len(words) < words_per_category:
            raise ValueError(
                f"{path}: category {category!r} has {len(words)} words, but"
                f" {words_per_category} are asked for: add words or lower words_per_category"
            )
        categories[category] = words
    lexicon = Lexicon(categories, tuple(content["verbs"].split()), tuple(content["templates"]))
    repeated = {word for word in lexicon.words if lexicon.words.count(word) > 1}
    if repeated:
        raise ValueError(f"{path}: words in two places: {', '.join(sorted(repeated))}")
    return lexicon


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
    waveform = soxr.resample(np.concatenate(waveforms), spoken.rate, STIMULUS_RATE)
    return Utterance(waveform, STIMULUS_RATE, words, phones)
