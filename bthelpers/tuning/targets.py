"""What a model is tuned towards (ICLR paper, section 3.3.1 and appendix D.2).

Responses of a participant, the same in shuffled blocks, or what another model makes of the window
of sound before each TR: the decoder of a bigger Whisper, or a text model. Both of these are given
the words that lie wholly in the window, by the story's transcription, in lower case and without
punctuation. (The paper does not say what its Whisper decodes.) A layer is represented by the mean
over the words' tokens. The tokens before them, which in text models have states unlike all others,
do not count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from bthelpers.core.progress import Progress
from bthelpers.core.timing import SAMPLE_RATE, Interval, windows, zscore
from bthelpers.data.cortex import vertex_voxels
from bthelpers.data.dataset import Dataset
from bthelpers.data.files import spoken
from bthelpers.models.devices import arithmetic
from bthelpers.models.loading import explained
from bthelpers.models.text import TextReader, WhisperDecoder
from bthelpers.params.tuning import BigSpeechModel, TargetSettings, TextModel, TuningSettings
from bthelpers.tuning.examples import TuningStory, permute_blocks, read_stories
from bthelpers.tuning.heads import shared_vertices
from bthelpers.tuning.trainer import batched


@dataclass(frozen=True)
class TargetInputs:
    """What targets are made from.

    Attributes
    ----------
    dataset : Dataset
    participant : str, optional
    voxels : bool array of shape (voxel,), optional
        Whose responses are targets; none where these are another model's representations.
    tuning : TuningSettings
    targets : TargetSettings
    seed : int
        Of the order of blocks.
    device : torch.device
        Of the other models.
    """

    dataset: Dataset
    participant: str | None
    voxels: np.ndarray | None
    tuning: TuningSettings
    targets: TargetSettings
    seed: int
    device: torch.device


StoryNames = Sequence[Sequence[str]]  # of each split
SplitStories = list[list[TuningStory]]


def responses(inputs: TargetInputs, splits: StoryNames) -> SplitStories:
    """A participant's responses."""
    return [
        read_stories(inputs.dataset, inputs.participant, stories, inputs.voxels)
        for stories in splits
    ]


def permuted_responses(inputs: TargetInputs, splits: StoryNames) -> SplitStories:
    """A participant's responses in shuffled blocks of TRs."""
    rng = np.random.default_rng(inputs.seed)
    block = inputs.tuning.permutation_block
    return [
        [permute_blocks(story, block, rng) for story in stories]
        for stories in responses(inputs, splits)
    ]


def joint_responses(
    dataset: Dataset, masks: Mapping[str, np.ndarray], splits: Mapping[str, StoryNames]
) -> list[dict[str, list[TuningStory]]]:
    """Responses of several participants, on the surface that all of them share.

    Parameters
    ----------
    dataset : Dataset
    masks : mapping of str to bool array of shape (voxel,)
        By participant, voxels that are tuned towards.
    splits : mapping of str to sequence of sequences of str
        By participant, the stories of each split that were heard.

    Returns
    -------
    list of dict of str to list of TuningStory
        Of each split, by participant. Responses (tr, vertex) are at the same vertices of fsaverage
        for all (`bthelpers.tuning.heads.shared_vertices`); sounds are held once.

    Raises
    ------
    ValueError
        If no vertex is shared.
    """
    on_surface = {participant: vertex_voxels(dataset, participant) for participant in masks}
    voxels = shared_vertices(on_surface, masks)
    sounds: dict[str, np.ndarray] = {}

    def read(participant: str, stories: Sequence[str]) -> list[TuningStory]:
        heard = read_stories(dataset, participant, stories, voxels[participant])
        return [
            replace(story, waveform=sounds.setdefault(story.name, story.waveform))
            for story in heard
        ]

    by_split = zip(*splits.values(), strict=True)
    return [
        {one: read(one, stories) for one, stories in zip(splits, of_split, strict=True)}
        for of_split in by_split
    ]


def big_slm(inputs: TargetInputs, splits: StoryNames) -> SplitStories:
    """All decoder layers of a bigger Whisper, which hears the window and is given its words."""
    return _represented(inputs, splits, load_big_slm(inputs.targets.big_slm, inputs.tuning))


def text_lm(inputs: TargetInputs, splits: StoryNames) -> SplitStories:
    """Layers of a text model, which reads the words of the window."""
    return _represented(inputs, splits, load_text_lm(inputs.targets.text_lm, inputs.tuning))


def big_text_lm(inputs: TargetInputs, splits: StoryNames) -> SplitStories:
    """Layers of a bigger text model, which reads the same."""
    return _represented(inputs, splits, load_text_lm(inputs.targets.big_text_lm, inputs.tuning))


def load_big_slm(source: BigSpeechModel, tuning: TuningSettings) -> WhisperDecoder:
    """Load a bigger Whisper; a ModelError says why it cannot be had."""
    with explained(source.path, source.revision, "whisper") as where:
        return WhisperDecoder.load(source.path, tuning.precision, **where)


def load_text_lm(source: TextModel, tuning: TuningSettings) -> TextReader:
    """Load a text model; a ModelError says why it cannot be had."""
    with explained(source.path, source.revision, "text") as where:
        return TextReader.load(source.path, tuning.precision, source.layer_step, **where)


# By condition: what reads the stories of each split, with targets that are standardised within the
# story.
TARGETS: dict[str, Callable[[TargetInputs, StoryNames], SplitStories]] = {
    "brain-tuned": responses,
    "block-permuted": permuted_responses,
    "big-slm": big_slm,
    "text-lm": text_lm,
    "big-text-lm": big_text_lm,
}


def _represented(inputs: TargetInputs, splits: StoryNames, model: TextReader) -> SplitStories:
    progress = Progress("targets", sum(map(len, splits)))
    model.model.to(inputs.device, arithmetic(inputs.tuning.precision, inputs.device))

    def read(story: str) -> TuningStory:
        waveform = inputs.dataset.waveform(story, SAMPLE_RATE)
        times = inputs.dataset.response_times(story)
        words = inputs.dataset.words(story)
        try:
            targets, report = window_targets(model, waveform, words, times, inputs.tuning)
        except ValueError as error:
            raise ValueError(f"story {story!r}: {error}") from error
        progress.advance(f"{story}: {report}")
        return TuningStory(story, waveform, times, targets)

    return [[read(story) for story in stories] for stories in splits]


def window_texts(words: Sequence[Interval], spans: np.ndarray) -> list[str]:
    """Words that lie wholly in each span (start, stop) of seconds; '' where there are none."""
    return [
        " ".join(word.label for word in words if start <= word.start and word.stop <= stop)
        for start, stop in spans
    ]


def window_targets(
    model: TextReader,
    waveform: np.ndarray,
    words: Sequence[Interval],
    times: np.ndarray,
    settings: TuningSettings,
) -> tuple[np.ndarray, str]:
    """What a model makes of the window before each TR, standardised over the story.

    A window without a word has nothing to represent: its targets are the mean of the others.

    Parameters
    ----------
    model : TextReader
    waveform : float32 array of shape (n_samples,)
        Of the story, mono, 16 kHz.
    words : sequence of Interval
        Of the story, in seconds of sound; silences and noises among them.
    times : array of shape (tr,)
        Ends of the windows, in seconds of sound.
    settings : TuningSettings
        Length of a window, and windows at once.

    Returns
    -------
    targets : float32 array of shape (tr, target)
        Layer after layer.
    report : str
        Counts windows without a word, and words that the model does not know.

    Raises
    ------
    ValueError
        If no window holds a word, or one holds more words or sound than the model takes.
    """
    spans = windows(times, settings.window, SAMPLE_RATE)
    words = spoken(words)
    texts = window_texts(words, spans / SAMPLE_RATE)
    rows = [row for row, text in enumerate(texts) if text]
    if not rows:
        raise ValueError("no window holds a word; check the word tier of its TextGrid")
    pieces = []
    for batch in batched(rows, settings.stretches_at_once):
        # The windows of the first TRs begin with the sound.
        sounds = [waveform[max(start, 0) : stop] for start, stop in spans[batch]]
        pieces.append(model.represent([texts[row] for row in batch], sounds))
    values = zscore(np.concatenate(pieces))
    targets = np.zeros((len(times), values.shape[1]), np.float32)
    targets[rows] = values
    report = f"{len(texts) - len(rows)} of {len(texts)} windows without a word"
    if unknown := model.unknown({word.label for word in words}):
        report += f", {len(unknown)} unknown words, such as {unknown[0]!r}"
    return targets, report
