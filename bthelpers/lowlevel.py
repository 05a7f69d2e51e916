"""Low-level features of speech: spectra of the sound, articulation of the phones."""

from __future__ import annotations

import functools
import json
from importlib import resources

import numpy as np
from scipy.fft import dct
from transformers.audio_utils import mel_filter_bank, spectrogram

from bthelpers.synthesis import Interval

FFT_LENGTH = 512
LOG_FLOOR = 1e-6
N_CEPSTRA = 13


def log_mel(waveform: np.ndarray, rate: int, hop: int, n_bands: int = 26) -> np.ndarray:
    """Log energies of mel bands between 60 Hz and 95 % of the Nyquist frequency.

    Parameters
    ----------
    waveform : array of shape (n_samples,)
    rate : int
        Samples per second.
    hop : int
        Samples per frame; frame ``k`` is centred on sample ``(k + 1/2) * hop``.
    n_bands : int

    Returns
    -------
    array of shape (n_samples // hop, n_bands), float32, natural logarithm of power
    """
    n_frames = len(waveform) // hop
    filters = mel_filter_bank(
        FFT_LENGTH // 2 + 1, n_bands, 60.0, 0.95 * rate / 2, rate, mel_scale="htk"
    )
    # `spectrogram` does not pad: the first window is centred on the middle of the first hop.
    before = FFT_LENGTH // 2 - hop // 2
    padded = np.pad(waveform, (max(before, 0), FFT_LENGTH))[max(-before, 0) :]
    power = spectrogram(
        padded.astype(np.float64),
        np.hanning(FFT_LENGTH),
        frame_length=FFT_LENGTH,
        hop_length=hop,
        power=2.0,
        center=False,
        mel_filters=filters,
        mel_floor=LOG_FLOOR,
        log_mel="log",
    )
    return power.T[:n_frames].astype(np.float32)


def mfcc(waveform: np.ndarray, rate: int, hop: int) -> np.ndarray:
    """Mel-frequency cepstral coefficients and their frame-to-frame slopes.

    Returns
    -------
    array of shape (n_samples // hop, 26), float32
        13 coefficients, then 13 slopes per frame.
    """
    cepstra = dct(log_mel(waveform, rate, hop), axis=1, norm="ortho")[:, :N_CEPSTRA]
    return np.concatenate([cepstra, np.gradient(cepstra, axis=0)], axis=1).astype(np.float32)


@functools.cache
def articulation_table() -> dict[str, list[str]]:
    """Articulatory features of every ARPAbet phone (without stress), as shipped with ds003020."""
    text = resources.files("bthelpers").joinpath("articulation.json").read_text(encoding="utf-8")
    return json.loads(text)


def articulation(phones: list[Interval], n_frames: int, frame_rate: float) -> np.ndarray:
    """Articulatory features present in each frame (appendix A.3 of the ICLR paper).

    Parameters
    ----------
    phones : list of Interval
        ARPAbet phones, with or without stress; ``sp`` and other silences have no feature.
    n_frames : int
    frame_rate : float
        Frames per second.

    Returns
    -------
    array of shape (n_frames, 22), float32, 0 or 1
    """
    table = articulation_table()
    names = sorted({feature for features in table.values() for feature in features})
    present = np.zeros((n_frames, len(names)), np.float32)
    for phone in phones:
        features = table.get(phone.label.rstrip("012"), [])
        first = int(phone.start * frame_rate)
        last = max(first + 1, int(phone.stop * frame_rate))
        present[first:last, [names.index(feature) for feature in features]] = 1
    return present
