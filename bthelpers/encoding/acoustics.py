"""Low-level features of speech: spectra of the sound, articulation of the phones."""

from __future__ import annotations

import functools
import json
from importlib import resources

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct, next_fast_len
from scipy.signal import welch
from transformers.audio_utils import mel_filter_bank, spectrogram

from bthelpers.core.timing import Interval

FFT_LENGTH = 512
LOG_FLOOR = 1e-6
N_CEPSTRA = 13
BAND_EDGES = np.linspace(25, 15_000, 449)  # Hz, of the 448 bands of the power spectrum
BINS_PER_BAND = 4  # at least: frequencies that the power of a band is averaged over
# Of a full-scale amplitude's square per Hz. The rounding of 16-bit sound at 44.1 kHz is below it.
POWER_FLOOR = 1e-14
FRAMES_AT_ONCE = 128  # of which spectra are computed: bounds memory
LONGEST_GAP = 1e-3  # s; phones that are further apart do not follow each other


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


def power_spectrum(segment: np.ndarray, rate: float) -> NDArray[np.floating]:
    """Power in bands of 33.4 Hz from 25 Hz to 15 kHz (appendix A.3 of the ICLR paper).

    Welch's method with windows of 0.12 s: the mean power density over the frequencies of a band.
    The bands do not depend on the rate. Those that reach beyond half of the rate cannot be told
    from such sound and are left out, so that there are fewer than 448.

    Parameters
    ----------
    segment : array of shape (..., n_samples)
        Sound between -1 and 1.
    rate : float
        Samples per second.

    Returns
    -------
    array of shape (..., n_bands)
        In decibels: 0 is one unit of squared amplitude per Hz. Silence is at -140.

    Raises
    ------
    ValueError
        If the segment is shorter than a window, or the rate too low for any band.
    """
    edges = BAND_EDGES[rate / 2 >= BAND_EDGES]
    if len(edges) < 2:
        raise ValueError(f"sound of {rate} samples per second holds no band of the power spectrum")
    n_window, n_samples = spectrum_window(rate), segment.shape[-1]
    if n_samples < n_window:
        raise ValueError(f"{n_samples} samples are too few for a spectrum: {n_window} or more")
    frequencies, density = welch(segment, rate, nperseg=n_window)
    first = np.searchsorted(frequencies, edges)
    sums = np.add.reduceat(density[..., : first[-1]], first[:-1], axis=-1)
    return 10 * np.log10(np.maximum(sums / np.diff(first), POWER_FLOOR))


def spectrum_window(rate: float) -> int:
    """Samples of a window of `power_spectrum`: about 0.12 s, as many as are quick to transform."""
    return next_fast_len(round(BINS_PER_BAND * rate / (BAND_EDGES[1] - BAND_EDGES[0])), real=True)


def power_spectra(waveform: np.ndarray, rate: int, hop: int) -> NDArray[np.float32]:
    """`power_spectrum` of one window after another.

    Parameters
    ----------
    waveform : array of shape (n_samples,)
    rate : int
        Samples per second.
    hop : int
        Samples per frame; frame ``k`` is centred on sample ``(k + 1/2) * hop``.

    Returns
    -------
    array of shape (n_samples // hop, n_bands), float32
    """
    n_window, n_frames = spectrum_window(rate), len(waveform) // hop
    before = n_window // 2 - hop // 2
    padded = np.pad(waveform, (max(before, 0), n_window))[max(-before, 0) :]
    cut = np.lib.stride_tricks.sliding_window_view(padded, n_window)[::hop][:n_frames]
    batches = range(0, n_frames, FRAMES_AT_ONCE)
    spectra = [power_spectrum(cut[first : first + FRAMES_AT_ONCE], rate) for first in batches]
    return np.concatenate(spectra).astype(np.float32)


@functools.cache
def articulation_table() -> dict[str, list[str]]:
    """Articulatory features of every ARPAbet phone (without stress), as shipped with ds003020."""
    table = resources.files("bthelpers.encoding").joinpath("articulation.json")
    text = table.read_text(encoding="utf-8")
    return json.loads(text)


def phone_name(phone: Interval) -> str:
    """Label without the digit of stress, in capitals: a key of the table if it is a phone."""
    return phone.label.upper().rstrip("012")


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
        features = table.get(phone_name(phone), [])
        first = int(phone.start * frame_rate)
        last = max(first + 1, int(phone.stop * frame_rate))
        present[first:last, [names.index(feature) for feature in features]] = 1
    return present


def phone_sequences(phones: list[Interval], length: int) -> list[Interval]:
    """Di-phones, tri-phones: all runs of so many adjacent phones, in time.

    What is no phone, such as a silence or a noise, ends a run, as does a gap between labels.

    Parameters
    ----------
    phones : list of Interval
        ARPAbet phones, with or without stress, and other labels, in time.
    length : int
        Phones of a sequence: 2 for di-phones.

    Returns
    -------
    list of Interval
        From the start of the first phone to the end of the last, labelled such as ``K-AE-T``.
    """
    runs: list[list[Interval]] = [[]]
    for phone in phones:
        is_phone = phone_name(phone) in articulation_table()
        if not is_phone or (runs[-1] and phone.start - runs[-1][-1].stop > LONGEST_GAP):
            runs.append([])
        if is_phone:
            runs[-1].append(phone)
    return [
        Interval(sequence[0].start, sequence[-1].stop, "-".join(map(phone_name, sequence)))
        for run in runs
        for sequence in zip(*(run[first:] for first in range(length)), strict=False)
    ]
