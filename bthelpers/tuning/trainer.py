"""Training in epochs, which can stop after any of them and go on to the same result.

Brain-tuning, stimulus-tuning and recognition share this loop, its schedule of learning rates, and
its clipping of gradients.
"""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from bthelpers.core.files import atomic_path
from bthelpers.core.progress import Progress
from bthelpers.models.speech import SpeechEncoder
from bthelpers.params.settings import RecognitionSettings, StimulusSettings, TuningSettings

GRADIENT_NORM = 1.0


def linear_warmup_decay(step: int, n_steps: int, warmup: float) -> float:
    """Factor on the learning rate: up over the first share of the steps, then down to zero.

    Above 0 and at most 1 at every step: ``step`` counts from 0 to ``n_steps - 1``.
    """
    n_warmup = warmup * n_steps
    if step + 1 < n_warmup:
        return (step + 1) / n_warmup
    return min(1.0, (n_steps - step) / max(n_steps - n_warmup, 1))


def cut(items: Sequence, size: int) -> list[Sequence]:
    """Pieces of so many items; the last may have fewer."""
    return [items[first : first + size] for first in range(0, len(items), size)]


class EpochRun(ABC):
    """A training in epochs; its state after each of them can be written and taken up again.

    Its subclasses call `_identify` and `_optimise` as they are made.

    Attributes
    ----------
    encoder : SpeechEncoder
        Copy of the one that was given; it is trained.
    training_loss, validation_loss : list of float, one per epoch
        What `_pass` and `validate` returned.
    best : dict
        Weights of the modules in ``kept`` after the best epoch so far, by the module's name.
    """

    rates: ClassVar[str]  # parameters to lower where the loss diverges
    kept: ClassVar[tuple[str, ...]]  # names of modules
    measure: ClassVar[str] = "loss"  # that `validate` returns

    def __init__(
        self,
        encoder: SpeechEncoder,
        settings: TuningSettings | StimulusSettings | RecognitionSettings,
        seed: int,
    ):
        self.encoder, self.settings, self.seed = encoder.copy(), settings, seed
        self.training_loss: list[float] = []
        self.validation_loss: list[float] = []
        self.best: dict[str, dict[str, torch.Tensor]] = {}

    def _identify(
        self,
        names: Iterable,
        modules: Iterable[nn.Module],
        arrays: Iterable[np.ndarray | torch.Tensor],
    ) -> None:
        """Take the SHA-256 of what the run depends on, beside settings and seed.

        A checkpoint of any other run is not taken up.
        """
        digest = hashlib.sha256(repr([self.settings, self.seed, *names]).encode())
        weights = (value.cpu() for module in modules for value in module.state_dict().values())
        for values in chain(weights, arrays):
            digest.update(np.ascontiguousarray(values))
        self.run = digest.hexdigest()

    def _optimise(self, modules: Mapping[str, nn.Module], groups: list[dict], n_steps: int) -> None:
        """Say what is trained, and the weights that have a learning rate of their own."""
        self.modules = modules
        self.optimizer = torch.optim.AdamW(groups, weight_decay=0.0, fused=True)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: linear_warmup_decay(step, n_steps, self.settings.warmup)
        )

    @abstractmethod
    def _batches(self, rng: np.random.Generator) -> list[list]:
        """What the steps of an epoch learn from, in the order that is drawn."""

    @abstractmethod
    def _pass(self, batches: list[list], rng: np.random.Generator) -> float:
        """Make a step per batch; returns their mean loss."""

    @abstractmethod
    def validate(self) -> float:
        """The lower, the better the epoch. Modules are in evaluation mode, without gradients."""

    @property
    def best_epoch(self) -> int:
        """First epoch of lowest validation loss so far, counted from 0."""
        return int(np.argmin(self.validation_loss))

    @property
    def finished(self) -> bool:
        """Whether all epochs are done."""
        return len(self.validation_loss) == self.settings.epochs

    def train_epoch(self) -> None:
        """One pass over the training data, and the validation after it.

        An epoch's randomness follows from the seed and the epoch's number, so that a run that was
        taken up again goes on as if it had not stopped.
        """
        epoch = len(self.validation_loss)
        rng = np.random.default_rng([self.seed, epoch])
        batches = self._batches(rng)
        self._set_training(True)
        device = self.encoder.device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(int(rng.integers(2**31)))  # of dropout, and of a quantizer
            self.training_loss.append(self._finite(self._pass(batches, rng)))
        self._set_training(False)
        with torch.no_grad():
            self.validation_loss.append(self._finite(self.validate()))
        if self.best_epoch == epoch:
            self.best = {
                name: {key: value.clone() for key, value in self.modules[name].state_dict().items()}
                for name in self.kept
            }

    def _set_training(self, training: bool) -> None:
        for module in self.modules.values():
            module.train(training)

    def _finite(self, loss: float) -> float:
        if not math.isfinite(loss):
            raise ValueError(
                f"the loss of epoch {len(self.validation_loss) + 1} is not finite: training"
                f" diverged; lower {self.rates} in the parameter file"
            )
        return loss

    def _descend(self) -> None:
        """One step of the optimiser; gradients of the first group of weights are clipped."""
        nn.utils.clip_grad_norm_(self.optimizer.param_groups[0]["params"], GRADIENT_NORM)
        self.optimizer.step()
        self.schedule.step()

    def train(self, checkpoint: Path | None) -> None:
        """Train to the end, from a checkpoint that this run left; it is written after each epoch.

        Modules end in evaluation mode, those of ``kept`` with the weights of the best epoch.
        """
        if checkpoint is not None and checkpoint.exists():
            self.restore(checkpoint)
        progress = Progress("epochs", self.settings.epochs - len(self.validation_loss))
        while not self.finished:
            self.train_epoch()
            if checkpoint is not None:
                self.save(checkpoint)
            progress.advance(
                f"loss {self.training_loss[-1]:.4f},"
                f" validation {self.measure} {self.validation_loss[-1]:.4f}"
            )
        for name, weights in self.best.items():
            self.modules[name].load_state_dict(weights)
        self._set_training(False)

    @property
    def _stateful(self) -> dict:
        return {**self.modules, "optimizer": self.optimizer, "schedule": self.schedule}

    _PLAIN = ("run", "training_loss", "validation_loss", "best")

    def save(self, path: Path) -> None:
        """Write all that changes during the run, atomically."""
        state = {name: part.state_dict() for name, part in self._stateful.items()}
        state |= {name: getattr(self, name) for name in self._PLAIN}
        with atomic_path(path) as temporary:
            torch.save(state, temporary)

    def restore(self, path: Path) -> None:
        """Take up the state that `save` wrote, if it was in this run."""
        state = torch.load(path, map_location=self.encoder.device, weights_only=True)
        if state["run"] != self.run:
            return
        for name, part in self._stateful.items():
            part.load_state_dict(state[name])
        for name in self._PLAIN:
            setattr(self, name, state[name])
