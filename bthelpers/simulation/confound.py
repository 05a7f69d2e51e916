"""Whether phones can stand for meaning: a confound of small lexicons, without sound and voxels.

Stories are told as text. Each word takes its phones, all of one length, and an encoding model
predicts the planted meaning of left-out stories from the di-phones, tri-phones or words that occur.
Where di- and tri-phones predict it, low-level features take away meaning with sound.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bthelpers.core.timing import (
    TR,
    Interval,
    fir_delay,
    n_respdict_for,
    response_times,
    tr_times,
    trim,
    zscore,
)
from bthelpers.encoding.acoustics import phone_sequences
from bthelpers.encoding.low_level import shares
from bthelpers.encoding.ridge import fit_ridge, story_folds
from bthelpers.params.simulation import SimulationSpec
from bthelpers.simulation.lexicon import load_lexicon, topic_text
from bthelpers.simulation.participants import (
    FRAME_RATE,
    haemodynamic,
    semantic_frames,
    word_vectors,
)
from bthelpers.simulation.pronunciation import distinct_phones
from bthelpers.statistics.correlation import pearson_r

PHONE_SECONDS = 0.09
PAUSE_SECONDS = 0.3  # after a sentence
TOPICS = 10  # of a story: two and a half minutes
TRAINING_STORIES, LEFT_OUT_STORIES = 8, 8
CANONICAL_RESPONSE = ((),)  # of `double_gamma`, which all meanings share
DELAYS = (1, 2, 3, 4, 5)  # TRs
PENALTIES = np.logspace(1, 5, 5)
FOLDS = 4


@dataclass(frozen=True)
class TextStory:
    """Words and phones of a story that nobody speaks, in seconds."""

    words: list[Interval]
    phones: list[Interval]

    @property
    def duration(self) -> float:
        """When the last word ends."""
        return self.words[-1].stop


def timed_text(text: str, phones_of: Mapping[str, Sequence[str]]) -> TextStory:
    """Let the phones of words follow each other, all of one length, with pauses at full stops.

    Examples
    --------
    >>> story = timed_text("a cat.", {"a": ["AH"], "cat": ["K", "AE", "T"]})
    >>> [(round(word.start, 2), round(word.stop, 2), word.label) for word in story.words]
    [(0.0, 0.09, 'a'), (0.09, 0.36, 'cat')]
    """
    words, phones, start = [], [], 0.0
    for token in re.findall(r"[a-z']+|\.", text):
        if token == ".":
            start += PAUSE_SECONDS
            continue
        edges = start + PHONE_SECONDS * np.arange(len(phones_of[token]) + 1)
        for label, (left, right) in zip(phones_of[token], pairwise(edges.tolist()), strict=True):
            phones.append(Interval(left, right, label))
        words.append(Interval(start, phones[-1].stop, token))
        start = phones[-1].stop
    return TextStory(words, phones)


# What a meaning is predicted from: labelled intervals of a story.
PREDICTORS: dict[str, Callable[[TextStory], list[Interval]]] = {
    "di-phones": lambda story: phone_sequences(story.phones, 2),
    "tri-phones": lambda story: phone_sequences(story.phones, 3),
    "words": lambda story: story.words,
}


def _features(stories: list[TextStory], predictor: str) -> list[NDArray[np.float32]]:
    """How long each label is heard in the TR before each, delayed: (tr, feature) per story."""
    intervals = [PREDICTORS[predictor](story) for story in stories]
    labels = sorted({interval.label for of_story in intervals for interval in of_story})
    features = []
    for story, of_story in zip(stories, intervals, strict=True):
        times = tr_times(n_respdict_for(story.duration))
        heard = shares(of_story, labels, times - TR, times).toarray().astype(np.float32)
        features.append(zscore(trim(fir_delay(heard, DELAYS))))
    return features


def _meaning(story: TextStory, vectors: dict[str, np.ndarray]) -> NDArray[np.float32]:
    """Noise-free responses (tr, dimension) to the meanings of words."""
    frames = semantic_frames(story.words, vectors, int(story.duration * FRAME_RATE))
    times = response_times(n_respdict_for(story.duration))
    return zscore(haemodynamic(frames, times, CANONICAL_RESPONSE)[0]).astype(np.float32)


def predicted_meaning(spec: SimulationSpec, seed: int) -> xr.DataArray:
    """How well phones and words predict the planted meaning of stories that were left out.

    Parameters
    ----------
    spec : SimulationSpec
        Of which words, their topics and their meanings are taken.
    seed : int
        Everything random follows from it.

    Returns
    -------
    DataArray (predictor, story)
        Pearson's r between a ridge's predictions and the noise-free meaning, mean over its
        dimensions: of `PREDICTORS`, for each left-out story.
    """
    lexicon = load_lexicon(spec.lexicon, spec.words_per_category)
    phones_of = distinct_phones(spec.lexicon, lexicon)
    rng = np.random.default_rng(seed)
    vectors = word_vectors(lexicon, spec, rng)
    topic = lexicon, spec.topic_sentences, spec.topic_probability, rng
    stories = [
        timed_text(" ".join(topic_text(*topic) for _ in range(TOPICS)), phones_of)
        for _ in range(TRAINING_STORIES + LEFT_OUT_STORIES)
    ]
    meanings = [_meaning(story, vectors) for story in stories]
    trained, left_out = slice(TRAINING_STORIES), slice(TRAINING_STORIES, None)
    folds = story_folds(
        np.repeat(np.arange(TRAINING_STORIES), [*map(len, meanings[trained])]), FOLDS
    )
    scores = []
    for predictor in PREDICTORS:
        features = _features(stories, predictor)
        model = fit_ridge(
            np.concatenate(features[trained]), np.concatenate(meanings[trained]), folds, PENALTIES
        )
        scores.append(
            [
                pearson_r(model.predict(rows), meaning).mean()
                for rows, meaning in zip(features[left_out], meanings[left_out], strict=True)
            ]
        )
    return xr.DataArray(scores, {"predictor": list(PREDICTORS)}, ("predictor", "story"))
