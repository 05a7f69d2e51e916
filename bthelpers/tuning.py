"""Brain-tuning: fine-tuning a speech model to predict fMRI responses (ICLR paper, section 3.3).

The last layer's tokens are pooled over the window of sound before each TR, and a linear head
predicts the voxels; the squared error tunes head and transformer, while the convolutional front end
stays frozen.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from bthelpers.examples import Examples, Stretch, TuningStory
from bthelpers.progress import Progress
from bthelpers.results import atomic_path
from bthelpers.settings import TuningSettings
from bthelpers.speech import SpeechEncoder

GRADIENT_NORM = 1.0
STRETCHES_AT_ONCE = 8  # of sound, without gradients


@dataclass(frozen=True)
class TuningResult:
    """A tuned model and how it came about.

    Attributes
    ----------
    encoder : SpeechEncoder
        At the epoch of lowest validation loss.
    training_loss, validation_loss : list of float, one per epoch
        Mean squared error over voxels and TRs; that of training is averaged over the epoch's steps.
    best_epoch : int
        Counted from 0.
    """

    encoder: SpeechEncoder
    training_loss: list[float]
    validation_loss: list[float]
    best_epoch: int


def pool(
    encoder: SpeechEncoder, examples: Examples, batch: list[Stretch], precision: str
) -> torch.Tensor:
    """Pooled features (tr, feature) of some stretches, one after another."""
    lengths = [stretch.stop - stretch.start for stretch in batch]
    pooled: list[torch.Tensor | None] = [None] * len(batch)
    for length in sorted(set(lengths)):
        chosen = [k for k, other in enumerate(lengths) if other == length]
        frames = torch.stack([examples.window(batch[k]) for k in chosen]).to(encoder.device)
        with encoder.arithmetic(precision):
            states = encoder.last_layer(frames, length)
        for k, state in zip(chosen, states, strict=True):
            pooled[k] = examples.pooling(batch[k]).to(encoder.device) @ state.float()
    return torch.cat(pooled)


@torch.no_grad()
def pooled_features(
    encoder: SpeechEncoder, examples: Examples, precision: str = "float32"
) -> torch.Tensor:
    """Pooled features (tr, feature) of all TRs, story after story, in evaluation mode."""
    encoder.model.eval()
    stretches = examples.stretches([0] * len(examples.windows))
    batches = _cut(stretches, STRETCHES_AT_ONCE)
    return torch.cat([pool(encoder, examples, batch, precision) for batch in batches])


def _cut(stretches: list[Stretch], size: int) -> list[list[Stretch]]:
    return [stretches[k : k + size] for k in range(0, len(stretches), size)]


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


def linear_warmup_decay(step: int, n_steps: int, warmup: float) -> float:
    """Factor on the learning rate: up over the first share of the steps, then down to zero.

    Above 0 and at most 1 at every step: ``step`` counts from 0 to ``n_steps - 1``.
    """
    n_warmup = warmup * n_steps
    if step + 1 < n_warmup:
        return (step + 1) / n_warmup
    return min(1.0, (n_steps - step) / max(n_steps - n_warmup, 1))


def run_digest(
    encoder: SpeechEncoder,
    training: list[TuningStory],
    validation: list[TuningStory],
    settings: TuningSettings,
    seed: int,
) -> str:
    """SHA-256 of what a run depends on: a checkpoint of any other run is not taken up."""
    names = [[story.name for story in stories] for stories in (training, validation)]
    digest = hashlib.sha256(repr((settings, seed, names)).encode())
    for weights in encoder.model.state_dict().values():
        digest.update(np.ascontiguousarray(weights.cpu()))
    for story in [*training, *validation]:
        for values in (story.waveform, story.times, story.responses):
            digest.update(np.ascontiguousarray(values))
    return digest.hexdigest()


class TuningRun:
    """One tuning run; its state after each epoch can be written and taken up again."""

    def __init__(self, encoder, training, validation, settings: TuningSettings, seed: int):
        self.encoder = encoder.copy()
        self.settings = settings
        self.seed = seed
        self.run = run_digest(encoder, training, validation, settings, seed)
        self.training = Examples(self.encoder, training, settings)
        self.validation = Examples(self.encoder, validation, settings)
        self.trs = self.training.trs_per_stretch
        stretches = self.training.stretches([0] * len(training))
        self.head = _Head(encoder.hidden_size, training[0].responses.shape[1])
        if settings.standardize:
            self.head.standardize(pooled_features(self.encoder, self.training, settings.precision))
        self.head.to(self.encoder.device)
        # A random offset can add one stretch per story to an epoch.
        n_batches = math.ceil((len(stretches) + len(training)) / self._stretches_per_step)
        self.n_steps = settings.epochs * n_batches
        self.optimizer = torch.optim.AdamW(
            [
                {"params": self.encoder.transformer_parameters(), "lr": settings.transformer_lr},
                {"params": self.head.parameters(), "lr": settings.head_lr},
            ],
            weight_decay=0.0,
            fused=True,
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer,
            lambda step: linear_warmup_decay(step, self.n_steps, settings.warmup),
        )
        self.training_loss: list[float] = []
        self.validation_loss: list[float] = []
        self.best: dict[str, torch.Tensor] = {}

    @property
    def _stretches_per_step(self) -> int:
        return max(1, self.settings.batch_trs // self.trs)

    def train_epoch(self) -> None:
        """One pass over all training TRs, and the validation loss after it.

        An epoch's randomness follows from the seed and the epoch's number, so that a run that was
        taken up again goes on as if it had not stopped.
        """
        epoch = len(self.training_loss)
        rng = np.random.default_rng([self.seed, epoch])
        offsets = rng.integers(0, self.trs, len(self.training.windows))
        stretches = self.training.stretches(offsets)
        stretches = [stretches[k] for k in rng.permutation(len(stretches))]
        total = 0.0
        self.encoder.model.train()
        device = self.encoder.device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(int(rng.integers(2**31)))  # of dropout
            for batch in _cut(stretches, self._stretches_per_step):
                total += self.step(batch)
        self.training_loss.append(total / sum(map(len, self.training.targets)))
        self.validation_loss.append(self.validate())
        if not math.isfinite(self.validation_loss[-1]):
            raise ValueError(
                f"the validation loss of epoch {epoch + 1} is not finite: tuning diverged; lower"
                " `tuning.transformer_lr` and `tuning.head_lr` in the parameter file"
            )
        if self.best_epoch == epoch:
            self.best = {k: v.clone() for k, v in self.encoder.model.state_dict().items()}

    def step(self, batch: list[Stretch]) -> float:
        """One optimiser step; returns the squared error, summed over TRs."""
        n_trs = sum(len(stretch.rows) for stretch in batch)
        total = 0.0
        self.optimizer.zero_grad()
        for part in _cut(batch, self.settings.stretches_at_once):
            targets = self.training.responses(part).to(self.encoder.device)
            pooled = pool(self.encoder, self.training, part, self.settings.precision)
            loss = nn.functional.mse_loss(self.head(pooled), targets)
            (loss * (len(targets) / n_trs)).backward()
            total += loss.item() * len(targets)
        nn.utils.clip_grad_norm_(self.encoder.transformer_parameters(), GRADIENT_NORM)
        self.optimizer.step()
        self.schedule.step()
        return total

    @torch.no_grad()
    def validate(self) -> float:
        """Mean squared error over the validation stories, in eval mode."""
        pooled = pooled_features(self.encoder, self.validation, self.settings.precision)
        targets = torch.cat(self.validation.targets).to(self.encoder.device)
        return nn.functional.mse_loss(self.head(pooled), targets).item()

    @property
    def best_epoch(self) -> int:
        """Epoch of lowest validation loss so far, counted from 0."""
        return int(np.argmin(self.validation_loss))

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or the validation loss has not fallen for long enough."""
        done = len(self.validation_loss)
        if done == 0:
            return False
        return done == self.settings.epochs or done - 1 - self.best_epoch >= self.settings.patience

    _STATEFUL = ("head", "optimizer", "schedule")

    def save(self, path: Path) -> None:
        """Write all that changes during the run, atomically."""
        state = {name: getattr(self, name).state_dict() for name in self._STATEFUL}
        state["run"] = self.run
        state["model"] = self.encoder.model.state_dict()
        state["best"] = self.best
        state["training_loss"] = self.training_loss
        state["validation_loss"] = self.validation_loss
        with atomic_path(path) as temporary:
            torch.save(state, temporary)

    def restore(self, path: Path) -> None:
        """Take up the state that :meth:`save` wrote, if it was in this run."""
        state = torch.load(path, map_location=self.encoder.device, weights_only=True)
        if state["run"] != self.run:
            return
        for name in self._STATEFUL:
            getattr(self, name).load_state_dict(state[name])
        self.encoder.model.load_state_dict(state["model"])
        self.best = state["best"]
        self.training_loss = state["training_loss"]
        self.validation_loss = state["validation_loss"]


def brain_tune(
    encoder: SpeechEncoder,
    training: list[TuningStory],
    validation: list[TuningStory],
    settings: TuningSettings,
    seed: int,
    checkpoint: Path | None = None,
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

    Returns
    -------
    TuningResult

    Raises
    ------
    ValueError
        If the stories' voxels differ, a sound is shorter than its responses, or the loss diverges.
    """
    voxels = {story.responses.shape[1] for story in [*training, *validation]}
    if len(voxels) != 1:
        raise ValueError(f"the stories have different numbers of voxels: {sorted(voxels)}")
    loop = TuningRun(encoder, training, validation, settings, seed)
    if checkpoint is not None and checkpoint.exists():
        loop.restore(checkpoint)
    progress = Progress("epochs", settings.epochs - len(loop.training_loss))
    while not loop.finished:
        loop.train_epoch()
        if checkpoint is not None:
            loop.save(checkpoint)
        progress.advance(
            f"loss {loop.training_loss[-1]:.4f}, validation {loop.validation_loss[-1]:.4f}"
        )
    loop.encoder.model.load_state_dict(loop.best)
    loop.encoder.model.eval()
    return TuningResult(loop.encoder, loop.training_loss, loop.validation_loss, loop.best_epoch)
