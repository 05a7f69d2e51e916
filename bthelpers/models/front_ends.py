"""How sound enters a speech model: its frozen front end, and frames that windows are cut from.

Frames lie ``hop`` samples apart, and each sees ``receptive_field`` samples. A front end whose
frames do not depend on the sound around them is computed once for a story (`StoryFrames`); any
other one is computed for each window by itself (`WindowFrames`), as it was in pretraining.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel, Wav2Vec2FeatureExtractor, WhisperFeatureExtractor

from bthelpers.core.timing import SAMPLE_RATE

SECONDS_AT_ONCE = 30  # of sound per call of the convolutions: bounds their memory


class ConvolutionalFrontEnd:
    """The convolutions of Wav2vec2, HuBERT and WavLM, taken out of the model.

    Sound is standardised over the whole story, if the model was pretrained on standardised sound.
    """

    def __init__(self, model: PreTrainedModel, extractor: Wav2Vec2FeatureExtractor | None):
        config = model.config
        self.extractor = extractor or Wav2Vec2FeatureExtractor(do_normalize=True)
        self.frozen = model.feature_extractor.requires_grad_(False)
        model.feature_extractor = nn.Identity()
        self.hop = math.prod(config.conv_stride)
        strides_before = np.cumprod([1, *config.conv_stride[:-1]])
        self.receptive_field = 1 + int(np.dot(np.subtract(config.conv_kernel, 1), strides_before))
        # A group norm normalises over the length of its input.
        self._frames = StoryFrames if config.feat_extract_norm == "layer" else WindowFrames

    def complete(self, model: PreTrainedModel) -> None:
        """Put the convolutions back into a model that is to be saved."""
        model.feature_extractor = self.frozen

    def detach(self, model: PreTrainedModel) -> None:
        """Take them out again."""
        model.feature_extractor = nn.Identity()

    def prepare(self, waveform: np.ndarray) -> torch.Tensor:
        """Samples as the model's own preprocessor gives them, shape (n_samples,).

        Raises
        ------
        ValueError
            If the waveform is empty, constant or not finite.
        """
        return torch.from_numpy(
            self.extractor(_checked(waveform), sampling_rate=SAMPLE_RATE).input_values[0]
        )

    def n_frames(self, n_samples: int) -> int:
        """Frames that lie wholly within so many samples."""
        return max(0, (n_samples - self.receptive_field) // self.hop + 1)

    @torch.no_grad()
    def __call__(self, samples: torch.Tensor, device: torch.device) -> torch.Tensor:
        """Frames of shape (channels, n_frames)."""
        return self.frozen.to(device)(samples.to(device)[None])[0]

    def frames(self, waveform: np.ndarray, device: torch.device) -> StoryFrames | WindowFrames:
        """Frames of a story (mono, 16 kHz), to cut windows from."""
        return self._frames(self, self.prepare(waveform), device)


class MelFrontEnd:
    """Whisper's log-mel spectrogram of sound that silence fills up to the length it was trained on.

    A token stands for ``hop`` samples; those after the sound are not valid. The two convolutions
    over the spectrogram and the positions stay in the model and are frozen.
    """

    def __init__(self, encoder: PreTrainedModel, extractor: WhisperFeatureExtractor | None):
        self.extractor = extractor or WhisperFeatureExtractor(encoder.config.num_mel_bins)
        strides = [convolution.stride[0] for convolution in (encoder.conv1, encoder.conv2)]
        # Loading a model forgets that its positions are fixed.
        self.frozen = nn.ModuleList([encoder.conv1, encoder.conv2, encoder.embed_positions])
        self.frozen.requires_grad_(False)
        self.hop = self.receptive_field = self.extractor.hop_length * math.prod(strides)
        self.max_samples = self.hop * encoder.config.max_source_positions

    def complete(self, encoder: PreTrainedModel) -> None:
        """Do nothing: the whole encoder is in the model."""

    detach = complete

    def prepare(self, waveform: np.ndarray) -> torch.Tensor:
        """Samples, shape (n_samples,).

        Raises
        ------
        ValueError
            If the waveform is empty, constant or not finite.
        """
        return torch.from_numpy(_checked(waveform))

    def n_frames(self, n_samples: int) -> int:
        """Tokens that hold some of so many samples."""
        return math.ceil(n_samples / self.hop)

    def __call__(self, samples: torch.Tensor, device: torch.device) -> torch.Tensor:
        """Spectrogram of shape (bands, time), with the silence after the sound.

        Raises
        ------
        ValueError
            If the sound is longer than what the model takes.
        """
        if len(samples) > self.max_samples:
            raise ValueError(
                f"{len(samples) / SAMPLE_RATE:.1f} s of sound are more than the"
                f" {self.max_samples / SAMPLE_RATE:g} s that this Whisper takes: lower `window`, or"
                " `chunk_trs` where chunks are shared, in the parameter file"
            )
        # The extractor's result goes through NumPy, which has no bfloat16.
        with torch.autocast(device.type, enabled=False):
            features = self.extractor(
                samples.numpy(), sampling_rate=SAMPLE_RATE, return_tensors="pt", device=str(device)
            )
        return features.input_features[0].to(device)

    def frames(self, waveform: np.ndarray, device: torch.device) -> WindowFrames:
        """Frames of a story (mono, 16 kHz), to cut windows from."""
        return WindowFrames(self, self.prepare(waveform), device)


class StoryFrames:
    """Frames of one story, computed once."""

    def __init__(self, front_end: ConvolutionalFrontEnd, samples: torch.Tensor, device):
        hop, field = front_end.hop, front_end.receptive_field
        self.n_frames = front_end.n_frames(len(samples))
        per_call = SECONDS_AT_ONCE * SAMPLE_RATE // hop
        self._frames = torch.cat(
            [
                front_end(samples[k * hop : (k + per_call - 1) * hop + field], device)
                for k in range(0, self.n_frames, per_call)
            ],
            dim=1,
        )

    def window(self, start: int, stop: int) -> torch.Tensor:
        """Input of the model for frames ``start`` to ``stop`` (exclusive)."""
        return self._frames[:, start:stop]


class WindowFrames:
    """Frames of one story, computed window by window."""

    def __init__(self, front_end: ConvolutionalFrontEnd | MelFrontEnd, samples, device):
        self.n_frames = (len(samples) - front_end.receptive_field) // front_end.hop + 1
        self._front_end = front_end
        self._samples = samples
        self._device = device

    def window(self, start: int, stop: int) -> torch.Tensor:
        """Input of the model for frames ``start`` to ``stop`` (exclusive)."""
        hop, field = self._front_end.hop, self._front_end.receptive_field
        return self._front_end(self._samples[start * hop : (stop - 1) * hop + field], self._device)


def _checked(waveform: np.ndarray) -> np.ndarray:
    waveform = np.asarray(waveform, np.float32)
    if waveform.size == 0 or not np.isfinite(waveform).all() or waveform.std() == 0:
        raise ValueError("the waveform is empty, silent throughout, or not finite")
    return waveform
