"""Synthetic stories: sentences from a template grammar, spoken by espeak-ng.

Content words come in topics: a few sentences share two semantic categories, so that meaning
changes slowly, as in natural speech, and can be told from the sound of single words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bthelpers.core.timing import Interval
from bthelpers.params.simulation import SimulationSpec
from bthelpers.simulation.espeak import Utterance, restart, speak
from bthelpers.simulation.lexicon import Lexicon, topic_text

STIMULUS_RATE = 44_100  # Hz, as the stimuli of ds003020
SHIFTS = (0.25, 0.75)  # of a story's content words, by which meanings leave their words


@dataclass(frozen=True)
class Speaker:
    """A voice of espeak-ng, its rate in words per minute and its pitch from 0 to 99."""

    voice: str
    rate: int
    pitch: int


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
        text = topic_text(lexicon, topic_sentences, topic_probability, rng)
        spoken = speak(text, speaker.voice, speaker.rate, speaker.pitch)
        words += _shifted(spoken.words, duration)
        phones += _shifted(spoken.phones, duration)
        waveforms.append(spoken.waveform)
        duration += spoken.duration
    story = Utterance(np.concatenate(waveforms), spoken.rate, words, phones)
    return story.resampled(STIMULUS_RATE)


def tell_stories(
    lexicon: Lexicon, spec: SimulationSpec, seed: int
) -> Iterator[tuple[str, Utterance, float, np.random.Generator]]:
    """Each story's name, speech, share by which meanings leave their words, and generator."""
    restart()
    for number, (name, minutes) in enumerate(spec.story_minutes.items()):
        rng = np.random.default_rng([seed, 1, number])
        speaker = random_speaker(spec.voices, spec.rate, spec.pitch, rng)
        sentences = spec.topic_sentences, spec.topic_probability
        story = tell_story(lexicon, speaker, minutes, rng, *sentences)
        drawn = np.random.default_rng([seed, 4, number]).uniform(*SHIFTS)
        yield name, story, {"words": 0, "occurrences": drawn}[spec.meanings], rng
