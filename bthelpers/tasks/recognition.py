"""Speech recognition: fine-tuning a whole speech model by CTC (ICLR paper, appendix B).

Transformer and spelling layer are tuned together, and the front end stays frozen, as in the
fine-tuning of Wav2vec2 (Baevski et al., 2020). Validation clips choose the epoch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from torch import nn
from torch.nn.functional import ctc_loss
from torch.nn.utils.rnn import pad_sequence

from bthelpers.models.devices import BatchSize
from bthelpers.models.front_ends import MelFrontEnd
from bthelpers.models.speech import WAVEFORMS_AT_ONCE, SpeechEncoder
from bthelpers.params.evaluations import RecognitionSettings
from bthelpers.statistics.bootstrap import clustered_counts
from bthelpers.tasks.clip_features import problem_of, refuse_clips
from bthelpers.tasks.clips import read_waveform
from bthelpers.tasks.timit import TimitClip
from bthelpers.tasks.transcription import (
    ALPHABET,
    BLANK,
    checked_texts,
    n_tokens_needed,
    read_classes,
    spell,
    word_error_rate,
    word_errors,
)
from bthelpers.tuning.trainer import Schedule, Trainer, batched, run_digest, shuffled_batches

SMALLER = "set `recognition.precision` to bfloat16, or take a smaller model"


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


class FineTuning:
    """A recogniser of a copy of a speech model, and the trainer that teaches it to spell.

    Parameters are those of `fine_tune`.
    """

    def __init__(self, encoder, training, validation, settings: RecognitionSettings, seed: int):
        self.recognizer = recognizer = Recognizer(encoder.copy(), settings.precision)
        held_out = recognizer.examples(validation)
        examples = recognizer.examples(training)
        feasible = [example for example in examples if example.feasible]
        self.n_infeasible = len(examples) - len(feasible)
        if not feasible:
            raise ValueError(
                f"none of {len(examples)} training clips has as many tokens as its text needs:"
                " check that sounds and texts belong together"
            )
        self.at_once = BatchSize(
            settings.batch_clips, "clips", f"lower `recognition.batch_clips`, {SMALLER}"
        )
        everything = [*examples, *held_out]
        weights = [*recognizer.encoder.transformer_parameters(), *recognizer.head.parameters()]
        n_steps = math.ceil(len(feasible) / settings.batch_clips)
        self.trainer = Trainer(
            modules=recognizer.modules,
            groups=[{"params": weights, "lr": settings.learning_rate}],
            batches=lambda rng: shuffled_batches(feasible, settings.batch_clips, rng),
            backward=self.backward,
            validate=lambda: word_error_rate(recognizer.word_errors(held_out)),
            schedule=Schedule(settings.epochs, n_steps, settings.warmup),
            seed=seed,
            run=run_digest(
                [settings, seed, *(example.text for example in everything)],
                [encoder.model],
                (example.frames for example in everything),
            ),
            rates="`recognition.learning_rate`",
            kept=("model", "head"),
            average=lambda losses: float(np.mean(losses)),
            measure="WER",
        )

    def backward(self, batch: Sequence[Example], rng: np.random.Generator) -> float:
        """Gradients of the loss per character, which is returned."""
        return self.at_once.run(partial(self._gradients, batch), self.trainer.optimizer.zero_grad)

    def _gradients(self, batch: Sequence[Example], at_once: int) -> float:
        total = 0.0
        for part in batched(batch, at_once):
            loss = self._loss(part) * (len(part) / len(batch))  # each clip counts the same
            loss.backward()
            total += loss.item()
        return total

    def _loss(self, clips: Sequence[Example]) -> torch.Tensor:
        frames = [example.frames for example in clips]
        targets = [torch.tensor(spell(example.text)) for example in clips]
        # On the CPU, because the gradient that CUDA computes differs from run to run.
        log_probabilities = self.recognizer.log_probabilities(frames).transpose(0, 1).cpu()
        lengths = [torch.tensor([len(one) for one in some]) for some in (frames, targets)]
        return ctc_loss(log_probabilities, torch.cat(targets), *lengths, blank=BLANK)


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
    tuning = FineTuning(encoder, training, validation, settings, seed)
    trainer = tuning.trainer
    trainer.train(checkpoint)
    return RecognitionResult(
        tuning.recognizer,
        trainer.training_loss,
        trainer.validation_loss,
        trainer.best_epoch,
        tuning.n_infeasible,
    )


@dataclass(frozen=True)
class Example:
    """What the front end makes of a clip, (frame, channel) in main memory, and its text."""

    frames: torch.Tensor
    text: str

    @property
    def feasible(self) -> bool:
        """Whether CTC can spell the text in so many tokens."""
        return n_tokens_needed(self.text) <= len(self.frames)


class Recognizer:
    """A speech model with a linear layer on top, which starts at zero.

    Parameters
    ----------
    encoder : SpeechEncoder
        Of a self-supervised model.
    precision : str
        Of its arithmetic, "float32" or "bfloat16".
    """

    def __init__(self, encoder: SpeechEncoder, precision: str):
        self.encoder, self.precision = encoder, precision
        # Plain nn.Linear would draw from the global random numbers.
        head = nn.utils.skip_init(nn.Linear, encoder.hidden_size, len(ALPHABET) + 1)
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
        self.head = head.to(encoder.device)

    @property
    def modules(self) -> dict[str, nn.Module]:
        """What is tuned."""
        return {"model": self.encoder.model, "head": self.head}

    def examples(self, clips: Sequence[TimitClip]) -> list[Example]:
        """Read clips; each goes through the front end by itself.

        Raises
        ------
        ValueError
            If sounds are silent, not finite or shorter than one token, or texts are empty or cannot
            be spelt; the message names the clips.
        """
        texts = checked_texts({clip.name: clip.text for clip in clips})
        waveforms = [read_waveform(clip.path) for clip in clips]
        problems = [problem_of(self.encoder, waveform) for waveform in waveforms]
        named = zip(clips, problems, strict=True)
        refuse_clips({clip.name: problem for clip, problem in named if problem}, len(clips))
        front_end, device = self.encoder.front_end, self.encoder.device
        return [
            Example(front_end(front_end.prepare(waveform), device).T.cpu(), text)
            for waveform, text in zip(waveforms, texts, strict=True)
        ]

    def log_probabilities(self, frames: Sequence[torch.Tensor]) -> torch.Tensor:
        """Log probability of each class, float32 of shape (clip, token, class).

        Shorter clips are filled up and masked: each gets what it would get alone. What follows a
        clip's own tokens means nothing.
        """
        encoder = self.encoder
        lengths = torch.tensor([len(one) for one in frames], device=encoder.device)
        # transformers wants to know which samples are sound, and counts the frames from them.
        n_samples = (lengths - 1) * encoder.hop + encoder.receptive_field
        mask = torch.arange(int(n_samples.max()), device=encoder.device) < n_samples[:, None]
        inputs = pad_sequence(list(frames), batch_first=True).to(encoder.device)
        with encoder.autocast(self.precision):
            states = encoder.model(inputs.mT, attention_mask=mask.long()).last_hidden_state
        return self.head(states.float()).log_softmax(dim=-1)

    @torch.no_grad()
    def transcribe(self, examples: Sequence[Example]) -> list[str]:
        """Texts by the likeliest class of each token."""
        self.encoder.model.eval()
        return BatchSize(WAVEFORMS_AT_ONCE, "clips", SMALLER).run(partial(self._texts, examples))

    def _texts(self, examples: Sequence[Example], at_once: int) -> list[str]:
        texts = []
        for batch in batched(examples, at_once):
            frames = [example.frames for example in batch]
            likeliest = self.log_probabilities(frames).argmax(dim=-1).cpu()
            texts += [
                read_classes(classes[: len(one)].tolist())
                for classes, one in zip(likeliest, frames, strict=True)
            ]
        return texts

    def word_errors(self, examples: Sequence[Example]) -> np.ndarray:
        """Errors and words of each clip, int array (clip, 2)."""
        return word_errors([example.text for example in examples], self.transcribe(examples))


def evaluate(
    recognizer: Recognizer, clips: Sequence[TimitClip], n_draws: int, seed: int
) -> xr.Dataset:
    """Word error rate on test clips.

    Parameters
    ----------
    recognizer : Recognizer
    clips : sequence of TimitClip
    n_draws, seed : int
        Of the bootstrap over speakers; one seed pairs the draws of two models.

    Returns
    -------
    Dataset
        Scalars ``wer``, ``accuracy`` (1 - WER, negative where words are made up), ``n_words`` and
        ``n_infeasible``: clips whose text CTC cannot spell in their tokens, which are counted in
        the rate. ``wer_draws`` (draw), each of as many speakers as ``n_drawn`` (draw) says.

    Raises
    ------
    ValueError
        As `fine_tune`.
    """
    examples = recognizer.examples(clips)
    errors = recognizer.word_errors(examples)
    clusters = [clip.cluster for clip in clips]
    resampled = clustered_counts(clusters, n_draws, seed) @ errors
    wer = word_error_rate(errors)
    return xr.Dataset(
        {
            "wer": wer,
            "accuracy": 1 - wer,
            "wer_draws": ("draw", (resampled[:, 0] / resampled[:, 1]).astype(np.float32)),
            "n_words": errors[:, 1].sum(),
            "n_infeasible": sum(not example.feasible for example in examples),
        },
        {"n_drawn": ("draw", np.full(n_draws, len(set(clusters)), np.int32))},
    )
