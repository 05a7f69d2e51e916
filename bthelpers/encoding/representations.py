"""What a model represents at each TR: hidden states of sliding windows, downsampled.

Section 3.2 of the ICLR paper: a window of T seconds slides over the sound; every layer's
features of each window are brought to TRs by a three-lobed Lanczos filter.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from itertools import groupby

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from bthelpers.core.progress import Progress
from bthelpers.core.timing import SAMPLE_RATE, lanczos_downsample, windows
from bthelpers.data.dataset import Dataset
from bthelpers.encoding.inputs import at_trs
from bthelpers.models.devices import BatchSize
from bthelpers.models.front_ends import StoryFrames, WindowFrames
from bthelpers.models.speech import SpeechEncoder
from bthelpers.params.settings import RepresentationSettings

# Windows go through a GPU so many at once; through a processor, as many as its cache holds tokens
# of, or one.
WINDOWS_PER_BATCH = 64
CACHED = 2**19  # numbers


# What stands for a window is the mean of its last tokens: of one, of all, or of those that are new
# since the window before. Here is how many these are.
POOLING = {
    "last": lambda encoder, settings: 1,
    "mean": lambda encoder, settings: encoder.n_tokens(settings.window),
    "stride": lambda encoder, settings: max(1, round(settings.stride * SAMPLE_RATE / encoder.hop)),
}


@dataclass(frozen=True)
class WindowClock:
    """When windows of sound end, and what stands for a window is heard.

    Attributes
    ----------
    stride : float
        Seconds from the end of a window to that of the next.
    token : float
        Seconds of sound that a token sees: a window that is shorter holds none.
    pooled : float
        Seconds before a window's end in which the tokens are heard that stand for it. Windows that
        end earlier than that begin with the sound.

    Examples
    --------
    >>> WindowClock(stride=1.0, token=0.025, pooled=1.005).ends(3.2)
    array([1., 2., 3.])
    """

    stride: float
    token: float
    pooled: float

    @classmethod
    def of(cls, encoder: SpeechEncoder, settings: RepresentationSettings) -> WindowClock:
        """That of a model's representations."""
        n_pooled = POOLING[settings.pooling](encoder, settings)
        pooled = encoder.receptive_field + (n_pooled - 1) * encoder.hop
        return cls(settings.stride, encoder.receptive_field / SAMPLE_RATE, pooled / SAMPLE_RATE)

    def ends(self, duration: float) -> NDArray[np.float64]:
        """Ends of the windows of so many seconds of sound, in seconds."""
        # To the nearest sample: the last window may end up to half a sample after the sound.
        half = 0.5 / SAMPLE_RATE
        ends = self.stride * np.arange(1, int((duration + half) / self.stride) + 1)
        return ends[ends + half >= self.token]


def window_features(
    encoder: SpeechEncoder,
    waveform: np.ndarray,
    settings: RepresentationSettings,
    at_once: BatchSize | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Features of windows that slide over a story.

    Parameters
    ----------
    encoder : SpeechEncoder
    waveform : array of shape (n_samples,)
        Mono, 16 kHz.
    settings : RepresentationSettings
    at_once : BatchSize, optional
        Of the stories before; by default anew.

    Returns
    -------
    features : float32 array of shape (n_layers + 1, n_windows, hidden_size)
    times : array of shape (n_windows,)
        The end of each window, in seconds of sound.
    """
    times = WindowClock.of(encoder, settings).ends(len(waveform) / SAMPLE_RATE)
    stops = windows(times, settings.window, SAMPLE_RATE)[:, 1]
    token_windows = encoder.token_windows(stops, settings.window)
    # Windows that slide by less than a token can be the same.
    distinct, which = np.unique(token_windows, axis=0, return_inverse=True)
    at_once = at_once or windows_at_once(encoder, settings)
    features = pooled_windows(encoder, encoder.frames(waveform), distinct, settings, at_once)
    return (features if len(distinct) == len(times) else features[:, which]), times


def windows_at_once(encoder: SpeechEncoder, settings: RepresentationSettings) -> BatchSize:
    """How many windows go through a model at once, on its device.

    Parameters
    ----------
    encoder : SpeechEncoder
    settings : RepresentationSettings
        Whose ``window`` says how many tokens there are in each.
    """
    number = WINDOWS_PER_BATCH
    if encoder.device.type == "cpu":
        per_window = encoder.n_tokens(settings.window) * encoder.hidden_size
        number = min(number, max(1, CACHED // per_window))
    remedy = "set `representation.precision` to bfloat16, or take a smaller model"
    return BatchSize(number, "windows", remedy)


@torch.no_grad()
def pooled_windows(
    encoder: SpeechEncoder,
    frames: StoryFrames | WindowFrames,
    token_windows: np.ndarray,
    settings: RepresentationSettings,
    at_once: BatchSize,
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
    at_once : BatchSize

    Returns
    -------
    float32 array of shape (n_layers + 1, n_windows, hidden_size)
    """
    encoder.model.eval()
    n_pooled = POOLING[settings.pooling](encoder, settings)

    def pool(batch: torch.Tensor) -> torch.Tensor:
        inputs = torch.stack([frames.window(start, stop) for start, stop in batch.tolist()])
        states = encoder.all_layers(inputs, int(batch[0, 1] - batch[0, 0]))
        return torch.stack([state[:, -n_pooled:].float().mean(dim=1) for state in states]).cpu()

    def pool_in_parts(batch: torch.Tensor, number: int) -> list[torch.Tensor]:
        return [pool(part) for part in batch.split(number)]

    pooled = []
    with encoder.autocast(settings.precision):  # which keeps rounded weights until its end
        for _, group in groupby(token_windows, key=lambda window: window[1] - window[0]):
            for batch in torch.from_numpy(np.stack(list(group))).split(at_once.number):
                pooled += at_once.run(partial(pool_in_parts, batch))
    return torch.cat(pooled, dim=1).numpy()


def extract(
    encoder: SpeechEncoder, dataset: Dataset, stories: list[str], settings: RepresentationSettings
) -> xr.DataArray:
    """Representations of all stories at all TRs, before trimming and delays.

    Returns
    -------
    DataArray (layer, tr, feature), float32
        With coordinates ``story`` and ``time`` (seconds of sound) along ``tr``. Attributes are
        those of the `WindowClock`.
    """
    rows, at_once = [], windows_at_once(encoder, settings)
    progress = Progress("representations", len(stories))
    for story in stories:
        features, times = window_features(encoder, dataset.waveform(story), settings, at_once)
        tr_times = dataset.tr_times(story)
        rows.append(np.stack([lanczos_downsample(f, times, tr_times) for f in features]))
        progress.advance(story)
    layers = np.arange(encoder.n_layers + 1)
    values = at_trs(dataset, stories, np.concatenate(rows, axis=1)).assign_coords(layer=layers)
    return values.assign_attrs(asdict(WindowClock.of(encoder, settings)))
