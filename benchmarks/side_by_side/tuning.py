"""Gradients of brain-tuning over stories: by windows and by chunks, and as public trainers do.

These run the frozen convolutions again in every epoch, window by window, all in float32. What is
timed is forward and backward through all TRs, after an epoch in which what is kept was made. The
optimiser's update takes all contenders the same, and is left out: so weights stay as they are, and
gradients can be compared. Dropout is off.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import nn

from bthelpers.core.timing import TR
from bthelpers.models.speech import SpeechEncoder
from bthelpers.tuning.brain_tuning import BrainTuning
from bthelpers.tuning.examples import Segment, TuningStory
from bthelpers.tuning.heads import SHARED
from bthelpers.tuning.trainer import batched
from bthelpers.workflow.plan import noise_story
from side_by_side.measuring import Comparison, Contender, scaled
from side_by_side.peak import precisions
from side_by_side.speech_models import Speech, paper

CODE = (
    *("tuning/brain_tuning.py", "tuning/examples.py", "tuning/heads.py", "tuning/losses.py"),
    *("models/speech.py", "models/front_ends.py", "models/attention.py"),
    *("models/convolutions.py", "models/devices.py"),
)
N_STORIES = {"miniature": (1, 10, 100), "base size": (1,), "large size": ()}
TRS, VOXELS, WINDOWS_AT_ONCE = 7, 1000, 4  # of a story; and in memory
NOISE = "noise"  # the participant


def comparisons(speech: Speech, scale: float) -> Iterator[Comparison]:
    """Of one model, over stories of one chunk; their number is multiplied by `scale`."""
    for number in scaled(N_STORIES[speech.name], scale):
        stories = noise_stories(number)
        windows = [run_of(speech.encoder, stories, "window", name) for name in precisions()]
        chunks = run_of(speech.encoder, stories, "chunk", precisions()[-1])
        contenders = [
            Contender(
                f"ours, {run.settings.sharing}s, {run.settings.precision}",
                partial(gradient, run),
                ours=True,
                precision=run.settings.precision,
            )
            for run in [*windows, chunks]
        ]
        again = partial(plain_gradient, speech, stories, windows[0])
        yield Comparison(
            f"tuning, {speech.name}",
            len(stories),
            "stories",
            [*contenders, Contender("convolutions again, float32", again)],
            agreement,
        )


def noise_stories(number: int) -> list[TuningStory]:
    """Noise of which only TRs with a whole window before them are kept."""
    story = noise_story(math.ceil(paper().tuning.window / TR) + TRS, VOXELS)
    rows = slice(-TRS, None)
    story = replace(story, times=story.times[rows], responses=story.responses[rows])
    return [replace(story, name=f"noise{k}") for k in range(number)]


def run_of(
    encoder: SpeechEncoder, stories: list[TuningStory], sharing: str, precision: str
) -> BrainTuning:
    """A tuning in evaluation mode, after its first epoch: what windows keep is there.

    Its head begins at random weights: zero would hide errors.
    """
    settings = replace(
        paper().tuning,
        sharing=sharing,
        chunk_trs=TRS,
        stretches_at_once=WINDOWS_AT_ONCE,
        precision=precision,
    )
    run = BrainTuning(encoder, {NOISE: stories}, {NOISE: stories[:1]}, settings, seed=0)
    nn.init.xavier_uniform_(
        run.heads[SHARED].linear[0].weight, generator=torch.Generator().manual_seed(0)
    )
    run.encoder.model.eval()
    for segment in whole(run):
        run.training.window(segment)
    return run


def whole(run: BrainTuning) -> list[Segment]:
    """Segments of all stories."""
    return run.training.segments([0] * len(run.training.windows))


def gradient(run: BrainTuning) -> torch.Tensor:
    """Of all TRs' mean loss, over the weights of the transformer."""
    run.encoder.model.zero_grad()
    run.backward((NOISE, whole(run)), np.random.default_rng(0))
    return flat_gradient(run.encoder.model)


def plain_gradient(speech: Speech, stories: list[TuningStory], run: BrainTuning) -> torch.Tensor:
    """As `gradient`, with a forward pass of transformers' own over the sound of every window."""
    model, encoder = speech.plain, speech.encoder
    model.feature_extractor.requires_grad_(False)
    model.zero_grad()
    head = copy.deepcopy(run.heads[SHARED])
    examples = []
    for story, token_windows in zip(stories, run.training.windows, strict=True):
        samples = encoder.front_end.prepare(story.waveform)
        for (start, stop), response in zip(token_windows, story.responses, strict=True):
            end = (stop - 1) * encoder.hop + encoder.receptive_field
            examples.append((samples[start * encoder.hop : end], torch.from_numpy(response)))
    for batch in batched(examples, WINDOWS_AT_ONCE):
        sounds, responses = map(torch.stack, zip(*batch, strict=True))
        pooled = model(sounds).last_hidden_state.mean(dim=1)
        loss = nn.functional.mse_loss(head(pooled), responses)
        (loss * (len(batch) / len(examples))).backward()
    return flat_gradient(model)


def flat_gradient(model: nn.Module) -> torch.Tensor:
    gradients = (parameter.grad for parameter in model.parameters())
    return torch.cat([values.flatten() for values in gradients if values is not None])


def agreement(found: torch.Tensor, exact: torch.Tensor) -> dict[str, float]:
    """Length of the difference of two gradients, as a share of the length of the plain one."""
    return {"difference": ((found - exact).norm() / exact.norm()).item()}
