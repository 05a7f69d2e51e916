"""Brain-tuning: fine-tuning a speech model to predict fMRI responses (ICLR paper, section 3.3).

The last layer's tokens are pooled over the window of sound before each TR, and a linear head
predicts the voxels; the squared error tunes head and transformer, while the convolutional front end
stays frozen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from bthelpers.models.speech import SpeechEncoder
from bthelpers.params.tuning import TuningSettings
from bthelpers.tuning.examples import Examples, Segment, TuningStory, pool, pooled_features
from bthelpers.tuning.trainer import Schedule, Trainer, batched, run_digest, shuffled_batches


@dataclass(frozen=True)
class TuningResult:
    """A tuned model and how it came about.

    Attributes
    ----------
    encoder : SpeechEncoder
        With the weights of the epoch that is kept.
    training_loss, validation_loss : list of float, one per epoch
        Mean squared error over voxels and TRs; that of training is averaged over the epoch's steps.
    kept_epoch : int
        Counted from 0: that of lowest validation loss or, where the number of epochs was given, the
        last.
    """

    encoder: SpeechEncoder
    training_loss: list[float]
    validation_loss: list[float]
    kept_epoch: int


class _Head(nn.Module):
    """Linear map from pooled features to voxels. It starts at zero."""

    def __init__(self, n_features: int, n_voxels: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("scale", torch.ones(n_features))
        # Plain nn.Linear would draw from the global random numbers.
        self.linear = nn.utils.skip_init(nn.Linear, n_features, n_voxels)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def standardize(self, features: torch.Tensor) -> None:
        """Standardise what comes in by the mean and deviation of these features (tr, feature)."""
        self.mean = features.mean(dim=0)
        self.scale = features.std(dim=0) + torch.finfo(features.dtype).eps

    def forward(self, pooled: torch.Tensor) -> torch.Tensor:
        return self.linear((pooled - self.mean) / self.scale)


class BrainTuning:
    """A copy of a speech model and a linear head, and the trainer that fits them to responses.

    Parameters are those of `brain_tune`.
    """

    def __init__(
        self,
        encoder,
        training,
        validation,
        settings: TuningSettings,
        seed: int,
        stop_after: int | None = None,
    ):
        self.encoder, self.settings = encoder.copy(), settings
        self.training = Examples(self.encoder, training, settings)
        self.validation = Examples(self.encoder, validation, settings)
        self.head = _Head(encoder.hidden_size, training[0].responses.shape[1])
        if settings.standardize:
            self.head.standardize(pooled_features(self.encoder, self.training, settings.precision))
        self.head.to(self.encoder.device)
        self.segments_per_step = max(1, settings.batch_trs // self.training.trs_per_segment)
        # A random offset can add one segment per story to an epoch.
        n_segments = len(self.training.segments([0] * len(training))) + len(training)
        n_steps = math.ceil(n_segments / self.segments_per_step)
        names = [[story.name for story in stories] for stories in (training, validation)]
        stories = [*training, *validation]
        self.trainer = Trainer(
            modules={"model": self.encoder.model, "head": self.head},
            groups=[
                {"params": self.encoder.transformer_parameters(), "lr": settings.transformer_lr},
                {"params": self.head.parameters(), "lr": settings.head_lr},
            ],
            batches=self.batches,
            backward=self.backward,
            validate=self.validate,
            schedule=Schedule(
                settings.epochs,
                n_steps,
                settings.warmup,
                settings.patience if stop_after is None else None,
                stop_after,
            ),
            seed=seed,
            run=run_digest(
                [settings, seed, stop_after, *names],
                [encoder.model],
                (x for story in stories for x in (story.waveform, story.times, story.responses)),
            ),
            rates="`tuning.transformer_lr` and `tuning.head_lr`",
            kept=("model",) if stop_after is None else (),
        )

    def batches(self, rng: np.random.Generator) -> list[list[Segment]]:
        """Segments of each step, cut anew and shuffled."""
        offsets = rng.integers(0, self.training.trs_per_segment, len(self.training.windows))
        segments = self.training.segments(offsets)
        return shuffled_batches(segments, self.segments_per_step, rng)

    def backward(self, batch: list[Segment], rng: np.random.Generator) -> tuple[float, int]:
        """Gradients of the mean squared error; returns its sum over TRs, and their number."""
        n_trs = sum(len(segment.rows) for segment in batch)
        total = 0.0
        for part in batched(batch, self.settings.stretches_at_once):
            targets = self.training.responses(part).to(self.encoder.device)
            pooled = pool(self.encoder, self.training, part, self.settings.precision)
            loss = nn.functional.mse_loss(self.head(pooled), targets)
            (loss * (len(targets) / n_trs)).backward()
            total += loss.item() * len(targets)
        return total, n_trs

    def validate(self) -> float:
        """Mean squared error over the validation stories."""
        pooled = pooled_features(self.encoder, self.validation, self.settings.precision)
        targets = torch.cat(self.validation.targets).to(self.encoder.device)
        return nn.functional.mse_loss(self.head(pooled), targets).item()


def brain_tune(
    encoder: SpeechEncoder,
    training: list[TuningStory],
    validation: list[TuningStory],
    settings: TuningSettings,
    seed: int,
    checkpoint: Path | None = None,
    stop_after: int | None = None,
) -> TuningResult:
    """Tune a speech model to predict responses (ICLR paper, section 3.3).

    Parameters
    ----------
    encoder : SpeechEncoder
        The pretrained model; it is not changed.
    training, validation : list of TuningStory
        With the same voxels, in the same order.
    settings : TuningSettings
    seed : int
        Of the order of the examples and of dropout.
    checkpoint : Path, optional
        Written after each epoch. If the file is there, the run goes on from it and ends in the
        same result; one that a run with other models, data or settings left is replaced.
    stop_after : int, optional
        Number of epochs that are trained, with the learning rates of ``settings.epochs``, whatever
        the validation loss is; the last one is kept. A control is trained for as many as its
        treatment was kept after (appendix D.2). Without it, training stops when patience is over,
        and the epoch of lowest validation loss is kept.

    Returns
    -------
    TuningResult

    Raises
    ------
    ValueError
        If the stories' voxels differ, a sound is shorter than its responses, the loss diverges, or
        more epochs are to be trained than are planned.
    """
    voxels = {story.responses.shape[1] for story in [*training, *validation]}
    if len(voxels) != 1:
        raise ValueError(f"the stories have different numbers of voxels: {sorted(voxels)}")
    tuning = BrainTuning(encoder, training, validation, settings, seed, stop_after)
    trainer = tuning.trainer
    trainer.train(checkpoint)
    return TuningResult(
        tuning.encoder, trainer.training_loss, trainer.validation_loss, trainer.kept_epoch
    )
