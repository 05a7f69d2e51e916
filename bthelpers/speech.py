"""Speech models, split at their frozen convolutional front end.

Sound enters through one preprocessor: 16 kHz, mono, standardised over the whole story. The front
end turns it into frames, of which windows are cut; the transformer turns a window of frames into
tokens, layer by layer.
"""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path

import numpy as np
import torch
from torch import nn
from transformers import AutoModel, Wav2Vec2FeatureExtractor

from bthelpers.results import atomic_folder

SAMPLE_RATE = 16_000  # Hz
FAMILIES = ("hubert", "wav2vec2", "wavlm")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
# PyTorch's fused attention takes 1.5 times as long to tune on a CPU, in bfloat16.
ATTENTION = {"cpu": "eager"}
FRONT_END_SECONDS = 30  # of sound per call of the front end: bounds its memory


def standardize(waveform: np.ndarray) -> np.ndarray:
    """Zero mean and unit variance over the whole waveform, float32.

    Raises
    ------
    ValueError
        If the waveform is empty, constant or not finite.
    """
    waveform = np.asarray(waveform, np.float32)
    if waveform.size == 0 or not np.isfinite(waveform).all() or waveform.std() == 0:
        raise ValueError("the waveform is empty, silent throughout, or not finite")
    return (waveform - waveform.mean()) / waveform.std()


class StoryFrames:
    """Front-end frames of one story, computed once: for front ends that normalise each frame."""

    def __init__(self, encoder: SpeechEncoder, waveform: np.ndarray):
        hop, field = encoder.hop, encoder.receptive_field
        samples = torch.from_numpy(standardize(waveform))
        self.n_frames = (len(samples) - field) // hop + 1
        per_call = FRONT_END_SECONDS * SAMPLE_RATE // hop
        self._frames = torch.cat(
            [
                encoder.front_end_frames(samples[k * hop : (k + per_call - 1) * hop + field])
                for k in range(0, self.n_frames, per_call)
            ],
            dim=1,
        )

    def window(self, start: int, stop: int) -> torch.Tensor:
        """Frames ``start`` to ``stop`` (exclusive), shape (channels, stop - start)."""
        return self._frames[:, start:stop]


class WindowFrames:
    """Front-end frames computed window by window: for front ends with a group norm.

    A group norm normalises over the length of its input, so frames cannot be shared by windows.
    """

    def __init__(self, encoder: SpeechEncoder, waveform: np.ndarray):
        self._encoder = encoder
        self._samples = torch.from_numpy(standardize(waveform))
        self.n_frames = (len(waveform) - encoder.receptive_field) // encoder.hop + 1

    def window(self, start: int, stop: int) -> torch.Tensor:
        """Frames ``start`` to ``stop`` (exclusive), shape (channels, stop - start)."""
        hop, field = self._encoder.hop, self._encoder.receptive_field
        return self._encoder.front_end_frames(self._samples[start * hop : (stop - 1) * hop + field])


FRAMES = {"layer": StoryFrames, "group": WindowFrames}


class SpeechEncoder:
    """A pretrained speech model.

    Attributes
    ----------
    model : transformers.PreTrainedModel
        Its front end is taken out: it is called with frames.
    hop, receptive_field : int
        Samples from one frame to the next, and samples that a frame sees.
    """

    def __init__(self, model: nn.Module):
        config = model.config
        if config.model_type not in FAMILIES:
            raise ValueError(
                f"model type {config.model_type!r} is not supported; these are:"
                f" {', '.join(FAMILIES)}"
            )
        # Masking and layer drop belong to pretraining.
        config.apply_spec_augment = False
        config.layerdrop = 0.0
        self.model = model
        self._front_end = model.feature_extractor
        model.feature_extractor = nn.Identity()
        self.hop = math.prod(config.conv_stride)
        strides_before = np.cumprod([1, *config.conv_stride[:-1]])
        self.receptive_field = 1 + int(np.dot(np.subtract(config.conv_kernel, 1), strides_before))

    @classmethod
    def load(cls, source: str | Path, revision: str | None = None, device="cpu") -> SpeechEncoder:
        """Load from a folder, or from the hub at a revision, which has to be given.

        Raises
        ------
        FileNotFoundError
            If no revision is given and ``source`` is no folder of a model.
        """
        if revision is None and not (Path(source) / "config.json").is_file():
            raise FileNotFoundError(
                f"{source}: no speech model here (config.json is missing); make a miniature with"
                f" `python -m bthelpers.miniatures --output {source}`, or name another path under"
                " `models` in the parameter file, with its revision if it is on the hub"
            )
        model = AutoModel.from_pretrained(
            source,
            revision=revision,
            dtype=torch.float32,
            trust_remote_code=False,
            attn_implementation=ATTENTION.get(torch.device(device).type, "sdpa"),
        )
        return cls(model.to(device).eval())

    def save(self, folder: str | Path, record: dict[str, str]) -> None:
        """Write a folder that ``AutoModel.from_pretrained`` loads, with its provenance."""
        self.model.feature_extractor = self._front_end
        try:
            with atomic_folder(folder) as temporary:
                self.model.save_pretrained(temporary)
                Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(temporary)
                text = json.dumps(record, indent=1) + "\n"
                (temporary / "provenance.json").write_text(text, encoding="utf-8")
        finally:
            self.model.feature_extractor = nn.Identity()

    def copy(self) -> SpeechEncoder:
        """An independent copy, to be tuned."""
        return copy.deepcopy(self)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device

    @property
    def n_layers(self) -> int:
        """Number of transformer layers."""
        return self.model.config.num_hidden_layers

    @property
    def hidden_size(self) -> int:
        """Units per layer."""
        return self.model.config.hidden_size

    def transformer_parameters(self) -> list[nn.Parameter]:
        """Everything but the front end, which stays frozen (ICLR paper, section 3.3)."""
        return list(self.model.parameters())

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
        return FRAMES[self.model.config.feat_extract_norm](self, waveform)

    @torch.no_grad()
    def front_end_frames(self, samples: torch.Tensor) -> torch.Tensor:
        """Front-end output of shape (channels, frames) for standardised samples."""
        front_end = self._front_end.to(self.device)
        return front_end(samples.to(self.device)[None])[0]

    def arithmetic(self, precision: str) -> torch.autocast:
        """Context in which the model computes in "float32", or in "bfloat16" where that is safe."""
        return torch.autocast(self.device.type, DTYPES[precision], precision != "float32")

    def hidden_states(self, frames: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Output of every layer for a batch of windows of one length.

        Parameters
        ----------
        frames : tensor of shape (window, channels, n_tokens)

        Returns
        -------
        tuple of ``n_layers + 1`` tensors of shape (window, n_tokens, hidden_size)
            The first is the input of the first transformer layer.
        """
        states = self.model(frames, output_hidden_states=True).hidden_states
        if len(states) != self.n_layers + 1:
            raise RuntimeError(f"expected {self.n_layers + 1} hidden states, got {len(states)}")
        return states

    def last_hidden_state(self, frames: torch.Tensor) -> torch.Tensor:
        """Output of the last layer, shape (window, n_tokens, hidden_size)."""
        return self.model(frames).last_hidden_state
