"""Windows that slide over sound: `window_features`, and one at a time in plain transformers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from transformers import PreTrainedModel

from bthelpers.core.timing import SAMPLE_RATE, windows
from bthelpers.encoding.representations import WindowClock, window_features
from bthelpers.models.devices import autocast
from bthelpers.models.speech import SpeechEncoder
from bthelpers.params.settings import RepresentationSettings
from side_by_side.measuring import Comparison, Contender, scaled
from side_by_side.peak import CPU, precisions
from side_by_side.speech_models import Speech, paper

CODE = (
    *("encoding/representations.py", "models/speech.py", "models/front_ends.py"),
    *("models/attention.py", "models/convolutions.py", "models/devices.py"),
)
# Numbers of windows, and seconds from one to the next: one of base size takes a second.
EXTENTS = {
    "miniature": ((3, 30, 300), 2.0),
    "base size": ((1, 10), 6.0),
    "large size": ((1, 10), 6.0),
}


def comparisons(speech: Speech, scale: float) -> Iterator[Comparison]:
    """Of one model, over minutes of sound; these are multiplied by `scale`."""
    amounts, stride = EXTENTS[speech.name]
    settings = replace(paper().representation, stride=stride)
    for n_windows in scaled(amounts, scale):
        seconds = n_windows * stride
        noise = np.random.default_rng(0).normal(size=round(seconds * SAMPLE_RATE))
        waveform = noise.astype(np.float32)
        yield Comparison(
            f"windows, {speech.name}",
            seconds / 60,
            "minutes",
            contenders(speech, waveform, settings),
            agreement,
        )


def contenders(
    speech: Speech, waveform: np.ndarray, settings: RepresentationSettings
) -> list[Contender]:
    """Both ways in every precision that the processor has; one at a time in float32 is the last."""
    found = []
    for precision in reversed(precisions()):
        chosen = replace(settings, precision=precision)
        sliding = partial(ours, speech.encoder, waveform, chosen)
        single = partial(one_at_a_time, speech, waveform, chosen)
        found += [
            Contender(f"ours, {precision}", sliding, ours=True, precision=precision),
            Contender(f"one at a time, {precision}", single, precision=precision),
        ]
    return found


def agreement(features: np.ndarray, exact: np.ndarray) -> dict[str, float]:
    """Largest difference, in standard deviations of its layer."""
    deviations = exact.std(axis=(1, 2), keepdims=True)
    return {"difference": float((np.abs(features - exact) / deviations).max())}


def ours(
    encoder: SpeechEncoder, waveform: np.ndarray, settings: RepresentationSettings
) -> np.ndarray:
    return window_features(encoder, waveform, settings)[0]


def one_at_a_time(
    speech: Speech, waveform: np.ndarray, settings: RepresentationSettings
) -> np.ndarray:
    """Last token of every layer (layer, window, feature), as the model gives it for a window."""
    encoder = speech.encoder
    ends = WindowClock.of(encoder, settings).ends(len(waveform) / SAMPLE_RATE)
    stops = windows(ends, settings.window, SAMPLE_RATE)[:, 1]
    samples = encoder.front_end.prepare(waveform)
    features = []
    for start, stop in encoder.token_windows(stops, settings.window):
        window = samples[start * encoder.hop : (stop - 1) * encoder.hop + encoder.receptive_field]
        features.append(_last_token(speech.plain, window, settings.precision))
    return np.stack(features, axis=1)


@torch.no_grad()
def _last_token(model: PreTrainedModel, window: torch.Tensor, precision: str) -> np.ndarray:
    with autocast(precision, CPU):
        states = model(window[None], output_hidden_states=True).hidden_states
    return torch.stack([state[0, -1].float() for state in states]).numpy()
