"""Examples for brain-tuning: segments of sound, what pools their tokens, and responses.

Each TR's example is the window of sound that ends at it (ICLR paper, section 3.3). With
``sharing: chunk``, one segment of sound serves several consecutive TRs: their windows overlap, and
their tokens are computed once, each seeing more of the sound around it.
"""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from bthelpers.core.signals import double_gamma
from bthelpers.core.timing import SAMPLE_RATE, block_permutation, windows, zscore
from bthelpers.data.dataset import Dataset
from bthelpers.models.devices import BatchSize
from bthelpers.models.front_ends import WindowFrames
from bthelpers.models.speech import SpeechEncoder
from bthelpers.params.tuning import TuningSettings
from bthelpers.tuning.trainer import batched

SEGMENTS_AT_ONCE = 8  # of sound, without gradients


@dataclass(frozen=True)
class TuningStory:
    """The sound of a story and the responses to it.

    Attributes
    ----------
    name : str
    waveform : float32 array of shape (n_samples,)
        Mono, 16 kHz.
    times : array of shape (tr,)
        Of the responses, in seconds of sound.
    responses : float32 array of shape (tr, voxel)
    """

    name: str
    waveform: np.ndarray
    times: np.ndarray
    responses: np.ndarray

    def __post_init__(self):
        if len(self.times) != len(self.responses):
            raise ValueError(
                f"story {self.name!r}: {len(self.responses)} response rows, {len(self.times)} TRs"
            )
        if not np.isfinite(self.responses).all():
            raise ValueError(f"story {self.name!r}: NaN in the responses; mask those voxels first")


@dataclass(frozen=True)
class Segment:
    """Consecutive TRs of one story and the tokens that their windows cover."""

    story: int
    rows: np.ndarray
    start: int
    stop: int


def read_stories(
    dataset: Dataset, participant: str, stories: Sequence[str], voxels: np.ndarray
) -> list[TuningStory]:
    """Sound of stories, and a participant's responses to them, standardised within each story."""
    return [
        TuningStory(
            story,
            dataset.waveform(story, SAMPLE_RATE),
            dataset.response_times(story),
            zscore(dataset.responses(participant, story, voxels)),
        )
        for story in stories
    ]


def all_sounds(stories: Mapping[str, Sequence[TuningStory]]) -> list[TuningStory]:
    """Each story that some participants heard, once, with the responses of the first of them.

    Raises
    ------
    ValueError
        If a participant's stories name one twice, or participants' differ in sound or TRs.
    """
    found: dict[str, TuningStory] = {}
    for participant, heard in stories.items():
        names = [story.name for story in heard]
        if len(set(names)) < len(names):
            raise ValueError(f"{participant}: a story is there twice: {', '.join(names)}")
        for story in heard:
            first = found.setdefault(story.name, story)
            for what, one, other in (
                ("TRs", first.times, story.times),
                ("sounds", first.waveform, story.waveform),
            ):
                if not np.array_equal(one, other):
                    raise ValueError(
                        f"story {story.name!r}: the {what} of {participant} are not those of the"
                        " participants before: give stories that differ names of their own"
                    )
    return list(found.values())


def permute_blocks(story: TuningStory, block: int, rng: np.random.Generator) -> TuningStory:
    """The control's data: blocks of responses shuffled so that no block keeps its place.

    Examples
    --------
    >>> responses = np.arange(6, dtype=np.float32)[:, None]
    >>> story = TuningStory("a story", np.zeros(12 * 16_000), 2.0 * np.arange(6), responses)
    >>> permute_blocks(story, 2, np.random.default_rng(0)).responses.ravel()
    array([4., 5., 0., 1., 2., 3.], dtype=float32)
    """
    order = block_permutation(len(story.responses), block, rng)
    return replace(story, responses=story.responses[order])


def delay_lobes(ages: np.ndarray, tr: float, window: float) -> np.ndarray:
    """Main lobes of Lanczos filters at the delays 1, 2, … TRs that lie wholly within a window.

    So features reach the head of BrainWavLM at each delay. (Its released code drops the filter's
    negative lobes in training.)

    Examples
    --------
    >>> delay_lobes(np.arange(7), tr=2, window=7).round(2)
    array([[0.  , 0.61, 1.  , 0.61, 0.  , 0.  , 0.  ],
           [0.  , 0.  , 0.  , 0.61, 1.  , 0.61, 0.  ]])
    """
    delays = np.arange(1, window // tr)
    x = ages / tr - delays[:, None]
    return np.where(np.abs(x) < 1, np.sinc(x) * np.sinc(x / 3), 0)


# Weights (set, token) of tokens by their age, in seconds before the TR: plain (ICLR paper, section
# 3.3), by the positive part of the haemodynamic response, or one set for each delay.
POOLING: dict[str, Callable[[np.ndarray, float, float], np.ndarray]] = {
    "mean": lambda ages, *_: np.ones((1, len(ages))),
    "hrf": lambda ages, *_: np.maximum(double_gamma(ages), 0)[None],
    "delays": delay_lobes,
}


def require_layer(encoder: SpeechEncoder, layer: int | None) -> None:
    """Refuse to read out a layer that a model does not have.

    Parameters
    ----------
    encoder : SpeechEncoder
    layer : int, optional
        Counted from 1; by default the last, which every model has.

    Raises
    ------
    ValueError
        If there are fewer layers.
    """
    if layer is not None and layer > encoder.n_layers:
        raise ValueError(
            f"tuning.layer: {layer} is beyond the model, which has {encoder.n_layers} layers:"
            f" name one from 1 to {encoder.n_layers}, or null for the last"
        )


class Examples:
    """Stories as front-end frames, token windows per TR, and responses."""

    def __init__(
        self, encoder: SpeechEncoder, stories: list[TuningStory], settings: TuningSettings
    ):
        require_layer(encoder, settings.layer)
        self.frames = [encoder.frames(story.waveform) for story in stories]
        self.windows = [
            encoder.token_windows(
                windows(story.times, settings.window, SAMPLE_RATE)[:, 1], settings.window
            )
            for story in stories
        ]
        for story, frames, token_windows in zip(stories, self.frames, self.windows, strict=True):
            if token_windows[-1, 1] > frames.n_frames:
                raise ValueError(
                    f"story {story.name!r}: the sound ends before the response at"
                    f" {story.times[-1]:.1f} s; check its wav file against respdict.json"
                )
        self.layer = settings.layer
        self.names = [story.name for story in stories]
        self.targets = [torch.from_numpy(story.responses) for story in stories]
        self.trs_per_segment = settings.trs_per_segment
        remedy = "lower `tuning.window` or `tuning.chunk_trs`"
        self.at_once = BatchSize(SEGMENTS_AT_ONCE, "windows or chunks", remedy)
        # Windows that are computed one by one, and are the same in every epoch, are kept.
        kept = self.trs_per_segment == 1 and isinstance(self.frames[0], WindowFrames)
        self._window = functools.cache(self._computed) if kept else self._cut
        self.window_tokens = encoder.n_tokens(settings.window)
        tr = max(np.diff(story.times).max(initial=0) for story in stories)
        self.tr_tokens = tr * SAMPLE_RATE / encoder.hop
        ages = (np.arange(self.window_tokens) + 0.5) * encoder.hop / SAMPLE_RATE
        # Newest token first.
        self.kernels = POOLING[settings.pooling](ages, tr, settings.window).astype(np.float32)
        if not len(self.kernels):
            raise ValueError(
                f"tuning.window: {settings.window:g} s hold no delay with the whole TR before and"
                f" after it: name {2 * tr:.2f} s or more"
            )

    def of(self, stories: Sequence[TuningStory]) -> Examples:
        """The same sound, and another participant's responses to what of it was heard."""
        other, responses = copy.copy(self), {story.name: story.responses for story in stories}
        other.targets = [
            torch.from_numpy(responses[name]) if name in responses else None for name in self.names
        ]
        return other

    def heard(self, batch: list[Segment]) -> list[Segment]:
        """Segments of the stories that the participant heard."""
        return [segment for segment in batch if self.targets[segment.story] is not None]

    def segments(self, offsets: Sequence[int]) -> list[Segment]:
        """Cut each story's TRs into segments; a story's first one holds ``offset`` TRs.

        Segments that serve several TRs have one length, so that they make one batch: those of
        fewer TRs, at a story's beginning and end, hear more sound than their TRs' windows.
        """
        length = self.window_tokens + math.ceil((self.trs_per_segment - 1) * self.tr_tokens)
        pieces = []
        for story, (token_windows, offset) in enumerate(zip(self.windows, offsets, strict=True)):
            cuts = np.arange(offset, len(token_windows), self.trs_per_segment)
            for rows in np.split(np.arange(len(token_windows)), cuts):
                if len(rows):
                    stop = int(token_windows[rows[-1], 1])
                    start = max(stop - length, 0)
                    if self.trs_per_segment > 1:
                        stop = max(stop, min(length, self.frames[story].n_frames))
                    pieces.append(Segment(story, rows, start, stop))
        return pieces

    def window(self, segment: Segment) -> torch.Tensor:
        """Front-end frames of a segment, shape (channels, time)."""
        return self._window(segment.story, segment.start, segment.stop)

    def _cut(self, story: int, start: int, stop: int) -> torch.Tensor:
        return self.frames[story].window(start, stop)

    def _computed(self, story: int, start: int, stop: int) -> torch.Tensor:
        """A window in main memory: 1.6 MB for 16 s of a base model, 16 GB for 26 stories."""
        return self._cut(story, start, stop).cpu()

    def pooling(self, segment: Segment) -> torch.Tensor:
        """Weights (tr, set, token) that pool a segment's tokens for each of its TRs.

        They sum to 1 over tokens; to 0 at a delay from before the sound.
        """
        shape = len(segment.rows), len(self.kernels), segment.stop - segment.start
        weights = np.zeros(shape, np.float32)
        for weight, (start, stop) in zip(
            weights, self.windows[segment.story][segment.rows] - segment.start, strict=True
        ):
            weight[:, start:stop] = self.kernels[:, : stop - start][:, ::-1]
        totals = weights.sum(axis=2, keepdims=True)
        return torch.from_numpy(weights / np.where(totals > 0, totals, 1))

    def responses(self, batch: list[Segment]) -> torch.Tensor:
        """Targets (tr, voxel) of all segments, one after another."""
        return torch.cat([self.targets[s.story][s.rows] for s in batch])


def pool(
    encoder: SpeechEncoder, examples: Examples, batch: list[Segment], precision: str
) -> torch.Tensor:
    """Pooled features (tr, feature) of some segments, one after another; set after set."""
    lengths = [segment.stop - segment.start for segment in batch]
    pooled: list[torch.Tensor | None] = [None] * len(batch)
    for length in sorted(set(lengths)):
        chosen = [k for k, other in enumerate(lengths) if other == length]
        frames = torch.stack([examples.window(batch[k]) for k in chosen]).to(encoder.device)
        with encoder.autocast(precision):
            states = encoder.tokens(frames, length, examples.layer)
        for k, state in zip(chosen, states, strict=True):
            weights = examples.pooling(batch[k]).to(encoder.device)
            pooled[k] = (weights.flatten(0, 1) @ state.float()).view(len(weights), -1)
    return torch.cat(pooled)


@torch.no_grad()
def pooled_features(
    encoder: SpeechEncoder, examples: Examples, precision: str = "float32"
) -> torch.Tensor:
    """Pooled features (tr, feature) of all TRs, story after story, in evaluation mode."""
    encoder.model.eval()
    segments = examples.segments([0] * len(examples.windows))

    def features(number: int) -> torch.Tensor:
        return torch.cat(
            [pool(encoder, examples, batch, precision) for batch in batched(segments, number)]
        )

    return examples.at_once.run(features)
