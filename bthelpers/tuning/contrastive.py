"""The self-supervised losses of Wav2vec2 (Baevski et al., 2020, section 3.2).

Contrastive: from what surrounds it, a masked token is to be told from other masked tokens of its
window, after their frames were quantised. Diversity: all codes of the quantizer are to be used.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy, normalize, pad
from transformers import Wav2Vec2Config, Wav2Vec2ForPreTraining

from bthelpers.models.speech import SpeechEncoder
from bthelpers.params.settings import ModelSettings

GUMBEL_TEMPERATURE = 0.5  # with which the pretraining of the published Wav2vec2 ended
FROM_CHECKPOINT, NEW = "of the checkpoint", "new: the checkpoint has none"


class Contrast(nn.Module):
    """The losses of Wav2vec2, contrastive and diversity, with what they add to the model.

    Parameters
    ----------
    pretraining : transformers.Wav2Vec2ForPreTraining
        Of which the quantizer, the projections and the settings of the losses are taken.
    """

    def __init__(self, pretraining: Wav2Vec2ForPreTraining):
        super().__init__()
        self.quantizer = pretraining.quantizer
        self.quantizer.temperature = GUMBEL_TEMPERATURE
        self.project_states, self.project_codes = pretraining.project_hid, pretraining.project_q
        self.config = pretraining.config

    def forward(
        self,
        states: torch.Tensor,
        frames: torch.Tensor,
        mask: torch.Tensor,
        rng: np.random.Generator,
    ) -> torch.Tensor:
        """Mean loss of the masked tokens (equation 2, of which 3 and 4 are the parts).

        Parameters
        ----------
        states : tensor of shape (window, token, hidden_size)
            The last layer's output for masked windows.
        frames : tensor of shape (window, token, channel)
            What went into the model before it was masked, normalised.
        mask : bool tensor of shape (window, token)
            At least two tokens of each window.
        rng : numpy.random.Generator
            Draws the other tokens.
        """
        codes, perplexity = self.quantizer(frames[mask][None])
        codes = self.project_codes(codes[0])
        drawn = distractors(mask.sum(dim=1).tolist(), self.config.num_negatives, rng)
        drawn = drawn.to(codes.device)
        # Of all pairs: that takes less than the vectors of every draw.
        cosines = normalize(self.project_states(states[mask])) @ normalize(codes).T
        right = torch.arange(len(codes), device=codes.device)
        logits = cosines.gather(1, torch.cat([right[:, None], drawn], dim=1))
        kinds = torch.unique(codes.detach(), dim=0, return_inverse=True)[1]
        same = pad(kinds[drawn] == kinds[:, None], (1, 0))  # as the right one: no distractor
        logits = logits.masked_fill(same, -math.inf) / self.config.contrastive_logits_temperature
        contrastive = cross_entropy(logits, torch.zeros_like(right))
        n_codes = self.config.num_codevector_groups * self.config.num_codevectors_per_group
        diversity = (n_codes - perplexity) / n_codes
        return contrastive + self.config.diversity_loss_weight * diversity


def distractors(n_masked: Sequence[int], number: int, rng: np.random.Generator) -> torch.Tensor:
    """For each masked token, random others of its window.

    Parameters
    ----------
    n_masked : sequence of int
        Masked tokens of each window, at least 2.
    number : int
        Of distractors, drawn with replacement.
    rng : numpy.random.Generator

    Returns
    -------
    int tensor of shape (token, number)
        Places among the masked tokens of all windows.
    """
    drawn, first = [], 0
    for n in n_masked:
        others = rng.integers(n - 1, size=(n, number))
        others += others >= np.arange(n)[:, None]  # never the token itself
        drawn.append(first + others)
        first += n
    return torch.from_numpy(np.concatenate(drawn))


def load_contrast(encoder: SpeechEncoder, source: ModelSettings, seed: int) -> tuple[Contrast, str]:
    """The losses for a model, and where their quantizer is from.

    Parameters
    ----------
    encoder : SpeechEncoder
    source : ModelSettings
        Where the encoder was loaded from.
    seed : int
        Of a new quantizer.
    """
    config, device = encoder.model.config, encoder.device
    origin = NEW
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        if config.model_type == "wav2vec2":
            pretraining, report = Wav2Vec2ForPreTraining.from_pretrained(
                source.path,
                revision=source.revision,
                trust_remote_code=False,
                dtype=torch.float32,
                output_loading_info=True,
            )
            if not any(key.startswith("quantizer.") for key in report["missing_keys"]):
                origin = FROM_CHECKPOINT
        else:
            sizes = ("hidden_size", "conv_dim", "conv_stride", "conv_kernel")
            sizes = {size: getattr(config, size) for size in sizes}
            pretraining = Wav2Vec2ForPreTraining(Wav2Vec2Config(num_hidden_layers=0, **sizes))
    return Contrast(pretraining).to(device), origin


def span_mask(shape: tuple[int, int], probability: float, length: int, rng) -> torch.Tensor:
    """Boolean mask (batch, tokens): spans of the given length start with the given probability."""
    starts = rng.random(shape) < probability
    mask = starts.copy()
    for shift in range(1, length):
        mask[:, shift:] |= starts[:, :-shift]
    return torch.from_numpy(mask)
