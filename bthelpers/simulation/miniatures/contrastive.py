"""A miniature Wav2vec2, pretrained as its original is: to tell a masked token from others.

``bthelpers miniature speech --family wav2vec2 --output FOLDER`` trains the model and a quantizer
together, on the losses of Baevski et al. (2020, section 3.2): contrastive and diversity. The
stories are those that the other miniatures hear, and the steps are as many. No label is used and
nothing is clustered: the targets are the front end's own frames, quantised.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from transformers import Wav2Vec2Config, Wav2Vec2ForPreTraining

from bthelpers.simulation.miniatures.speech import (
    HOP,
    PretrainingSettings,
    arithmetic,
    front_end_frames,
    miniature_config,
    minimise,
    pretraining_stories,
    save_miniature,
    sound_of_tokens,
    standardized_waveform,
    timed,
)
from bthelpers.tuning.contrastive import GUMBEL_TEMPERATURE, Contrast
from bthelpers.tuning.stimulus_tuning import draw_mask

FALLING_SHARE = 0.7  # of all steps: then the quantizer's temperature is at its lowest (published)


@dataclass(frozen=True)
class ContrastiveSettings:
    """How the miniature is pretrained. Steps are optimiser steps."""

    stories: PretrainingSettings  # its speech, batches, masks and rate
    front_end_steps: int = 500  # with the convolutional front end, then it is frozen
    steps: int = 4900  # after that: with the former, as many as those of the other miniatures
    code_groups: int = 2
    codes_per_group: int = 64  # published: 320, for all of English
    code_size: int = 128
    distractors: int = 50  # published: 100, from windows of three times the length
    temperature: float = 0.1  # of the contrastive loss
    diversity_weight: float = 0.1
    first_gumbel_temperature: float = 2.0


def random_pretraining_model(settings: ContrastiveSettings) -> Wav2Vec2ForPreTraining:
    """A miniature with random weights, and with what its pretraining takes besides."""
    config = miniature_config(Wav2Vec2Config, settings.stories.hidden_size)
    config.num_codevector_groups = settings.code_groups
    config.num_codevectors_per_group = settings.codes_per_group
    config.codevector_dim = config.proj_codevector_dim = settings.code_size
    config.num_negatives = settings.distractors
    config.contrastive_logits_temperature = settings.temperature
    config.diversity_loss_weight = settings.diversity_weight
    return Wav2Vec2ForPreTraining(config)


def gumbel_temperature(share: float, first: float) -> float:
    """Temperature of the quantizer's draws after a share of all steps: it falls exponentially."""
    return first * (GUMBEL_TEMPERATURE / first) ** min(1.0, share / FALLING_SHARE)


class ContrastivePretrainer:
    """A model, its losses, its training audio, and the two phases of its pretraining."""

    def __init__(self, settings: ContrastiveSettings, log=print):
        self.settings = settings
        self.rng = np.random.default_rng(settings.stories.seed)
        with torch.random.fork_rng():
            torch.manual_seed(settings.stories.seed)
            self.pretraining = random_pretraining_model(settings)
        self.model, self.contrast = self.pretraining.wav2vec2, Contrast(self.pretraining)
        self.log = timed(log)
        self.waveforms = [standardized_waveform(s) for s in pretraining_stories(settings.stories)]
        self.log(f"told {len(self.waveforms)} stories")

    def run(self) -> Wav2Vec2ForPreTraining:
        """Go through both phases; returns the model with its quantizer, in eval mode."""
        settings = self.settings
        front_end = self.model.feature_extractor
        n_steps = settings.front_end_steps + settings.steps
        with torch.random.fork_rng():
            torch.manual_seed(settings.stories.seed)  # the quantizer draws
            falling = iter(range(n_steps))
            self._phase("front end", settings.front_end_steps, self._sounds, falling)
            self.model.feature_extractor = nn.Identity()
            self.frames = [front_end_frames(front_end, waveform) for waveform in self.waveforms]
            self._phase("transformer", settings.steps, self._frames, falling)
        self.model.feature_extractor = front_end
        return self.pretraining.eval()

    def _sounds(self, story: int, first: int) -> torch.Tensor:
        return sound_of_tokens(self.waveforms[story], first, self.settings.stories.tokens)

    def _frames(self, story: int, first: int) -> torch.Tensor:
        return self.frames[story][:, first : first + self.settings.stories.tokens]

    def _batch(self, read: Callable[[int, int], torch.Tensor]) -> torch.Tensor:
        """Random stretches."""
        stories = self.settings.stories
        inputs = []
        for _ in range(stories.batch):
            story = self.rng.integers(len(self.waveforms))
            n_tokens = len(self.waveforms[story]) // HOP - 2  # as `sound_of_tokens` counts them
            inputs.append(read(story, self.rng.integers(n_tokens - stories.tokens)))
        return torch.stack(inputs)

    def _phase(self, name, n_steps, read, steps):
        settings, stories = self.settings, self.settings.stories
        size = (stories.batch, stories.tokens)
        n_all = settings.front_end_steps + settings.steps

        def loss_of():
            self.contrast.quantizer.temperature = gumbel_temperature(
                next(steps) / n_all, settings.first_gumbel_temperature
            )
            mask = draw_mask(size, stories, self.rng)
            with arithmetic():
                output = self.model(self._batch(read), mask_time_indices=mask)
            states, frames = output.last_hidden_state, output.extract_features
            return self.contrast(states.float(), frames.float(), mask, self.rng), ""

        self.pretraining.train()
        minimise(
            loss_of,
            self.pretraining.parameters(),
            stories,
            n_steps,
            lambda text: self.log(f"{name}: {text}"),
            betas=(0.9, 0.98),
            fused=True,
        )


def make_contrastive_miniature(folder: str | Path, settings: ContrastiveSettings) -> None:
    """Pretrain a miniature Wav2vec2, and save it to a folder."""
    pretraining = ContrastivePretrainer(settings).run()
    save_miniature(pretraining, folder, settings, settings.stories.lexicon)
