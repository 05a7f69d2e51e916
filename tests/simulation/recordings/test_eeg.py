import numpy as np
import pytest
from scipy.stats import norm

from bthelpers.core.timing import Interval
from bthelpers.params.recordings.settings import PlantedLags, RecordingSettings
from bthelpers.params.simulation import SimulationSpec
from bthelpers.simulation.espeak import Utterance
from bthelpers.simulation.recordings.eeg import (
    electrode_lags,
    electrode_shares,
    lagged,
    story_latents,
)

SPEC = SimulationSpec(lexicon="none", responses=3)
VECTORS = {"cat": np.array([1.0, 0, 0]), "dog": np.array([0, 2.0, -1])}


def utterance(seconds):
    rng = np.random.default_rng(0)
    waveform = rng.integers(-9000, 9000, round(seconds * 44_100)).astype(np.int16)
    words = [Interval(0.4, 0.6, "cat"), Interval(1.0, 1.4, "dog"), Interval(1.4, 1.5, "the")]
    return Utterance(waveform, 44_100, words, [Interval(0.4, 0.6, "K"), Interval(1, 1.4, "D")])


def test_an_impulse_becomes_a_gaussian_at_each_lag():
    frames = np.zeros((64, 2))
    frames[5] = [1, -2]
    lags, width = [0.125, 0.3], 0.04
    made = lagged(frames, lags, width, rate=64)
    assert made.shape == (2, 64, 2)
    for of_lag, lag in zip(made, lags, strict=True):
        expected = norm.pdf((np.arange(64) - 5) / 64, lag, width) * (np.arange(64) >= 5)
        np.testing.assert_allclose(of_lag[:, 0], expected / expected.sum(), atol=1e-6)
        np.testing.assert_allclose(of_lag[:, 1], -2 * of_lag[:, 0], atol=1e-12)


def test_meaning_is_heard_at_its_lag_after_the_middle_of_the_word():
    recording = RecordingSettings(64, planted=PlantedLags(meaning=(0.3, 0.4)))
    lags = electrode_lags(SPEC, recording.planted)
    latents = story_latents(utterance(2.5), VECTORS, recording, lags, np.random.default_rng(0))
    times = np.arange(160) / 64
    assert latents.semantic.shape == (3, 160, 3)
    for of_lag, lag in zip(latents.semantic, [0.3, 0.35, 0.4], strict=True):
        # To the nearest sample, after a word whose middle is in the sample before.
        assert abs(times[of_lag[:, 0].argmax()] - 0.5 - lag) < 1.5 / 64
        assert abs(times[of_lag[:, 1].argmax()] - 1.2 - lag) < 1.5 / 64
    assert latents.spectral.shape[:2] == latents.articulatory.shape[:2] == (3, 160)


@pytest.mark.parametrize("seconds", [1.0, 2.51, 2.9999])
def test_lengths_that_are_no_whole_number_of_samples(seconds):
    recording = RecordingSettings(64)
    lags = electrode_lags(SPEC, recording.planted)
    told = story_latents(utterance(seconds), VECTORS, recording, lags, np.random.default_rng(0))
    assert {kind.shape[1] for kind in told.kinds} == {int(seconds * 64)}


def test_a_rate_that_does_not_divide_that_of_sound():
    recording = RecordingSettings(60)
    with pytest.raises(ValueError, match=r"dataset.recording.rate: 60 Hz does not divide"):
        story_latents(utterance(2), VECTORS, recording, {}, np.random.default_rng(0))


def test_sound_is_in_front_and_meaning_behind():
    shares = electrode_shares()
    np.testing.assert_allclose(shares.sum("kind"), 1)
    sound = shares.sel(kind=["spectrum", "articulation"]).sum("kind")
    assert sound.idxmax("voxel") == "FCz" or sound.sel(voxel="FCz") > 0.7
    assert sound.sel(voxel="Fz") > 0.5 > shares.sel(voxel="Fz", kind="meaning")
    assert shares.sel(voxel="Pz", kind="meaning") > 0.5 > sound.sel(voxel="Pz")
    assert shares.sel(voxel="T7", kind="own") > shares.sel(voxel="FCz", kind="own")
