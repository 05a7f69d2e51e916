"""What a model represents at each TR: hidden states of sliding windows, downsampled.

Section 3.2 of the ICLR paper: a window of T seconds slides over the sound; every layer's
features of each window are brought to TRs by a three-lobed Lanczos filter.
"""

from __future__ import annotations

from itertools import groupby

import numpy as np
import torch
import xarray as xr

from bthelpers.core.progress import Progress
from bthelpers.core.timing import SAMPLE_RATE, lanczos_downsample, windows
from bthelpers.data.dataset import Dataset
from bthelpers.encoding.inputs import at_trs
from bthelpers.models.front_ends import StoryFrames, WindowFrames
from bthelpers.models.speech import SpeechEncoder
from bthelpers.params.settings import RepresentationSettings

WINDOWS_PER_BATCH = 64


# What stands for a window: its last token, the mean of all of its tokens, or the mean of those
# that are new since the window before. States are (window, token, feature).
POOLING = {
    "last": lambda states, n_new: states[:, -1],
    "mean": lambda states, n_new: states.mean(dim=1),
    "stride": lambda states, n_new: states[:, -n_new:].mean(dim=1),
}


def window_features(
    encoder: SpeechEncoder, waveform: np.ndarray, settings: RepresentationSettings
) -> tuple[np.ndarray, np.ndarray]:
    """Features of windows that slide over a story.

    Parameters
    ----------
    encoder : SpeechEncoder
    waveform : array of shape (n_samples,)
        Mono, 16 kHz.
    settings : RepresentationSettings

    Returns
    -------
    features : float32 array of shape (n_layers + 1, n_windows, hidden_size)
    times : array of shape (n_windows,)
        The end of each window, in seconds of sound.
    """
    # `windows` rounds to samples: the last window may end up to half a sample after the sound.
    n_windows = int((len(waveform) + 0.5) / (settings.stride * SAMPLE_RATE))
    times = settings.stride * np.arange(1, n_windows + 1)
    stops = windows(times, settings.window, SAMPLE_RATE)[:, 1]
    heard = stops >= encoder.receptive_field  # earlier windows are shorter than one token
    times, token_windows = times[heard], encoder.token_windows(stops[heard], settings.window)
    return pooled_windows(encoder, encoder.frames(waveform), token_windows, settings), times


@torch.no_grad()
def pooled_windows(
    encoder: SpeechEncoder,
    frames: StoryFrames | WindowFrames,
    token_windows: np.ndarray,
    settings: RepresentationSettings,
) -> np.ndarray:
    """What stands for each window in every layer.

    Parameters
    ----------
    encoder : SpeechEncoder
    frames : StoryFrames or WindowFrames
        Of the story.
    token_windows : int array of shape (n_windows, 2)
        First and last (exclusive) token of each.
    settings : RepresentationSettings

    Returns
    -------
    float32 array of shape (n_layers + 1, n_windows, hidden_size)
    """
    encoder.model.eval()
    stride_tokens = max(1, round(settings.stride * SAMPLE_RATE / encoder.hop))
    pool = POOLING[settings.pooling]
    pooled = []
    for n_tokens, group in groupby(token_windows, key=lambda window: window[1] - window[0]):
        for batch in torch.split(torch.from_numpy(np.stack(list(group))), WINDOWS_PER_BATCH):
            inputs = torch.stack([frames.window(start, stop) for start, stop in batch.tolist()])
            with encoder.autocast(settings.precision):
                states = encoder.all_layers(inputs, n_tokens)
            features = [pool(state.float(), stride_tokens) for state in states]
            pooled.append(torch.stack(features).cpu())
    return torch.cat(pooled, dim=1).numpy()


def extract(
    encoder: SpeechEncoder, dataset: Dataset, stories: list[str], settings: RepresentationSettings
) -> xr.DataArray:
    """Representations of all stories at all TRs, before trimming and delays.

    Returns
    -------
    DataArray (layer, tr, feature), float32
        With coordinates ``story`` and ``time`` (seconds of sound) along ``tr``.
    """
    rows = []
    progress = Progress("representations", len(stories))
    for story in stories:
        features, times = window_features(encoder, dataset.waveform(story), settings)
        tr_times = dataset.tr_times(story)
        rows.append(np.stack([lanczos_downsample(f, times, tr_times) for f in features]))
        progress.advance(story)
    layers = np.arange(encoder.n_layers + 1)
    return at_trs(dataset, stories, np.concatenate(rows, axis=1)).assign_coords(layer=layers)
