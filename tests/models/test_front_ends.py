import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import WHISPER_SECONDS, standardized, tiny_extractor, tiny_model
from transformers import Wav2Vec2FeatureExtractor

from bthelpers.core.timing import SAMPLE_RATE
from bthelpers.models.front_ends import (
    SECONDS_AT_ONCE,
    ConvolutionalFrontEnd,
    MelFrontEnd,
    StoryFrames,
    WindowFrames,
)

HOP, FIELD = 640, 1810  # samples: of the tiny models' tokens
CPU = torch.device("cpu")


def noise(n_samples, seed=0):
    return np.random.default_rng(seed).normal(0.1, 0.3, n_samples).astype(np.float32)


def convolutional(norm="layer", extractor=None):
    return ConvolutionalFrontEnd(tiny_model(feat_extract_norm=norm), extractor)


@pytest.fixture(scope="module")
def by_frame():
    return convolutional()


@pytest.fixture(scope="module")
def mel():
    return MelFrontEnd(tiny_model("whisper").encoder, tiny_extractor("whisper"))


# Convolutions


@pytest.mark.parametrize("n_frames", [1, 749, 750, 751, 1500, 1501])
@pytest.mark.parametrize("extra", [0, HOP - 1])
def test_frames_of_a_long_story_equal_those_of_one_call(by_frame, n_frames, extra):
    assert HOP * 750 == SECONDS_AT_ONCE * SAMPLE_RATE
    waveform = noise((n_frames - 1) * HOP + FIELD + extra, n_frames)
    frames = by_frame.frames(waveform, CPU)
    assert isinstance(frames, StoryFrames)
    assert frames.n_frames == n_frames
    whole = by_frame(torch.from_numpy(standardized(waveform)), CPU)
    assert whole.shape == (16, n_frames)
    torch.testing.assert_close(frames.window(0, n_frames), whole, atol=1e-5, rtol=1e-5)


def test_a_group_norm_normalises_each_window_by_itself():
    frames = convolutional("group").frames(noise(5 * SAMPLE_RATE), CPU)
    assert isinstance(frames, WindowFrames)
    assert not torch.allclose(frames.window(0, 90)[:, :40], frames.window(0, 40), atol=1e-3)


@pytest.mark.parametrize("norm", ["layer", "group"])
@pytest.mark.parametrize("n_samples", [FIELD, 12_345, 16_000, 3 * 16_000 + 1])
def test_both_kinds_of_frames_count_the_same(norm, n_samples):
    naive = sum(1 for k in range(200) if k * HOP + FIELD <= n_samples)
    assert convolutional(norm).frames(noise(n_samples), CPU).n_frames == naive


def test_hop_and_receptive_field_are_those_of_the_convolutions(by_frame):
    """A token changes with the first and the last sample it sees, and with none beyond."""
    assert (by_frame.hop, by_frame.receptive_field) == (HOP, FIELD)
    samples = torch.from_numpy(noise(FIELD + 3 * HOP, 2))
    token = 1
    reference = by_frame(samples, CPU)[:, token]
    for place, seen in [
        (HOP - 1, False),
        (HOP, True),
        (HOP + FIELD - 1, True),
        (HOP + FIELD, False),
    ]:
        changed = samples.clone()
        changed[place] += 100
        difference = (by_frame(changed, CPU)[:, token] - reference).abs().max()
        assert (difference > 1e-6) == seen, place


@pytest.mark.parametrize("normalized", [True, False])
def test_sound_is_standardised_as_in_pretraining(normalized):
    extractor = Wav2Vec2FeatureExtractor(do_normalize=normalized)
    waveform = noise(5000)
    prepared = convolutional(extractor=extractor).prepare(waveform)
    assert prepared.dtype == torch.float32
    expected = standardized(waveform) if normalized else waveform
    np.testing.assert_allclose(prepared, expected, atol=1e-5)


def test_frames_need_no_gradient(by_frame):
    assert not by_frame(torch.from_numpy(noise(8000)), CPU).requires_grad


# Whisper's spectrogram


def test_a_spectrogram_is_as_long_as_the_model_takes(mel):
    assert mel.hop == mel.receptive_field == 640
    for seconds in (0.04, 3.3, WHISPER_SECONDS):
        spectrogram = mel(torch.from_numpy(noise(round(seconds * SAMPLE_RATE))), CPU)
        assert spectrogram.shape == (16, WHISPER_SECONDS * SAMPLE_RATE // 320)


def test_silence_fills_the_spectrogram_up(mel):
    spectrogram = mel(torch.from_numpy(noise(2 * SAMPLE_RATE)), CPU)
    silent = spectrogram[:, 2 * 50 + 2 :]  # two frames still see the end of the sound
    assert (silent == silent[0, 0]).all()
    assert silent[0, 0] == spectrogram.min()


@given(st.integers(1, 200_000))
def test_a_token_of_whisper_is_valid_if_it_holds_sound(mel, n_samples):
    assert mel.n_frames(n_samples) == sum(1 for k in range(400) if k * HOP < n_samples)


def test_windows_of_a_spectrogram_hear_their_own_sound_only(mel):
    waveform = noise(8 * SAMPLE_RATE)
    window = mel.frames(waveform, CPU).window(50, 125)
    torch.testing.assert_close(window, mel(torch.from_numpy(waveform[50 * HOP : 125 * HOP]), CPU))


def test_more_sound_than_whisper_takes_is_an_error(mel):
    with pytest.raises(ValueError, match=r"10\.1 s of sound are more than the 10 s .*`chunk_trs`"):
        mel(torch.from_numpy(noise(round(10.1 * SAMPLE_RATE))), CPU)


@pytest.mark.parametrize("waveform", [[], [0.5, 0.5, 0.5], [0.1, np.nan, 0.2], [0.1, np.inf]])
def test_a_waveform_without_sound_is_an_error(waveform, by_frame, mel):
    for front_end in (by_frame, mel):
        with pytest.raises(ValueError, match="empty, silent throughout, or not finite"):
            front_end.prepare(np.array(waveform))
