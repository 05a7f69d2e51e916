"""Speech recognition: fine-tuning a whole speech model by CTC (ICLR paper, appendix B).

Transformer and spelling layer are tuned together, and the front end stays frozen, as in the
fine-tuning of Wav2vec2 (Baevski et al., 2020). Validation clips choose the epoch.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.functional import ctc_loss

from bthelpers.front_ends import MelFrontEnd
from bthelpers.progress import Progress
from bthelpers.recognizer import Example, Recognizer
from bthelpers.results import atomic_path
from bthelpers.settings import RecognitionSettings
from bthelpers.speech import SpeechEncoder
from bthelpers.timit import TimitClip
from bthelpers.transcription import BLANK, spell, word_error_rate
from bthelpers.tuning import GRADIENT_NORM, linear_warmup_decay


@dataclass(frozen=True)
class RecognitionResult:
    """A recogniser and how it came about.

    Attributes
    ----------
    recognizer : Recognizer
        At the first epoch of lowest validation WER.
    training_loss, validation_wer : list of float, one per epoch
        CTC loss per character, averaged over the epoch's steps, and word error rate.
    best_epoch : int
        Counted from 0.
    n_infeasible : int
        Training clips that were left out, because CTC needs more tokens to spell their text.
    """

    recognizer: Recognizer
    training_loss: list[float]
    validation_wer: list[float]
    best_epoch: int
    n_infeasible: int


class RecognitionRun:
    """One fine-tuning; its state after each epoch can be written and taken up again."""

    def __init__(self, encoder, training, validation, settings: RecognitionSettings, seed: int):
        self.settings, self.seed = settings, seed
        self.recognizer = Recognizer(encoder.copy(), settings.precision)
        self.validation = self.recognizer.examples(validation)
        examples = self.recognizer.examples(training)
        self.run = self._digest([*examples, *self.validation])
        self.examples = [example for example in examples if example.feasible]
        self.n_infeasible = len(examples) - len(self.examples)
        if not self.examples:
            raise ValueError(
                f"none of {len(examples)} training clips has as many tokens as its text needs:"
                " check that sounds and texts belong together"
            )
        transformer = self.recognizer.encoder.transformer_parameters()
        self.weights = [*transformer, *self.recognizer.head.parameters()]
        n_steps = settings.epochs * math.ceil(len(self.examples) / settings.batch_clips)
        self.optimizer = torch.optim.AdamW(
            self.weights, settings.learning_rate, weight_decay=0.0, fused=True
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: linear_warmup_decay(step, n_steps, settings.warmup)
        )
        self.training_loss: list[float] = []
        self.validation_wer: list[float] = []
        self.best: dict[str, dict[str, torch.Tensor]] = {}

    def _digest(self, examples: Sequence[Example]) -> str:
        """SHA-256 of what a run depends on: a checkpoint of any other run is not taken up."""
        texts = [example.text for example in examples]
        digest = hashlib.sha256(repr((self.settings, self.seed, texts)).encode())
        tensors = [*self.recognizer.encoder.model.state_dict().values()]
        for tensor in [*tensors, *(example.frames for example in examples)]:
            digest.update(np.ascontiguousarray(tensor.cpu()))
        return digest.hexdigest()

    @property
    def best_epoch(self) -> int:
        """First epoch of lowest validation WER so far, counted from 0."""
        return int(np.argmin(self.validation_wer))

    def train_epoch(self) -> None:
        """One pass over all training clips, and the validation WER after it.

        An epoch's randomness follows from the seed and the epoch's number, so that a run that was
        taken up again goes on as if it had not stopped.
        """
        epoch, size = len(self.training_loss), self.settings.batch_clips
        rng = np.random.default_rng([self.seed, epoch])
        shuffled = [self.examples[k] for k in rng.permutation(len(self.examples))]
        batches = [shuffled[k : k + size] for k in range(0, len(shuffled), size)]
        device = self.recognizer.encoder.device
        self.recognizer.encoder.model.train()
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(int(rng.integers(2**31)))  # of dropout
            self.training_loss.append(float(np.mean([self.step(batch) for batch in batches])))
        if not math.isfinite(self.training_loss[-1]):
            raise ValueError(
                f"the training loss of epoch {epoch + 1} is not finite: fine-tuning diverged;"
                " lower `recognition.learning_rate` in the parameter file"
            )
        self.validation_wer.append(word_error_rate(self.recognizer.word_errors(self.validation)))
        if self.best_epoch == epoch:
            self.best = {
                name: {key: value.clone() for key, value in module.state_dict().items()}
                for name, module in self.recognizer.modules.items()
            }

    def step(self, batch: Sequence[Example]) -> float:
        """One optimiser step; returns the loss per character."""
        frames = [example.frames for example in batch]
        targets = [torch.tensor(spell(example.text)) for example in batch]
        # On the CPU, because the gradient that CUDA computes differs from run to run.
        log_probabilities = self.recognizer.log_probabilities(frames).transpose(0, 1).cpu()
        lengths = [torch.tensor([len(one) for one in some]) for some in (frames, targets)]
        loss = ctc_loss(log_probabilities, torch.cat(targets), *lengths, blank=BLANK)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.weights, GRADIENT_NORM)
        self.optimizer.step()
        self.schedule.step()
        return loss.item()

    def load_best(self) -> None:
        """Take up the weights of the best epoch."""
        for name, module in self.recognizer.modules.items():
            module.load_state_dict(self.best[name])
        self.recognizer.encoder.model.eval()

    @property
    def _stateful(self) -> dict:
        parts = {"optimizer": self.optimizer, "schedule": self.schedule}
        return self.recognizer.modules | parts

    _PLAIN = ("run", "best", "training_loss", "validation_wer")

    def save(self, path: Path) -> None:
        """Write all that changes during the run, atomically."""
        state = {name: part.state_dict() for name, part in self._stateful.items()}
        state |= {name: getattr(self, name) for name in self._PLAIN}
        with atomic_path(path) as temporary:
            torch.save(state, temporary)

    def restore(self, path: Path) -> None:
        """Take up the state that :meth:`save` wrote, if it was in this run."""
        device = self.recognizer.encoder.device
        state = torch.load(path, map_location=device, weights_only=True)
        if state["run"] != self.run:
            return
        for name, part in self._stateful.items():
            part.load_state_dict(state[name])
        for name in self._PLAIN:
            setattr(self, name, state[name])


def fine_tune(
    encoder: SpeechEncoder,
    training: Sequence[TimitClip],
    validation: Sequence[TimitClip],
    settings: RecognitionSettings,
    seed: int,
    checkpoint: Path | None = None,
) -> RecognitionResult:
    """Fine-tune a whole speech model to transcribe clips, by CTC.

    Parameters
    ----------
    encoder : SpeechEncoder
        Of a self-supervised model; it is not changed.
    training, validation : sequence of TimitClip
        The validation clips choose the epoch.
    settings : RecognitionSettings
    seed : int
        Of the order of the clips and of dropout.
    checkpoint : Path, optional
        Written after each epoch. If the file is there, the run goes on from it and ends in the
        same result; one that another run left is replaced.

    Returns
    -------
    RecognitionResult

    Raises
    ------
    ValueError
        If the model is a Whisper, a text is empty or cannot be spelt, a sound is silent or shorter
        than a token, CTC can spell no training text in the tokens of its clip, or the loss
        diverges.
    """
    if isinstance(encoder.front_end, MelFrontEnd):
        raise ValueError(
            "a Whisper is not fine-tuned by CTC: recognition is a task of self-supervised models"
            " only (ICLR paper, appendix B); leave this model out"
        )
    loop = RecognitionRun(encoder, training, validation, settings, seed)
    if checkpoint is not None and checkpoint.exists():
        loop.restore(checkpoint)
    progress = Progress("epochs", settings.epochs - len(loop.training_loss))
    while len(loop.training_loss) < settings.epochs:
        loop.train_epoch()
        if checkpoint is not None:
            loop.save(checkpoint)
        progress.advance(
            f"loss {loop.training_loss[-1]:.3f}, validation WER {loop.validation_wer[-1]:.3f}"
        )
    loop.load_best()
    return RecognitionResult(
        loop.recognizer,
        loop.training_loss,
        loop.validation_wer,
        loop.best_epoch,
        loop.n_infeasible,
    )
