"""Stimulus-tuning: more self-supervised training, on the sound of the stories (appendix D.2).

The losses are those of `bthelpers.contrast`, with which Wav2vec2 was pretrained, and their weights.
As in brain-tuning, the front end stays frozen. A checkpoint without a quantizer, such as those of
HuBERT and WavLM, which were pretrained by other losses, gets a new one.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from bthelpers.contrast import load_contrast
from bthelpers.front_ends import MelFrontEnd
from bthelpers.miniatures import span_mask
from bthelpers.progress import Progress
from bthelpers.results import atomic_path
from bthelpers.settings import ModelSettings, StimulusSettings
from bthelpers.speech import SpeechEncoder
from bthelpers.tuning import GRADIENT_NORM, TuningResult, linear_warmup_decay


@dataclass(frozen=True)
class StimulusResult(TuningResult):
    """A tuned model and how it came about.

    Its encoder is that of the last epoch: losses whose targets are learnt do not tell which epoch
    is best. They are means over windows; in validation, masks are the same after every epoch.

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


class StimulusRun:
    """One stimulus-tuning; its state after each epoch can be written and taken up again."""

    def __init__(self, encoder, contrast, training, validation, settings, seed: int):
        self.settings, self.seed = settings, seed
        self.run = _digest(encoder, contrast, training, validation, settings, seed)
        self.encoder, self.contrast = encoder.copy(), contrast
        config = self.encoder.model.config
        config.apply_spec_augment, config.mask_feature_prob = True, 0.0
        self.length = encoder.n_tokens(settings.window)
        self.training = self._frames(training)
        self.validation = self._frames(validation)
        # A random offset can add one window per story to an epoch.
        most = sum(len(window_starts(f.n_frames, self.length)) + 1 for f in self.training)
        n_steps = settings.epochs * math.ceil(most / settings.batch)
        self.optimizer = torch.optim.AdamW(
            [
                {"params": self.encoder.transformer_parameters(), "lr": settings.learning_rate},
                {"params": self.contrast.parameters(), "lr": settings.quantizer_lr},
            ],
            weight_decay=0.0,
            fused=True,
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: linear_warmup_decay(step, n_steps, settings.warmup)
        )
        self.training_loss: list[float] = []
        self.validation_loss: list[float] = []

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

    def _batches(self, stories: list, offsets: Sequence[int], rng=None) -> list[list]:
        """Windows (frames of the story, first token) of each step, in the order that is drawn."""
        windows = [
            (frames, start)
            for frames, offset in zip(stories, offsets, strict=True)
            for start in window_starts(frames.n_frames, self.length, offset).tolist()
        ]
        order = range(len(windows)) if rng is None else rng.permutation(len(windows))
        size = self.settings.batch
        return [[windows[k] for k in order[at : at + size]] for at in range(0, len(order), size)]

    def loss(self, batch: list, rng: np.random.Generator) -> torch.Tensor:
        """Loss of some windows, with masks and distractors that are drawn."""
        device = self.encoder.device
        frames = torch.stack([story.window(at, at + self.length) for story, at in batch]).to(device)
        mask = draw_mask((len(batch), self.length), self.settings, rng).to(device)
        model = self.encoder.model
        with self.encoder.arithmetic(self.settings.precision):
            states = model(frames, mask_time_indices=mask).last_hidden_state
        normalised = model.feature_projection.layer_norm(frames.transpose(1, 2))
        return self.contrast(states.float(), normalised, mask, rng)

    def train_epoch(self) -> None:
        """One pass over the training stories, and the validation loss after it.

        An epoch's randomness follows from the seed and the epoch's number, so that a run that was
        taken up again goes on as if it had not stopped.
        """
        epoch = len(self.training_loss)
        rng = np.random.default_rng([self.seed, epoch])
        batches = self._batches(
            self.training, rng.integers(0, self.length, len(self.training)), rng
        )
        self._set_training(True)
        total = 0.0
        device = self.encoder.device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(int(rng.integers(2**31)))  # of dropout and of the quantizer
            for batch in batches:
                total += len(batch) * self.step(batch, rng)
        self.training_loss.append(total / sum(map(len, batches)))
        self.validation_loss.append(self.validate())
        if not math.isfinite(self.validation_loss[-1]):
            raise ValueError(
                f"the validation loss of epoch {epoch + 1} is not finite: tuning diverged; lower"
                " `stimulus.learning_rate` and `stimulus.quantizer_lr` in the parameter file"
            )

    def _set_training(self, training: bool) -> None:
        self.encoder.model.train(training)
        self.contrast.train(training)

    def step(self, batch: list, rng: np.random.Generator) -> float:
        """One optimiser step; returns the loss."""
        loss = self.loss(batch, rng)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.encoder.transformer_parameters(), GRADIENT_NORM)
        self.optimizer.step()
        self.schedule.step()
        return loss.item()

    @torch.no_grad()
    def validate(self) -> float:
        """Mean loss over the windows of the validation stories, in eval mode."""
        self._set_training(False)
        rng = np.random.default_rng([self.seed, self.settings.epochs])
        batches = self._batches(self.validation, [0] * len(self.validation))
        total = sum(len(batch) * self.loss(batch, rng).item() for batch in batches)
        return total / sum(map(len, batches))

    _STATEFUL = ("contrast", "optimizer", "schedule")
    _PLAIN = ("run", "training_loss", "validation_loss")

    def save(self, path: Path) -> None:
        """Write all that changes during the run, atomically."""
        state = {name: getattr(self, name).state_dict() for name in self._STATEFUL}
        state |= {name: getattr(self, name) for name in self._PLAIN}
        state["model"] = self.encoder.model.state_dict()
        with atomic_path(path) as temporary:
            torch.save(state, temporary)

    def restore(self, path: Path) -> None:
        """Take up the state that :meth:`save` wrote, if it was in this run."""
        state = torch.load(path, map_location=self.encoder.device, weights_only=True)
        if state["run"] != self.run:
            return
        self.encoder.model.load_state_dict(state["model"])
        for name in self._STATEFUL:
            getattr(self, name).load_state_dict(state[name])
        for name in self._PLAIN:
            setattr(self, name, state[name])


def _digest(encoder, contrast, training, validation, settings, seed: int) -> str:
    """SHA-256 of what a run depends on: a checkpoint of any other run is not taken up."""
    digest = hashlib.sha256(repr((settings, seed, list(training), list(validation))).encode())
    for module in (encoder.model, encoder.front_end.frozen, contrast):
        for weights in module.state_dict().values():
            digest.update(np.ascontiguousarray(weights.cpu()))
    for waveform in (*training.values(), *validation.values()):
        digest.update(np.ascontiguousarray(waveform))
    return digest.hexdigest()


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
    loop = StimulusRun(encoder, contrast, training, validation, settings, seed)
    if checkpoint is not None and checkpoint.exists():
        loop.restore(checkpoint)
    progress = Progress("epochs", settings.epochs - len(loop.training_loss))
    while len(loop.training_loss) < settings.epochs:
        loop.train_epoch()
        if checkpoint is not None:
            loop.save(checkpoint)
        progress.advance(
            f"loss {loop.training_loss[-1]:.4f}, validation {loop.validation_loss[-1]:.4f}"
        )
    tuned = encoder.copy()  # in whose configuration masking is off
    tuned.model.load_state_dict(loop.encoder.model.state_dict())
    return StimulusResult(
        tuned, loop.training_loss, loop.validation_loss, settings.epochs - 1, quantizer
    )
