"""Semantic–phonetic preference: are a word's synonyms as near to it as words that sound alike?

Section 3.4.3 and appendix C of the ICLR paper, after Choi et al. (2024): in each layer, d is the
mean over words of the distance to semantic neighbours minus that to phonetic neighbours. Words are
cut from stories, and heard alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bthelpers.core.errors import DatasetError, listed
from bthelpers.core.progress import Progress
from bthelpers.data.dataset import Dataset
from bthelpers.data.files import RESTORE
from bthelpers.statistics.bootstrap import resampling_counts
from bthelpers.tasks.word_pairs import ChosenWords, SpokenWord, WordPairs

if TYPE_CHECKING:  # it takes seconds to load, and a chapter imports this module
    from bthelpers.models.speech import SpeechEncoder

KINDS = ("semantic", "phonetic", "random")
WORDS_AT_ONCE = 64  # whose hidden states are in memory together


def represent(
    encoder: SpeechEncoder, dataset: Dataset, spoken: Sequence[SpokenWord]
) -> NDArray[np.float32]:
    """What every layer makes of words that are heard without their context.

    Parameters
    ----------
    encoder : SpeechEncoder
    dataset : Dataset
    spoken : sequence of SpokenWord
        None shorter than one token of the model.

    Returns
    -------
    float32 array of shape (n_layers + 1, n_spoken, hidden_size)
        Means over the tokens that hold sound.

    Raises
    ------
    DatasetError
        If there is no sound where the transcription has a word.
    ValueError
        If a layer represents words by zeros, by what is not finite, or all alike.
    """
    features = np.empty((encoder.n_layers + 1, len(spoken), encoder.hidden_size), np.float32)
    stories = defaultdict(list)
    for number, word in enumerate(spoken):
        stories[word.story].append(number)
    progress = Progress("words", len(stories))
    for story, numbers in stories.items():
        waveform = dataset.waveform(story)
        numbers.sort(key=lambda number: spoken[number].n_samples)  # like lengths go together
        for first in range(0, len(numbers), WORDS_AT_ONCE):
            some = numbers[first : first + WORDS_AT_ONCE]
            sounds = [_sound(waveform, spoken[number]) for number in some]
            layers, lengths = encoder.hidden_states(sounds)
            for layer, states in enumerate(layers):  # zero after a word's tokens
                features[layer, some] = states.sum(dim=1).cpu() / lengths[:, None]
        progress.advance(story)
    _check_layers(features)
    return features


def _check_layers(features: NDArray) -> None:
    norms = np.linalg.norm(features, axis=2)
    distinct = (features != features[:, :1]).any(axis=(1, 2))
    usable = (np.isfinite(norms) & (norms > 0)).all(axis=1) & distinct
    if not usable.all():
        raise ValueError(
            f"layers {listed(map(str, np.flatnonzero(~usable)))} represent words by zeros, by what"
            " is not finite, or all words alike: look at how the model was tuned"
        )


def _sound(waveform: np.ndarray, word: SpokenWord) -> np.ndarray:
    sound = waveform[word.samples]
    if not np.diff(sound).any():
        raise DatasetError(
            f"story {word.story!r} is silent at {word.start:.2f} s, where its transcription has"
            f" the word {word.word!r}: {RESTORE}"
        )
    return sound


def word_distances(features: NDArray, word: NDArray, story: NDArray) -> NDArray[np.float64]:
    """Mean cosine distance of two words, over all pairs of occurrences in different stories.

    Within a story, words share speaker and recording, and those of one meaning occur together:
    they would be near each other for that.

    Parameters
    ----------
    features : array of shape (n_spoken, n_features)
    word, story : int array of shape (n_spoken,)
        Numbers from 0; each word is in two stories, at least.

    Returns
    -------
    array of shape (n_words, n_words)
    """
    features = np.asarray(features, np.float64)
    shape = story.max() + 1, word.max() + 1
    counts, sums = np.zeros(shape), np.zeros((*shape, features.shape[1]))
    np.add.at(counts, (story, word), 1)
    np.add.at(sums, (story, word), features / np.linalg.norm(features, axis=1, keepdims=True))
    # All pairs, less those within a story; the cosine of unit vectors is their product.
    cosines = sums.sum(axis=0) @ sums.sum(axis=0).T - sum(one @ one.T for one in sums)
    n_pairs = np.outer(counts.sum(axis=0), counts.sum(axis=0)) - counts.T @ counts
    return 1 - cosines / n_pairs


def neighbour_distances(
    distances: NDArray, words: Sequence[str], pairs: Sequence[WordPairs]
) -> NDArray[np.float64]:
    """Mean distance of each paired word to its neighbours of each kind.

    Parameters
    ----------
    distances : array of shape (n_words, n_words)
    words : sequence of str
        Of its rows and columns.
    pairs : sequence of WordPairs

    Returns
    -------
    array of shape (kind, n_pairs)
        Kinds as in `KINDS`.
    """
    number = {word: k for k, word in enumerate(words)}
    means = np.empty((len(KINDS), len(pairs)))
    for k, pair in enumerate(pairs):
        row = distances[number[pair.word]]
        means[:, k] = [row[[number[word] for word in getattr(pair, kind)]].mean() for kind in KINDS]
    return means


def measure_preference(
    encoder: SpeechEncoder, dataset: Dataset, chosen: ChosenWords, n_draws: int, seed: int
) -> xr.Dataset:
    """Semantic–phonetic preference of every layer.

    Parameters
    ----------
    encoder : SpeechEncoder
    dataset : Dataset
    chosen : ChosenWords
    n_draws : int
        Bootstrap draws of words.
    seed : int
        Of the draws: those of two models with the same words are paired.

    Returns
    -------
    Dataset
        ``preference`` (layer), the mean over words of semantic minus phonetic ``distance`` (layer,
        kind, word); ``draws`` (layer, draw) and ``distance_draws`` (layer, kind, draw), the same
        means over words drawn with replacement; ``n_spoken`` (word); ``semantic`` and ``phonetic``
        (word), the neighbours; ``left_out`` (reason) and ``n_short``, as in `ChosenWords`.

    Raises
    ------
    DatasetError, ValueError
        As `represent`; or if fewer than two words are paired.
    """
    if len(chosen.pairs) < 2:
        others = ", ".join(f"{n} {reason}" for reason, n in chosen.left_out.items())
        raise ValueError(
            f"{len(chosen.pairs)} words can be compared with others (not so: {others}): add splits"
            " to preference.splits, or more or longer stories to these"
        )
    words, word, n_spoken = np.unique(
        [one.word for one in chosen.spoken], return_inverse=True, return_counts=True
    )
    _, story = np.unique([one.story for one in chosen.spoken], return_inverse=True)
    distance = xr.DataArray(
        [
            neighbour_distances(word_distances(features, word, story), words, chosen.pairs)
            for features in represent(encoder, dataset, chosen.spoken)
        ],
        {
            "layer": np.arange(encoder.n_layers + 1),
            "kind": list(KINDS),
            "word": [pair.word for pair in chosen.pairs],
        },
        dims=("layer", "kind", "word"),
    )
    draws = _drawn_means(distance, n_draws, seed)
    return xr.Dataset(
        {
            "preference": semantic_minus_phonetic(distance.mean("word")),
            "draws": semantic_minus_phonetic(draws),
            "distance": distance,
            "distance_draws": draws,
            "n_spoken": ("word", n_spoken[np.isin(words, distance["word"])]),
            "semantic": ("word", [", ".join(pair.semantic) for pair in chosen.pairs]),
            "phonetic": ("word", [", ".join(pair.phonetic) for pair in chosen.pairs]),
            "left_out": ("reason", list(chosen.left_out.values())),
            "n_short": chosen.n_short,
        },
        {
            "reason": list(chosen.left_out),
            "n_drawn": ("draw", np.full(n_draws, len(chosen.pairs), np.int32)),
        },
    )


def _drawn_means(values: xr.DataArray, n_draws: int, seed: int) -> xr.DataArray:
    """Means over words that are drawn with replacement."""
    n = values.sizes["word"]
    shares = resampling_counts(n, n_draws, seed) / n
    coords = {"draw": np.arange(n_draws), "word": values["word"]}
    return values @ xr.DataArray(shares, coords, dims=("draw", "word"))


def semantic_minus_phonetic(values: xr.DataArray) -> xr.DataArray:
    """Difference that the preference d is made of, from values with dim ``kind``."""
    return values.sel(kind="semantic", drop=True) - values.sel(kind="phonetic", drop=True)
