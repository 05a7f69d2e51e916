"""What a model represents while phones and words are spoken, for probes of what it knows.

They are heard in their context, each as near to the middle of a window of the story as windows come
that overlap by half. The mean over the tokens whose centres they hold stands for them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from bthelpers.core.progress import Progress
from bthelpers.core.timing import SAMPLE_RATE
from bthelpers.data.dataset import Dataset
from bthelpers.data.files import spoken
from bthelpers.models.devices import BatchSize
from bthelpers.models.speech import WAVEFORMS_AT_ONCE, SpeechEncoder
from bthelpers.params.splits import Splits

TIERS = {"phones": Dataset.phones, "words": Dataset.words}
PER_LABEL = 100  # of a split, at most: more of the commonest phones and words tell little more
PROBED_WORDS = 100  # the most often spoken ones


@dataclass(frozen=True)
class Spoken:
    """A phone or a word where it is spoken: times in seconds from the start of the story's sound.

    Attributes
    ----------
    label : str
        The phone in ARPAbet without stress, or the word in lower case.
    story, split : str
    start, stop : float
    """

    label: str
    story: str
    split: str
    start: float
    stop: float

    @property
    def name(self) -> str:
        """Story and time."""
        return f"{self.story} {self.start:.3f} s"

    @property
    def cluster(self) -> str:
        """What a test is resampled with: transcriptions do not name speakers."""
        return self.name


def transcribed(dataset: Dataset, splits: Splits, tier: str) -> list[Spoken]:
    """All phones or words of a dataset's stories, without silences and noises.

    Parameters
    ----------
    dataset : Dataset
    splits : Splits
    tier : str
        Of `TIERS`: "phones" or "words".
    """
    return [
        Spoken(
            one.label.rstrip("012").upper() if tier == "phones" else one.label,
            *(story, split, one.start, one.stop),
        )
        for split in ("train", "validation", "test")
        for story in getattr(splits, split)
        for one in spoken(TIERS[tier](dataset, story))
    ]


def choose_spoken(every: Sequence[Spoken], seed: int, n_labels: int | None = None) -> list[Spoken]:
    """Phones or words of labels that occur in all splits, `PER_LABEL` of each in a split at most.

    Parameters
    ----------
    every : sequence of Spoken
    seed : int
        Of the choice among those of one label and split.
    n_labels : int, optional
        How many labels are taken, those most often spoken in training stories. Default: all.

    Raises
    ------
    ValueError
        If fewer than two labels occur in all splits.
    """
    counts = Counter((one.label, one.split) for one in every)
    ranked = Counter(one.label for one in every if one.split == "train").most_common()
    shared = [
        label for label, _ in ranked if counts[label, "validation"] and counts[label, "test"]
    ][:n_labels]
    if len(shared) < 2:
        raise ValueError(
            f"{len(shared)} phones or words are spoken in training, validation and test stories:"
            " nothing can be told apart; add stories to dataset.splits"
        )
    of_label = defaultdict(list)
    for number, one in enumerate(every):
        of_label[one.label, one.split].append(number)
    rng = np.random.default_rng(seed)
    chosen = [
        rng.permutation(numbers)[:PER_LABEL]
        for (label, _), numbers in of_label.items()
        if label in set(shared)
    ]
    return [every[number] for number in np.sort(np.concatenate(chosen))]


def tokens_of(encoder: SpeechEncoder, some: Sequence[Spoken], n_tokens: int) -> NDArray[np.int64]:
    """First and last (exclusive) token whose centre lies in each phone or word: (spoken, 2).

    Where none does, it is the one whose centre is nearest to the middle.
    """
    times = np.array([(one.start, one.stop) for one in some]) * SAMPLE_RATE
    position = (times - encoder.token_centre) / encoder.hop
    tokens = np.ceil(position).astype(int)
    nearest = np.round(position.mean(axis=1)).astype(int)
    none = (tokens[:, 0] >= tokens[:, 1]) | (tokens[:, 0] >= n_tokens) | (tokens[:, 1] < 1)
    tokens[none] = np.clip(nearest[none], 0, n_tokens - 1)[:, None] + [0, 1]
    return np.clip(tokens, 0, n_tokens)


def spoken_features(
    encoder: SpeechEncoder, dataset: Dataset, some: Sequence[Spoken], window: float, precision: str
) -> xr.DataArray:
    """Every layer's mean over the tokens of each phone or word, heard in its story.

    Parameters
    ----------
    encoder : SpeechEncoder
    dataset : Dataset
    some : sequence of Spoken
    window : float
        Seconds of sound that go through the model together. Windows overlap by half.
    precision : str
        Of the transformer's arithmetic: "float32" or "bfloat16".

    Returns
    -------
    DataArray (layer, clip, feature), float32
        ``clip`` is the name of each.

    Raises
    ------
    ValueError
        If one is longer than half a window.
    """
    features = np.empty((encoder.n_layers + 1, len(some), encoder.hidden_size), np.float32)
    of_story = defaultdict(list)
    for number, one in enumerate(some):
        of_story[one.story].append(number)
    remedy = "lower `representation.window`, or set `probes.precision` to bfloat16"
    at_once = BatchSize(WAVEFORMS_AT_ONCE, "windows", remedy)
    progress = Progress("phones and words", len(of_story))
    for story, numbers in of_story.items():
        pooled = _in_story(
            encoder, dataset.waveform(story), [some[k] for k in numbers], window, precision, at_once
        )
        features[:, numbers] = pooled
        progress.advance(story)
    coords = {"layer": np.arange(encoder.n_layers + 1), "clip": [one.name for one in some]}
    return xr.DataArray(features, coords, dims=("layer", "clip", "feature"))


@torch.no_grad()
def _in_story(
    encoder: SpeechEncoder,
    waveform: np.ndarray,
    some: list[Spoken],
    window: float,
    precision: str,
    at_once: BatchSize,
) -> NDArray[np.float32]:
    """Features of a story's phones or words: (layer, spoken, feature)."""
    encoder.model.eval()
    frames = encoder.frames(waveform)
    length = min(encoder.n_tokens(window), frames.n_frames)
    starts = np.arange(0, frames.n_frames, max(length // 2, 1))
    starts = np.unique(np.minimum(starts, frames.n_frames - length))
    tokens = tokens_of(encoder, some, frames.n_frames)
    middles = tokens.mean(axis=1)
    nearest = np.abs(middles[:, None] - (starts + length / 2)).argmin(axis=1)
    inside = tokens - starts[nearest][:, None]
    if (outside := (inside[:, 0] < 0) | (inside[:, 1] > length)).any():
        raise ValueError(
            f"{some[int(outside.argmax())].name}: spoken for longer than half a window of"
            f" {window:g} s; raise representation.window, or correct the transcription"
        )
    features = np.empty((encoder.n_layers + 1, len(some), encoder.hidden_size), np.float32)

    def fill(number: int) -> None:
        used = np.unique(nearest)
        for batch in np.split(used, range(number, len(used), number)):
            windows = [frames.window(start, start + length) for start in starts[batch].tolist()]
            with encoder.autocast(precision):
                layers = encoder.all_layers(torch.stack(windows).to(encoder.device), length)
            states = torch.stack([layer.float().cpu() for layer in layers]).numpy()
            for one in np.flatnonzero(np.isin(nearest, batch)):
                row = np.searchsorted(batch, nearest[one])
                features[:, one] = states[:, row, slice(*inside[one])].mean(axis=1)

    at_once.run(fill)
    return features
