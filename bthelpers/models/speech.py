"""Pretrained speech models: Wav2vec2, HuBERT, WavLM, and the encoder of Whisper.

Sound (mono, 16 kHz) enters through the model's frozen front end, which gives frames; of these,
windows are cut, and the transformer turns a window into tokens, layer by layer.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, PreTrainedModel

from bthelpers.core.checksums import write_sums
from bthelpers.core.files import atomic_folder, write_json
from bthelpers.core.timing import SAMPLE_RATE
from bthelpers.models.attention import FOR_PROCESSORS, call_projections
from bthelpers.models.convolutions import guard_convolutions
from bthelpers.models.devices import autocast
from bthelpers.models.front_ends import (
    ConvolutionalFrontEnd,
    MelFrontEnd,
    StoryFrames,
    WindowFrames,
)
from bthelpers.models.loading import ModelError, explained, lacking, require_finite

FRONT_ENDS = {
    "hubert": ConvolutionalFrontEnd,
    "wav2vec2": ConvolutionalFrontEnd,
    "wavlm": ConvolutionalFrontEnd,
    "whisper": MelFrontEnd,
}
# On a CPU; but a window of Whisper's has 1,500 tokens, whose attention weights would fill the
# memory. Elsewhere transformers chooses.
ATTENTION = dict.fromkeys((("cpu", "hubert"), ("cpu", "wav2vec2")), FOR_PROCESSORS)
WAVEFORMS_AT_ONCE = 16  # that go through the model together
PRETRAINING_ONLY = {"masked_spec_embed"}  # weights that some published checkpoints lack


class HiddenStates(NamedTuple):
    """Every layer's output for some waveforms.

    Attributes
    ----------
    layers : tuple of ``n_layers + 1`` tensors of shape (waveform, token, hidden_size)
        The first is the input of the first transformer layer. Zero from each waveform's length on.
    lengths : int tensor of shape (waveform,)
        Tokens that hold sound.
    """

    layers: tuple[torch.Tensor, ...]
    lengths: torch.Tensor


class SpeechEncoder:
    """A pretrained speech model.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        As ``AutoModel`` gives it.
    extractor : transformers feature extractor, optional
        Its preprocessor; by default that of the family.

    Attributes
    ----------
    model : transformers.PreTrainedModel
        What is called with frames: without its convolutions, and of Whisper only the encoder.
    front_end : ConvolutionalFrontEnd or MelFrontEnd
    hop, receptive_field : int
        Samples from one token to the next, and samples that a token's frame sees.
    """

    def __init__(self, model: PreTrainedModel, extractor=None):
        front_end = _front_end(model.config)
        # Masking and layer drop belong to pretraining.
        model.config.apply_spec_augment = False
        model.config.layerdrop = 0.0
        self._whole = model
        self.model = model.get_encoder() if front_end is MelFrontEnd else model
        self.model.layerdrop = 0.0
        call_projections(self.model)
        guard_convolutions(self.model)
        self.front_end = front_end(self.model, extractor)
        self.hop, self.receptive_field = self.front_end.hop, self.front_end.receptive_field

    @classmethod
    def load(cls, source: str | Path, revision: str | None = None, device="cpu") -> SpeechEncoder:
        """Load from a folder, or from the hub at a revision, which has to be given.

        Raises
        ------
        ModelError
            If there is no such model, it cannot be fetched, its family is not supported, or its
            weights do not fit its configuration.
        """
        with explained(source, revision, "speech") as where:
            config = AutoConfig.from_pretrained(source, **where)
            _front_end(config)  # raises for other families, before their weights are fetched
            extractor = AutoFeatureExtractor.from_pretrained(source, **where)
            model, report = AutoModel.from_pretrained(
                source,
                dtype=torch.float32,
                attn_implementation=ATTENTION.get((torch.device(device).type, config.model_type)),
                output_loading_info=True,
                **where,
            )
            if missing := set(report["missing_keys"]) - PRETRAINING_ONLY:
                raise ModelError(lacking(missing))
            require_finite(model)
            encoder = cls(model.eval(), extractor)
            encoder.model.to(device)  # Whisper's decoder stays where it is
            encoder._try_out()
        return encoder

    def _try_out(self) -> None:
        """Let wrong sizes and a damaged preprocessor be found here: a sound goes in."""
        if self.front_end.extractor.sampling_rate != SAMPLE_RATE:
            raise ModelError(
                f"its preprocessor is for {self.front_end.extractor.sampling_rate} Hz, not"
                f" {SAMPLE_RATE}"
            )
        sound = np.random.default_rng(0).normal(size=SAMPLE_RATE // 4)
        if not all(layer.isfinite().all() for layer in self.hidden_states([sound]).layers):
            raise ModelError("what it makes of a sound is not finite: its preprocessor is damaged")

    def save(self, folder: str | Path, record: dict[str, str], card: str | None = None) -> None:
        """Write a folder that ``AutoModel.from_pretrained`` loads, with its provenance.

        Parameters
        ----------
        folder : path
        record : dict of str
            Provenance.
        card : str, optional
            What `bthelpers.models.card.model_card` says of the model.
        """
        self.front_end.complete(self.model)
        try:
            with atomic_folder(folder) as temporary:
                self._whole.save_pretrained(temporary)
                self.front_end.extractor.save_pretrained(temporary)
                write_json(temporary / "provenance.json", record)
                write_sums(temporary)  # but of the card, which people go on writing
                if card is not None:
                    (temporary / "README.md").write_text(card, encoding="utf-8")
        finally:
            self.front_end.detach(self.model)

    def copy(self) -> SpeechEncoder:
        """An independent copy, to be tuned."""
        return copy.deepcopy(self)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device

    @property
    def n_weights(self) -> int:
        """Weights of the model as it is saved, with front end and decoder."""
        modules = (self._whole, self.front_end.frozen)
        return sum({id(w): w.numel() for module in modules for w in module.parameters()}.values())

    @property
    def n_layers(self) -> int:
        """Number of transformer layers."""
        return self.model.config.num_hidden_layers

    @property
    def hidden_size(self) -> int:
        """Units per layer."""
        return self.model.config.hidden_size

    @property
    def token_centre(self) -> int:
        """Sample that the first token is centred on.

        A token of Whisper's is centred on every second frame of a spectrogram whose first frame is
        centred on the first sample.
        """
        return 0 if isinstance(self.front_end, MelFrontEnd) else self.receptive_field // 2

    def transformer_parameters(self) -> list[nn.Parameter]:
        """Everything but the front end, which stays frozen (ICLR paper, section 3.3)."""
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    def n_tokens(self, seconds: float) -> int:
        """Tokens that lie wholly within a window of so many seconds."""
        return (round(seconds * SAMPLE_RATE) - self.receptive_field) // self.hop + 1

    def token_windows(self, stop_samples: np.ndarray, seconds: float) -> np.ndarray:
        """First and last (exclusive) token of windows that end at the given samples.

        The last token is the last one that sees no sound after the window's end. Windows keep one
        length by beginning on the token grid, at most one token before their exact beginning;
        where the sound has not been going on for so long, they begin with the sound.

        Raises
        ------
        ValueError
            If a window holds no token.
        """
        n_tokens = self.n_tokens(seconds)
        if n_tokens < 1:
            raise ValueError(f"a window of {seconds} s is too short: it holds no token")
        stops = (np.asarray(stop_samples) - self.receptive_field) // self.hop + 1
        if stops.size and stops.min() < 1:
            raise ValueError("a window ends before the first token of the story")
        starts = np.maximum(stops - n_tokens, 0)
        return np.stack([starts, stops], axis=1)

    def frames(self, waveform: np.ndarray) -> StoryFrames | WindowFrames:
        """Frames of a story (mono, 16 kHz), to cut windows from."""
        return self.front_end.frames(waveform, self.device)

    def autocast(self, precision: str) -> torch.autocast:
        """Context in which the model computes in "float32", or "bfloat16" if the device has it."""
        return autocast(precision, self.device)

    @torch.no_grad()
    def hidden_states(self, waveforms: Sequence[np.ndarray]) -> HiddenStates:
        """Output of every layer for waveforms of any lengths, each preprocessed by itself.

        Waveforms of one length go through the model together, so that none is padded: each gets
        what it would get alone, and what transformers gives for it on tokens that hold sound.

        Parameters
        ----------
        waveforms : sequence of arrays of shape (n_samples,)
            Mono, 16 kHz.

        Raises
        ------
        ValueError
            If a waveform is silent, not finite, too short for one token or, for Whisper, too long.
        """
        samples = [self.front_end.prepare(waveform) for waveform in waveforms]
        lengths = [self.front_end.n_frames(len(one)) for one in samples]
        if min(lengths) < 1:
            raise ValueError(f"waveform {lengths.index(0)} is shorter than one token")
        layers = [
            torch.zeros(len(samples), max(lengths), self.hidden_size, device=self.device)
            for _ in range(self.n_layers + 1)
        ]
        for length in sorted(set(lengths)):
            chosen = [k for k, other in enumerate(lengths) if other == length]
            for first in range(0, len(chosen), WAVEFORMS_AT_ONCE):
                part = chosen[first : first + WAVEFORMS_AT_ONCE]
                frames = torch.stack([self.front_end(samples[k], self.device) for k in part])
                for layer, states in zip(layers, self.all_layers(frames, length), strict=True):
                    layer[part, :length] = states.float()
        return HiddenStates(tuple(layers), torch.tensor(lengths))

    def all_layers(self, frames: torch.Tensor, n_tokens: int) -> tuple[torch.Tensor, ...]:
        """Output of every layer for a batch of windows of one length.

        Parameters
        ----------
        frames : tensor of shape (window, channels, time)
        n_tokens : int
            Tokens that hold sound; Whisper's silence after them is left out.

        Returns
        -------
        tuple of ``n_layers + 1`` tensors of shape (window, n_tokens, hidden_size)
            The first is the input of the first transformer layer.
        """
        states = self.model(frames, output_hidden_states=True).hidden_states
        if len(states) != self.n_layers + 1:
            raise RuntimeError(f"expected {self.n_layers + 1} hidden states, got {len(states)}")
        return tuple(state[:, :n_tokens] for state in states)

    def tokens(self, frames: torch.Tensor, n_tokens: int, layer: int | None = None) -> torch.Tensor:
        """Output of a layer, by default the last, shape (window, n_tokens, hidden_size).

        Parameters are otherwise those of `all_layers`.
        """
        if layer is None:
            return self.model(frames).last_hidden_state[:, :n_tokens]
        return self.all_layers(frames, n_tokens)[layer]


def _front_end(config) -> type[ConvolutionalFrontEnd | MelFrontEnd]:
    if config.model_type not in FRONT_ENDS:
        raise ModelError(
            f"model type {config.model_type!r} is not supported; these are: {', '.join(FRONT_ENDS)}"
        )
    return FRONT_ENDS[config.model_type]
