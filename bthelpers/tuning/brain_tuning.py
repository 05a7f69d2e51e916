"""Brain-tuning: fine-tuning a speech model to predict fMRI responses (ICLR paper, section 3.3).

A layer's tokens are pooled over the window of sound before each TR, and a linear head predicts the
voxels; the loss tunes head and transformer, or adapters in it, while the convolutional front end
stays frozen. One model may be tuned to several participants, who give it an update in turn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from bthelpers.models.devices import BatchSize, n_processes, process_index
from bthelpers.models.speech import SpeechEncoder
from bthelpers.params.tuning import TuningSettings
from bthelpers.tuning.examples import (
    Examples,
    Segment,
    TuningStory,
    all_sounds,
    pool,
    pooled_features,
)
from bthelpers.tuning.heads import head_of, make_heads
from bthelpers.tuning.losses import LOSSES
from bthelpers.tuning.trainer import Schedule, Trainer, batched, run_digest, shuffled_batches

if TYPE_CHECKING:  # it takes seconds to load, and most tunings do without
    from peft import PeftModel

StoriesOf = Mapping[str, Sequence[TuningStory]]  # by participant
Score = Callable[[SpeechEncoder], float]


@dataclass(frozen=True)
class TuningResult:
    """A tuned model and how it came about.

    Attributes
    ----------
    encoder : SpeechEncoder
        With the weights of the epoch that is kept, in which adapters are merged.
    training_loss, validation_loss : list of float, one per epoch
        Losses over voxels and TRs, by default the mean squared error; that of training is averaged
        over the epoch's steps. With ``tuning.keep: refit``, the latter is minus the validation r.
    kept_epoch : int
        Counted from 0: that of lowest validation loss or, where the number of epochs was given, the
        last. -1 stands for the pretrained model.
    pretrained_loss : float, optional
        Validation loss of the pretrained model, where it is a candidate.
    undefined : int, optional
        TRs, or voxels of steps, that had no correlation in training, where that is the loss.
    adapted : PeftModel, optional
        The model with its adapters, unmerged.
    """

    encoder: SpeechEncoder
    training_loss: list[float]
    validation_loss: list[float]
    kept_epoch: int
    pretrained_loss: float | None = field(default=None, kw_only=True)
    undefined: int | None = field(default=None, kw_only=True)
    adapted: PeftModel | None = field(default=None, kw_only=True)


class BrainTuning:
    """A copy of a speech model and linear heads, and the trainer that fits them to responses.

    Parameters are those of `jointly_tune`.
    """

    def __init__(
        self,
        encoder: SpeechEncoder,
        training: StoriesOf,
        validation: StoriesOf,
        settings: TuningSettings,
        seed: int,
        stop_after: int | None = None,
        score: Score | None = None,
    ):
        self.encoder, self.settings, self.score = encoder.copy(), settings, score
        self.training = Examples(self.encoder, all_sounds(training), settings)
        self.validation = Examples(self.encoder, all_sounds(validation), settings)
        self.training_of, self.validation_of = (
            {participant: examples.of(stories) for participant, stories in of_all.items()}
            for examples, of_all in ((self.training, training), (self.validation, validation))
        )
        self.loss = LOSSES[settings.loss]().to(encoder.device)
        n_features = encoder.hidden_size * len(self.training.kernels)
        self.heads = make_heads(n_features, _voxel_counts(training, validation), settings, seed)
        if settings.standardize:
            features = pooled_features(self.encoder, self.training, settings.precision)
            for head in self.heads.values():
                head.standardize(features)
        self.heads.to(self.encoder.device)
        self.adapted = _adapted(self.encoder, settings, seed)
        if self.loss.splits:
            remedy = "lower `tuning.stretches_at_once`, `tuning.chunk_trs` or `tuning.window`"
            most = math.ceil(settings.segments_per_step / n_processes())
            at_once = min(settings.stretches_at_once, most)
            self.at_once = BatchSize(at_once, "windows or chunks", remedy)
        else:
            self.at_once = BatchSize(1, "whole steps", "lower `tuning.batch_trs`")
        self.trainer = self._trainer(encoder, [training, validation], seed, stop_after)

    def _trainer(
        self, pretrained: SpeechEncoder, splits: list[StoriesOf], seed: int, stop_after: int | None
    ) -> Trainer:
        settings, n_stories = self.settings, len(self.training.windows)
        # A random offset can add one segment per story to an epoch.
        n_segments = len(self.training.segments([0] * n_stories)) + n_stories
        n_steps = math.ceil(n_segments / settings.segments_per_step) * len(self.training_of)
        heard = [(one, story) for of_all in splits for one in of_all for story in of_all[one]]
        names = [(one, story.name) for one, story in heard]
        groups = [
            {"params": self.encoder.transformer_parameters(), "lr": settings.model_lr},
            {"params": list(self.heads.parameters()), "lr": settings.head_lr},
        ]
        return Trainer(
            modules={"model": self.encoder.model, "head": self.heads, "loss": self.loss},
            groups=[group for group in groups if group["params"]],  # of rank 0, only the heads
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
                [settings, seed, stop_after, *names, *_told(self.score)],
                [pretrained.model],
                (x for _, story in heard for x in (story.waveform, story.times, story.responses)),
            ),
            rates="`tuning.transformer_lr`, `tuning.adapter_lr` and `tuning.head_lr`",
            kept=("model",) if stop_after is None else (),
            candidate=settings.keep == "refit" and stop_after is None,
            measure="loss" if self.score is None else "-r",
        )

    def batches(self, rng: np.random.Generator) -> list[tuple[str, list[Segment]]]:
        """Segments of each step, cut anew and shuffled, for those who heard them, in turn."""
        offsets = rng.integers(0, self.training.trs_per_segment, len(self.training.windows))
        segments = self.training.segments(offsets)
        return [
            (participant, heard)
            for batch in shuffled_batches(segments, self.settings.segments_per_step, rng)
            for participant, examples in self.training_of.items()
            if (heard := examples.heard(batch))
        ]

    def backward(
        self, batch: tuple[str, list[Segment]], rng: np.random.Generator
    ) -> tuple[float, int]:
        """Gradients of the loss of a participant; returns its sum over TRs, and their number.

        Where several processes share the run, their means over processes are those of the batch.
        """
        return self.at_once.run(partial(self._gradients, batch), self.trainer.optimizer.zero_grad)

    def _gradients(self, batch: tuple[str, list[Segment]], at_once: int) -> tuple[float, int]:
        participant, segments = batch
        examples, head = self.training_of[participant], head_of(self.heads, participant)
        n_trs = sum(len(segment.rows) for segment in segments)
        total, n_shares = 0.0, 1
        if not self.loss.splits:
            at_once = len(segments)
        elif len(segments) >= n_processes():  # fewer than processes are taken by all of them
            n_shares = n_processes()
            segments = segments[process_index() :: n_shares]
        for part in batched(segments, at_once):
            targets = examples.responses(part).to(self.encoder.device)
            pooled = pool(self.encoder, examples, part, self.settings.precision)
            loss = self.loss(head(pooled), targets)
            (loss * (n_shares * len(targets) / n_trs)).backward()
            total += loss.item() * len(targets)
        return n_shares * total, n_trs

    def validate(self) -> float:
        """Minus the score, or mean over participants of the loss of their validation stories."""
        if self.score is not None:
            return -self.score(self.encoder)
        pooled = pooled_features(self.encoder, self.validation, self.settings.precision)
        by_story = pooled.split([len(windows) for windows in self.validation.windows])
        losses = []
        for participant, examples in self.validation_of.items():
            pairs = zip(by_story, examples.targets, strict=True)
            heard = [(features, y) for features, y in pairs if y is not None]
            features, targets = map(torch.cat, zip(*heard, strict=True))
            predicted = head_of(self.heads, participant)(features)
            losses.append(self.loss(predicted, targets.to(self.encoder.device)).item())
        return sum(losses) / len(losses)


def _voxel_counts(*splits: StoriesOf) -> dict[str, int]:
    """Voxels of each participant, the same in all stories."""
    counts = {}
    for participant in splits[0]:
        stories = [story for of_all in splits for story in of_all[participant]]
        voxels = {story.responses.shape[1] for story in stories}
        if len(voxels) != 1:
            raise ValueError(
                f"{participant}: the stories have different numbers of voxels: {sorted(voxels)}"
            )
        counts[participant] = voxels.pop()
    return counts


def _told(score: Score | None) -> list[str]:
    """What a score tells of itself, if there is one and it does."""
    return [score.digest] if hasattr(score, "digest") else []


def _adapted(encoder: SpeechEncoder, settings: TuningSettings, seed: int) -> PeftModel | None:
    if settings.adaptation == "full":
        return None
    from bthelpers.tuning.adaptation import adapt

    return adapt(encoder, settings, seed)


def brain_tune(
    encoder: SpeechEncoder,
    training: list[TuningStory],
    validation: list[TuningStory],
    settings: TuningSettings,
    seed: int,
    checkpoint: Path | None = None,
    stop_after: int | None = None,
    score: Score | None = None,
) -> TuningResult:
    """Tune a speech model to predict a participant's responses (ICLR paper, section 3.3).

    Parameters are those of `jointly_tune`, with the stories of one participant.
    """
    of_one = ({"responses": stories} for stories in (training, validation))
    return jointly_tune(encoder, *of_one, settings, seed, checkpoint, stop_after, score)


def jointly_tune(
    encoder: SpeechEncoder,
    training: StoriesOf,
    validation: StoriesOf,
    settings: TuningSettings,
    seed: int,
    checkpoint: Path | None = None,
    stop_after: int | None = None,
    score: Score | None = None,
) -> TuningResult:
    """Tune one speech model to predict the responses of several participants.

    Each batch of sound is followed by an update for every participant who heard some of it, in
    turn (Moussa and Toneva, NeurIPS 2025).

    Parameters
    ----------
    encoder : SpeechEncoder
        The pretrained model; it is not changed.
    training, validation : mapping of str to list of TuningStory
        By participant, with the same voxels in the same order; with ``tuning.heads: shared``, the
        same vertices of a common surface for all. Participants need not have heard the same
        stories.
    settings : TuningSettings
    seed : int
        Of the order of the examples, of dropout, and of weights that do not start at zero.
    checkpoint : Path, optional
        Written after each epoch. If the file is there, the run goes on from it and ends in the
        same result; one that a run with other models, data or settings left is replaced.
    stop_after : int, optional
        Number of epochs that are trained, with the learning rates of ``settings.epochs``, whatever
        the validation loss is; the last one is kept. A control is trained for as many as its
        treatment was kept after (appendix D.2). Without it, training stops when patience is over,
        and the epoch of lowest validation loss is kept.
    score : callable, optional
        With ``tuning.keep: refit``: of a model, the validation r of ridges that are fitted to its
        representations anew. It decides in place of the validation loss, and the pretrained
        model is a candidate (BrainWavLM's released code). Of what else it depends on it may have a
        ``digest``: a checkpoint that was left with another one is replaced.

    Returns
    -------
    TuningResult

    Raises
    ------
    ValueError
        If the stories' voxels differ, there are too few of them, participants who share a head have
        different voxels, a sound is shorter than its responses, the model has no such layer as is
        to be read out, an adapter gets no gradient, the loss diverges, or more epochs are to be
        trained than are planned.
    """
    if (settings.keep == "refit") != (score is not None):
        raise ValueError("tuning.keep: a score is needed where the epoch is kept by refit")
    tuning = BrainTuning(encoder, training, validation, settings, seed, stop_after, score)
    trainer, tuned = tuning.trainer, tuning.encoder
    trainer.train(checkpoint)
    if settings.adaptation == "lora":
        from bthelpers.tuning.adaptation import merged

        tuned = merged(encoder, tuning.adapted)
    return TuningResult(
        tuned,
        trainer.training_loss,
        trainer.validation_loss,
        trainer.kept_epoch,
        pretrained_loss=next(iter(trainer.before), None),
        undefined=tuning.loss.undefined.item() if not tuning.loss.splits else None,
        adapted=tuning.adapted,
    )
