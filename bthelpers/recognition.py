"""Speech recognition: fine-tuning a whole speech model by CTC (ICLR paper, appendix B).

Transformer and spelling layer are tuned together, and the front end stays frozen, as in the
fine-tuning of Wav2vec2 (Baevski et al., 2020). Validation clips choose the epoch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import ctc_loss

from bthelpers.front_ends import MelFrontEnd
from bthelpers.recognizer import Example, Recognizer
from bthelpers.settings import RecognitionSettings
from bthelpers.speech import SpeechEncoder
from bthelpers.timit import TimitClip
from bthelpers.training import EpochRun, cut
from bthelpers.transcription import BLANK, spell, word_error_rate


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


class RecognitionRun(EpochRun):
    """One fine-tuning."""

    rates = "`recognition.learning_rate`"
    kept = ("model", "head")
    measure = "WER"

    def __init__(self, encoder, training, validation, settings: RecognitionSettings, seed: int):
        super().__init__(encoder, settings, seed)
        self.recognizer = Recognizer(self.encoder, settings.precision)
        self.validation = self.recognizer.examples(validation)
        examples = self.recognizer.examples(training)
        everything = [*examples, *self.validation]
        self._identify(
            [example.text for example in everything],
            [encoder.model],
            (example.frames for example in everything),
        )
        self.training = [example for example in examples if example.feasible]
        self.n_infeasible = len(examples) - len(self.training)
        if not self.training:
            raise ValueError(
                f"none of {len(examples)} training clips has as many tokens as its text needs:"
                " check that sounds and texts belong together"
            )
        weights = [*self.encoder.transformer_parameters(), *self.recognizer.head.parameters()]
        self._optimise(
            self.recognizer.modules,
            [{"params": weights, "lr": settings.learning_rate}],
            settings.epochs * math.ceil(len(self.training) / settings.batch_clips),
        )

    def _batches(self, rng: np.random.Generator) -> list[list[Example]]:
        shuffled = [self.training[k] for k in rng.permutation(len(self.training))]
        return cut(shuffled, self.settings.batch_clips)

    def _pass(self, batches: list[list[Example]], rng: np.random.Generator) -> float:
        return float(np.mean([self.step(batch) for batch in batches]))

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
        self._descend()
        return loss.item()

    def validate(self) -> float:
        """Word error rate on the validation clips."""
        return word_error_rate(self.recognizer.word_errors(self.validation))


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
    loop.train(checkpoint)
    return RecognitionResult(
        loop.recognizer,
        loop.training_loss,
        loop.validation_loss,
        loop.best_epoch,
        loop.n_infeasible,
    )
