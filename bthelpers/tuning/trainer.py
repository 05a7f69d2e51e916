"""Training in epochs, which can stop after any of them and go on to the same result.

Brain-tuning, stimulus-tuning and recognition give this loop their modules, batches and losses. Its
optimiser step is also that of the miniatures, which are trained by steps and not by epochs.
"""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from bthelpers.core.checksums import checked_path, is_intact
from bthelpers.core.progress import Progress
from bthelpers.models.devices import average_over_processes, of_first, process_index

GRADIENT_NORM = 1.0


def linear_warmup_decay(step: int, n_steps: int, warmup: float) -> float:
    """Factor on the learning rate: up over the first share of the steps, then down to zero.

    Above 0 and at most 1 at every step: ``step`` counts from 0 to ``n_steps - 1``.

    Examples
    --------
    >>> [linear_warmup_decay(step, n_steps=8, warmup=0.5) for step in range(8)]
    [0.25, 0.5, 0.75, 1.0, 1.0, 0.75, 0.5, 0.25]
    """
    n_warmup = warmup * n_steps
    if step + 1 < n_warmup:
        return (step + 1) / n_warmup
    return min(1.0, (n_steps - step) / max(n_steps - n_warmup, 1))


def batched(items: Sequence, size: int) -> list[Sequence]:
    """Pieces of so many items; the last may have fewer.

    Examples
    --------
    >>> batched([1, 2, 3, 4, 5], 2)
    [[1, 2], [3, 4], [5]]
    """
    return [items[first : first + size] for first in range(0, len(items), size)]


def shuffled_batches(items: Sequence, size: int, rng: np.random.Generator) -> list[Sequence]:
    """Items in random order, so many a batch; the last may have fewer."""
    return batched([items[k] for k in rng.permutation(len(items))], size)


def descend(
    optimizer: torch.optim.Optimizer, schedule: torch.optim.lr_scheduler.LRScheduler
) -> None:
    """One step along the gradients, of which the first group's are clipped; they are used up."""
    nn.utils.clip_grad_norm_(optimizer.param_groups[0]["params"], GRADIENT_NORM)
    optimizer.step()
    schedule.step()
    optimizer.zero_grad()


def run_digest(
    plain: Sequence, modules: Iterable[nn.Module], arrays: Iterable[np.ndarray | torch.Tensor]
) -> str:
    """SHA-256 of what a training depends on.

    Parameters
    ----------
    plain : sequence
        Settings, seed and names, told apart by their ``repr``.
    modules : iterable of Module
        With the weights that they start from.
    arrays : iterable of array or tensor
        What is learnt from.
    """
    digest = hashlib.sha256(repr(plain).encode())
    weights = (value.cpu() for module in modules for value in module.state_dict().values())
    for values in chain(weights, arrays):
        digest.update(np.ascontiguousarray(values))
    return digest.hexdigest()


def mean_over_items(steps: Sequence[tuple[float, int]]) -> float:
    """Mean of losses that steps return as (sum over items, number of items)."""
    sums, n_items = zip(*steps, strict=True)
    return sum(sums) / sum(n_items)


@dataclass(frozen=True)
class Schedule:
    """How long a training goes on, and at which share of its learning rates.

    Attributes
    ----------
    epochs : int
        At most.
    steps_per_epoch : int
        At most: the learning rates are 0 after so many steps in all epochs.
    warmup : float
        Share of the steps in which the learning rates rise; they fall linearly after it.
    patience : int, optional
        Epochs without a better validation after which training stops.
    stop_after : int, optional
        Epochs after which it stops in any case, with the learning rates of ``epochs``.

    Raises
    ------
    ValueError
        If it were to stop after the last epoch.
    """

    epochs: int
    steps_per_epoch: int
    warmup: float
    patience: int | None = None
    stop_after: int | None = None

    def __post_init__(self):
        if not 0 <= self.last <= self.epochs:
            raise ValueError(
                f"training cannot stop after {self.last} epochs: {self.epochs} are planned"
            )

    @property
    def last(self) -> int:
        """Epochs that are trained at most."""
        return self.epochs if self.stop_after is None else self.stop_after

    def factor(self, step: int) -> float:
        """Factor on the learning rates."""
        return linear_warmup_decay(step, self.epochs * self.steps_per_epoch, self.warmup)


@dataclass
class Trainer:
    """A training in epochs; its state after each of them can be written and taken up again.

    Attributes
    ----------
    modules : mapping of str to Module
        What is trained, by the names under which checkpoints hold it.
    groups : list of dict
        Of ``params`` and their ``lr``, as of a PyTorch optimiser. Gradients of the first are
        clipped.
    batches : callable
        Draws, with a Generator, what the steps of an epoch learn from.
    backward : callable
        Adds the gradients of the loss of a batch; a Generator makes what is random about it.
        Returns a number or several, which `average` takes. Where several processes share the run,
        gradients and numbers are averaged over them.
    validate : callable
        The lower its value, the better the epoch. Modules are in evaluation mode, without
        gradients.
    schedule : Schedule
    seed : int
    run : str
        Digest of all that the result depends on: a checkpoint of another run is not taken up.
    rates : str
        Parameters to lower where the loss diverges.
    kept : tuple of str
        Modules that get back their weights of the best epoch; others keep those of the last.
    average : callable
        Loss of an epoch, from a list of what `backward` returned.
    measure : str
        What `validate` returns.
    candidate : bool
        Whether the modules as they begin are one, beside those of each epoch. It then counts as
        epoch -1.
    before : list of float
        Validation loss of that candidate.
    training_loss, validation_loss : list of float, one per epoch
    best : dict
        Weights of the ``kept`` modules after the best epoch so far, by the module's name.
    """

    modules: Mapping[str, nn.Module]
    groups: list[dict]
    batches: Callable[[np.random.Generator], list]
    backward: Callable[[Any, np.random.Generator], Any]
    validate: Callable[[], float]
    schedule: Schedule
    seed: int
    run: str
    rates: str
    kept: tuple[str, ...] = ()
    average: Callable[[list], float] = mean_over_items
    measure: str = "loss"
    candidate: bool = False

    def __post_init__(self):
        self.optimizer = torch.optim.AdamW(self.groups, weight_decay=0.0, fused=True)
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self.schedule.factor)
        self.device = self.optimizer.param_groups[0]["params"][0].device
        self.training_loss: list[float] = []
        self.validation_loss: list[float] = []
        self.before: list[float] = []
        self.best: dict[str, dict[str, torch.Tensor]] = {}

    def train(self, checkpoint: Path | None = None) -> None:
        """Train to the end, from a checkpoint that this run left; it is written after each epoch.

        Modules end in evaluation mode, those of ``kept`` with the weights of the best epoch.

        Raises
        ------
        ValueError
            If a loss is not finite.
        """
        if checkpoint is not None and checkpoint.exists():
            self.restore(checkpoint)
        average_over_processes([torch.zeros(1)])  # none goes on before all have read the checkpoint
        if self.candidate and not self.before:
            self.before.append(self._validated())
            self._keep()
        progress = Progress("epochs", self.schedule.last - len(self.validation_loss))
        while not self.finished:
            self.train_epoch()
            if checkpoint is not None and process_index() == 0:
                self.save(checkpoint)
            progress.advance(
                f"loss {self.training_loss[-1]:.4f},"
                f" validation {self.measure} {self.validation_loss[-1]:.4f}"
            )
        for name, weights in self.best.items():
            self.modules[name].load_state_dict(weights)
        self._set_training(False)

    def train_epoch(self) -> None:
        """One pass over the training data, and the validation after it.

        An epoch's randomness follows from the seed and the epoch's number, so that a run that was
        taken up again goes on as if it had not stopped.
        """
        epoch = len(self.validation_loss)
        rng = np.random.default_rng([self.seed, epoch])
        batches = self.batches(rng)
        self._set_training(True)
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            # Of dropout, and of a quantizer.
            torch.manual_seed(int(rng.integers(2**31)) + process_index())
            losses = torch.tensor([self.step(batch, rng) for batch in batches], dtype=torch.float64)
        average_over_processes([losses])
        self.training_loss.append(self._finite(self.average(losses.tolist())))
        self.validation_loss.append(self._validated())
        if self.best_epoch == epoch:
            self._keep()

    def step(self, batch: Any, rng: np.random.Generator) -> Any:
        """One optimiser step; returns what `backward` does."""
        loss = self.backward(batch, rng)
        weights = (weight for group in self.optimizer.param_groups for weight in group["params"])
        average_over_processes(weight.grad for weight in weights if weight.grad is not None)
        descend(self.optimizer, self.scheduler)
        return loss

    @property
    def best_epoch(self) -> int:
        """First epoch of lowest validation loss so far, counted from 0; -1: as it began."""
        return int(np.argmin([*self.before, *self.validation_loss])) - len(self.before)

    @property
    def kept_epoch(self) -> int:
        """Epoch whose weights are kept, counted from 0: the best one, or else the last so far."""
        return self.best_epoch if self.kept else len(self.validation_loss) - 1

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or the validation loss has not fallen for long enough."""
        done, patience = len(self.validation_loss), self.schedule.patience
        return done == self.schedule.last or (
            done > 0 and patience is not None and done - 1 - self.best_epoch >= patience
        )

    def save(self, path: Path) -> None:
        """Write all that changes during the run, atomically, with its checksum beside it."""
        state = {name: part.state_dict() for name, part in self._stateful.items()}
        state |= {name: getattr(self, name) for name in self._PLAIN}
        with checked_path(path) as temporary:
            torch.save(state, temporary)

    def restore(self, path: Path) -> None:
        """Take up the state that `save` wrote, if it was in this run and is as it was written."""
        if not is_intact(path):
            print(f"{path} is not as it was written: training begins anew", file=sys.stderr)
            return
        state = torch.load(path, map_location=self.device, weights_only=True)
        if state["run"] != self.run:
            return
        for name, part in self._stateful.items():
            part.load_state_dict(state[name])
        for name in self._PLAIN:
            setattr(self, name, state[name])

    _PLAIN = ("run", "training_loss", "validation_loss", "before", "best")

    @property
    def _stateful(self) -> dict:
        return {**self.modules, "optimizer": self.optimizer, "schedule": self.scheduler}

    def _set_training(self, training: bool) -> None:
        for module in self.modules.values():
            module.train(training)

    def _validated(self) -> float:
        self._set_training(False)
        with torch.no_grad():
            return self._finite(of_first(self.validate))

    def _keep(self) -> None:
        self.best = {
            name: {key: value.clone() for key, value in self.modules[name].state_dict().items()}
            for name in self.kept
        }

    def _finite(self, loss: float) -> float:
        if not math.isfinite(loss):
            raise ValueError(
                f"the loss of epoch {len(self.validation_loss) + 1} is not finite: training"
                f" diverged; lower {self.rates} in the parameter file"
            )
        return loss
