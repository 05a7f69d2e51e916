"""Stimulus-tuning: more self-supervised training, on the sound of the stories (appendix D.2).

The losses are those of `bthelpers.tuning.contrastive`, with which Wav2vec2 was pretrained, and
their weights. As in brain-tuning, the front end stays frozen. A checkpoint without a quantizer,
such as those of HuBERT and WavLM, which were pretrained by other losses, gets a new one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from bthelpers.models.devices import memory_for
from bthelpers.models.front_ends import MelFrontEnd
from bthelpers.models.speech import SpeechEncoder
from bthelpers.params.settings import ModelSettings
from bthelpers.params.tuning import StimulusSettings
from bthelpers.tuning.brain_tuning import TuningResult
from bthelpers.tuning.contrastive import Contrast, load_contrast, span_mask
from bthelpers.tuning.trainer import Schedule, Trainer, batched, run_digest, shuffled_batches

# Not halved: masks, distractors and the use of codes are of a whole batch.
HELD = "a batch of windows", "lower `stimulus.batch` or `stimulus.window`"


@dataclass(frozen=True)
class StimulusResult(TuningResult):
    """A tuned model and how it came about.

    Its encoder is that of the last epoch: losses whose targets are learnt tell when training
    saturates, but not which epoch is best, and the paper names none. They are means over windows;
    in validation, masks are the same after every epoch.

    Attributes
    ----------
    quantizer : str
        Whether it is the checkpoint's, or new.
    """

    quantizer: str


def window_starts(n_tokens: int, length: int, offset: int = 0) -> np.ndarray:
    """First tokens of windows of one length that cover a story.

    The first window would begin ``offset`` tokens before the story; it and the last one are moved
    into the story, so that they overlap their neighbours.

    Examples
    --------
    >>> window_starts(n_tokens=10, length=4)
    array([0, 4, 6])
    >>> window_starts(n_tokens=10, length=4, offset=1)
    array([0, 3, 6])
    """
    return np.unique(np.clip(np.arange(-offset, n_tokens, length), 0, n_tokens - length))


def draw_mask(
    shape: tuple[int, int], settings: StimulusSettings, rng: np.random.Generator
) -> torch.Tensor:
    """Bool mask (window, token) of spans, with two tokens or more of each window."""
    mask = torch.zeros(shape, dtype=torch.bool)
    while (few := mask.sum(dim=1) < 2).any():
        missing = int(few.sum()), shape[1]
        mask[few] = span_mask(missing, settings.mask_probability, settings.mask_length, rng)
    return mask


class StimulusTuning:
    """A copy of a speech model and its losses, and the trainer that lowers them.

    Parameters are those of `stimulus_tune`, with the losses in place of their source.
    """

    def __init__(self, encoder, contrast: Contrast, training, validation, settings, seed: int):
        self.encoder, self.contrast = encoder.copy(), contrast
        self.settings, self.seed = settings, seed
        config = self.encoder.model.config
        config.apply_spec_augment, config.mask_feature_prob = True, 0.0
        self.length = encoder.n_tokens(settings.window)
        self.training = self._frames(training)
        self.validation = self._frames(validation)
        # A random offset can add one window per story to an epoch.
        n_windows = sum(len(window_starts(f.n_frames, self.length)) + 1 for f in self.training)
        n_steps = math.ceil(n_windows / settings.batch)
        self.trainer = Trainer(
            modules={"model": self.encoder.model, "contrast": contrast},
            groups=[
                {"params": self.encoder.transformer_parameters(), "lr": settings.learning_rate},
                {"params": contrast.parameters(), "lr": settings.quantizer_lr},
            ],
            batches=self.batches,
            backward=self.backward,
            validate=self.validate,
            schedule=Schedule(settings.epochs, n_steps, settings.warmup, settings.patience),
            seed=seed,
            run=run_digest(
                [settings, seed, [*training], [*validation]],
                [encoder.model, encoder.front_end.frozen, contrast],
                [*training.values(), *validation.values()],
            ),
            rates="`stimulus.learning_rate` and `stimulus.quantizer_lr`",
        )

    def _frames(self, sounds: Mapping[str, np.ndarray]) -> list:
        stories = [self.encoder.frames(waveform) for waveform in sounds.values()]
        for name, frames in zip(sounds, stories, strict=True):
            if frames.n_frames < self.length or self.length < 2:
                raise ValueError(
                    f"story {name!r} has {frames.n_frames} tokens, a window of"
                    f" {self.settings.window:g} s has {self.length}; set `stimulus.window` so that"
                    " it fits into the story and has two tokens or more"
                )
        return stories

    def _windows(self, stories: list, offsets: Iterable[int]) -> list[tuple]:
        """Frames and first token of windows that cover stories."""
        return [
            (frames, start)
            for frames, offset in zip(stories, offsets, strict=True)
            for start in window_starts(frames.n_frames, self.length, offset).tolist()
        ]

    def batches(self, rng: np.random.Generator) -> list[list[tuple]]:
        """Windows of each step, cut anew and shuffled."""
        offsets = rng.integers(0, self.length, len(self.training))
        windows = self._windows(self.training, offsets)
        return shuffled_batches(windows, self.settings.batch, rng)

    def loss(self, batch: list[tuple], rng: np.random.Generator) -> torch.Tensor:
        """Loss of some windows, with masks and distractors that are drawn."""
        device = self.encoder.device
        frames = torch.stack([story.window(at, at + self.length) for story, at in batch]).to(device)
        mask = draw_mask((len(batch), self.length), self.settings, rng).to(device)
        model = self.encoder.model
        with self.encoder.autocast(self.settings.precision):
            states = model(frames, mask_time_indices=mask).last_hidden_state
        normalised = model.feature_projection.layer_norm(frames.transpose(1, 2))
        return self.contrast(states.float(), normalised, mask, rng)

    @memory_for(*HELD)
    def backward(self, batch: list[tuple], rng: np.random.Generator) -> tuple[float, int]:
        """Gradients of the loss; returns its sum over windows, and their number."""
        loss = self.loss(batch, rng)
        loss.backward()
        return len(batch) * loss.item(), len(batch)

    @memory_for(*HELD)
    def validate(self) -> float:
        """Mean loss over the windows of the validation stories."""
        rng = np.random.default_rng([self.seed, self.settings.epochs])
        windows = self._windows(self.validation, [0] * len(self.validation))
        batches = batched(windows, self.settings.batch)
        total = sum(len(batch) * self.loss(batch, rng).item() for batch in batches)
        return total / len(windows)


def stimulus_tune(
    encoder: SpeechEncoder,
    source: ModelSettings,
    training: Mapping[str, np.ndarray],
    validation: Mapping[str, np.ndarray],
    settings: StimulusSettings,
    seed: int,
    checkpoint: Path | None = None,
) -> StimulusResult:
    """Go on with the self-supervised training of a speech model (ICLR paper, appendix D.2).

    Parameters
    ----------
    encoder : SpeechEncoder
        The pretrained model; it is not changed.
    source : ModelSettings
        Where it was loaded from: its quantizer, which is no part of it, is looked for there.
    training, validation : mapping of str to float32 arrays of shape (n_samples,)
        Sound of the stories, mono, 16 kHz.
    settings : StimulusSettings
    seed : int
        Of the windows and their order, masks, distractors, dropout, and a new quantizer.
    checkpoint : Path, optional
        Written after each epoch. If the file is there, the run goes on from it and ends in the
        same result; one that another run left is replaced.

    Returns
    -------
    StimulusResult

    Raises
    ------
    ValueError
        If the model is a Whisper or its configuration has no masks, a story is shorter than a
        window, or the loss diverges.
    """
    if isinstance(encoder.front_end, MelFrontEnd):
        raise ValueError(
            "a Whisper was pretrained on transcripts, not on sound alone: stimulus-tuning is for"
            " Wav2vec2, HuBERT and WavLM; leave this condition out of the model's `conditions`"
        )
    if not hasattr(encoder.model, "masked_spec_embed"):
        raise ValueError(
            f"{source.path} has nothing to put in the place of masked tokens (mask_time_prob is 0"
            " in its config.json): name a model as it was pretrained"
        )
    contrast, quantizer = load_contrast(encoder, source, seed)
    tuning = StimulusTuning(encoder, contrast, training, validation, settings, seed)
    trainer = tuning.trainer
    trainer.train(checkpoint)
    tuned = encoder.copy()  # in whose configuration masking is off
    tuned.model.load_state_dict(tuning.encoder.model.state_dict())
    return StimulusResult(
        tuned, trainer.training_loss, trainer.validation_loss, trainer.kept_epoch, quantizer
    )
