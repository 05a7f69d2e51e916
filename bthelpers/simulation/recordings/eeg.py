"""Electrodes of simulated participants: when and where they follow sound and meaning.

Around FCz, electrodes follow spectrum and articulation 0.1 to 0.2 s later; around Pz, the meaning
of content words 0.3 to 0.4 s later; others follow a signal of their own. What drives them is made
as for voxels, with a Gaussian at an electrode's lags in place of a haemodynamic response.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import soxr
import xarray as xr
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from bthelpers.core.timing import SAMPLE_RATE
from bthelpers.encoding.acoustics import articulation, log_mel
from bthelpers.params.recordings.settings import PlantedLags, RecordingSettings
from bthelpers.params.simulation import SimulationSpec
from bthelpers.simulation.espeak import Utterance
from bthelpers.simulation.participants import SPECTRAL_BANDS, semantic_frames
from bthelpers.simulation.recordings.cap import electrodes, nearness
from bthelpers.simulation.voxels import OWN_SHARE, Latents

SOUND_CENTRE, MEANING_CENTRE = "FCz", "Pz"
SPREAD = 30.0  # degrees, of the Gaussian in which an electrode's share falls from a centre


def lagged(frames: NDArray, lags: Sequence[float], width: float, rate: float) -> NDArray:
    """Frames (frame, dimension), blurred and later by each lag (s): (lag, frame, dimension)."""
    ages = np.arange(0, max(lags) + 5 * width, 1 / rate)
    kernels = np.exp(-0.5 * ((ages - np.asarray(lags)[:, None]) / width) ** 2)
    kernels /= kernels.sum(axis=1, keepdims=True)
    return np.stack(
        [fftconvolve(frames, kernel[:, None], axes=0)[: len(frames)] for kernel in kernels]
    )


def electrode_lags(spec: SimulationSpec, planted: PlantedLags) -> dict[str, NDArray]:
    """Lags that electrodes have (s): as many as ``spec.responses``, of sound and of meaning."""
    return {
        "sound": np.linspace(*planted.sound, spec.responses),
        "meaning": np.linspace(*planted.meaning, spec.responses),
    }


def story_latents(
    story: Utterance,
    vectors: Mapping[str, NDArray],
    recording: RecordingSettings,
    lags: Mapping[str, NDArray],
    rng: np.random.Generator,
    shift: float = 0,
) -> Latents:
    """What drives electrodes during a story, at its samples; by lag in place of response.

    Parameters
    ----------
    story : Utterance
    vectors : mapping of str to array of shape (dimension,)
        As of `bthelpers.simulation.participants.word_vectors`.
    recording : RecordingSettings
    lags : mapping of str to array of shape (response,)
        As of `electrode_lags`.
    rng : numpy.random.Generator
        Of what is neither sound nor meaning.
    shift : float
        As of `bthelpers.simulation.participants.semantic_frames`.

    Raises
    ------
    ValueError
        If the rate does not divide that of sound.
    """
    rate, width = recording.rate, recording.planted.width
    hop = SAMPLE_RATE / rate
    if hop != round(hop):
        raise ValueError(
            f"dataset.recording.rate: {rate:g} Hz does not divide the {SAMPLE_RATE} Hz of sound,"
            " which simulated electrodes need: name 50, 64, 80, 100 or 128"
        )
    n_samples = int(story.duration * rate + 1e-6)
    waveform = soxr.resample(story.waveform.astype(np.float32), story.rate, SAMPLE_RATE)
    waveform = np.pad(waveform / np.iinfo(np.int16).max, (0, round(hop)))  # for the last frame
    mel = log_mel(waveform, SAMPLE_RATE, round(hop))
    bands = np.stack(
        [band.mean(axis=1) for band in np.array_split(mel[:n_samples], SPECTRAL_BANDS, axis=1)], 1
    )
    phones = articulation(story.phones, n_samples, rate)
    meaning = semantic_frames(story.words, vectors, n_samples, shift, rate)
    own = rng.normal(size=meaning.shape)
    return Latents(
        lagged(meaning, lags["meaning"], width, rate),
        *(lagged(frames, lags["sound"], width, rate) for frames in (bands, phones, own)),
    )


def electrode_shares() -> xr.DataArray:
    """Share of each kind of latent in each electrode's variance, (kind, voxel).

    Kinds are those of `bthelpers.simulation.voxels.Latents`.
    """
    places = electrodes()
    sound, meaning = (
        np.array([nearness(place, places[centre], SPREAD) for place in places.values()])
        for centre in (SOUND_CENTRE, MEANING_CENTRE)
    )
    kinds = np.stack([meaning, sound / 2, sound / 2, np.full(len(places), 1 - OWN_SHARE)])
    return xr.DataArray(
        kinds / kinds.sum(axis=0),
        {"kind": ["meaning", "spectrum", "articulation", "own"], "voxel": list(places)},
        ("kind", "voxel"),
    )
