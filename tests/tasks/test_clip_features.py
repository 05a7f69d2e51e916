import copy

import numpy as np
import pytest
import soundfile
import torch
from scarce_memory import hold
from tiny_models import FAMILIES, WHISPER_SECONDS, standardized, tiny_extractor, tiny_model

from bthelpers.core.timing import SAMPLE_RATE
from bthelpers.models.front_ends import MelFrontEnd
from bthelpers.models.speech import SpeechEncoder
from bthelpers.tasks import clip_features as module
from bthelpers.tasks.clip_features import clip_features, low_level_values, token_features
from bthelpers.tasks.clips import Clip, read_waveform

SECONDS = (0.9, 2.1, 0.4, 2.1, 1.37, 0.9, 0.251)


def sound(seconds, seed=0):
    return 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * SAMPLE_RATE))


def write(folder, name, waveform):
    soundfile.write(folder / name, waveform, SAMPLE_RATE, "FLOAT")
    return Clip(name, folder / name, "train", None, "label")


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    return [write(folder, f"{k}.wav", sound(seconds, k)) for k, seconds in enumerate(SECONDS)]


def encoder_of(family, **changes):
    return SpeechEncoder(tiny_model(family, **changes), tiny_extractor(family))


def direct_states(family, clip, **changes):
    """Every layer's valid tokens (layer, token, feature), by transformers alone."""
    model, waveform = tiny_model(family, **changes), read_waveform(clip.path)
    if family == "whisper":
        extractor = tiny_extractor(family)
        inputs = extractor(waveform, sampling_rate=SAMPLE_RATE, return_tensors="pt").input_features
        model, n_tokens = model.get_encoder(), -(-len(waveform) // 640)
    else:
        inputs, n_tokens = torch.from_numpy(standardized(waveform))[None], None
    with torch.no_grad():
        states = model(inputs, output_hidden_states=True).hidden_states
    return torch.stack(states)[:, 0, :n_tokens]


@pytest.mark.parametrize("family", FAMILIES)
def test_features_are_means_over_the_tokens_of_each_clip_alone(clips, family):
    features = clip_features(encoder_of(family), clips, "float32")
    assert features.dims == ("layer", "clip", "feature")
    assert features.dtype == np.float32
    assert list(features["clip"].values) == [clip.name for clip in clips]
    for clip in clips:
        expected = direct_states(family, clip).mean(dim=1)
        np.testing.assert_allclose(features.sel(clip=clip.name), expected, atol=1e-5)


def test_a_group_norm_sees_one_clip_at_a_time(clips):
    features = clip_features(encoder_of("wav2vec2", feat_extract_norm="group"), clips, "float32")
    for clip in clips:
        expected = direct_states("wav2vec2", clip, feat_extract_norm="group").mean(dim=1)
        np.testing.assert_allclose(features.sel(clip=clip.name), expected, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_neither_batches_nor_blocks_change_anything(clips, family, monkeypatch):
    encoder = encoder_of(family)
    many = clip_features(encoder, clips, "float32")
    monkeypatch.setattr(module, "CLIPS_IN_MEMORY", 2)
    blocks = clip_features(encoder, clips, "float32")
    monkeypatch.setattr(module, "WAVEFORMS_AT_ONCE", 1)
    one = clip_features(encoder, clips, "float32")
    np.testing.assert_allclose(blocks, many, atol=1e-5)
    np.testing.assert_allclose(one, many, atol=1e-5)


def test_clips_that_do_not_fit_the_device_are_halved_once(clips, monkeypatch, capsys):
    encoder = encoder_of("hubert")
    expected = clip_features(encoder, clips, "float32")
    monkeypatch.setattr(module, "WAVEFORMS_AT_ONCE", 4)
    asked = hold(monkeypatch, SpeechEncoder, "hidden_states", 2)
    np.testing.assert_allclose(clip_features(encoder, clips, "float32"), expected, atol=1e-5)
    assert asked == [4, 2, 2, 2, 1]
    assert capsys.readouterr().err.count("WARNING: the GPU has no memory for clips (4 at") == 1
    hold(monkeypatch, SpeechEncoder, "hidden_states", 1)
    with pytest.raises(torch.OutOfMemoryError, match=r"\(2 at once\): set `probes\.precision` to"):
        clip_features(encoder, clips, "float32")


@pytest.mark.parametrize("family", ["hubert", "whisper"])
@pytest.mark.usefixtures("bfloat16")
def test_lower_precision_gives_nearly_the_same(clips, family):
    encoder = encoder_of(family)
    full, half = (clip_features(encoder, clips, p) for p in ("float32", "bfloat16"))
    assert half.dtype == np.float32
    assert not np.array_equal(full, half)
    np.testing.assert_allclose(full, half, atol=0.1)


def test_all_clips_that_the_model_cannot_take_are_named(clips, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CLIPS_IN_MEMORY", 2)
    bad = [
        write(tmp_path, "short.wav", sound(0.11)),  # 1,760 samples; a token takes 1,810
        *clips,
        write(tmp_path, "silent.wav", np.zeros(SAMPLE_RATE)),
    ]
    with pytest.raises(ValueError, match=r"cannot take 2 of 9 clips: leave them out") as caught:
        clip_features(encoder_of("hubert"), bad, "float32")
    assert "short.wav: it is shorter than one token" in str(caught.value)
    assert "silent.wav: the waveform is empty, silent" in str(caught.value)


def test_a_clip_that_is_too_long_for_whisper_is_named(clips, tmp_path):
    long = write(tmp_path, "long.wav", sound(WHISPER_SECONDS + 0.001))
    with pytest.raises(ValueError, match=r"1 of 8 clips.*long.wav: .* 10 s of this Whisper"):
        clip_features(encoder_of("whisper"), [*clips, long], "float32")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("token", [0, 9, 23])
def test_low_level_values_are_those_at_the_centres_of_tokens(family, token):
    waveform = np.zeros(SAMPLE_RATE + 1)
    waveform[centre_of(family, token)] = 1.0
    values = low_level_values(encoder_of(family), waveform, 25)
    assert values["fbank"].shape == values["mfcc"].shape == (25, 26)
    loudest = values["fbank"].max(axis=1)
    assert list(np.flatnonzero(loudest > loudest.max() - 3)) == [token]
    assert values["mfcc"][:, 0].argmax() == token


def centre_of(family, token):
    """Sample that a tiny model's token is centred on, as the next test shows."""
    return token * 640 + (0 if family == "whisper" else 905)


def convolved(encoder, waveform):
    """What the convolutions make of each token, (token, channel)."""
    frames = encoder.front_end(encoder.front_end.prepare(waveform), encoder.device)
    if isinstance(encoder.front_end, MelFrontEnd):
        for convolution in (encoder.model.conv1, encoder.model.conv2):
            frames = torch.nn.functional.gelu(convolution(frames[None]))[0]
    return frames.T.detach()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("token", [5, 12])
def test_tokens_before_and_after_hear_the_centre_of_a_token_alike(family, token):
    encoder, waveforms = encoder_of(family), []
    # Clicks that change neither mean nor mean square, but a spectrogram has no sign.
    for click in (1, 0) if family == "whisper" else (1, -1):
        waveforms.append(0.1 * sound(1))
        centre = centre_of(family, token)
        waveforms[-1][centre : centre + 2] = click, -click
    one, other = (convolved(encoder, waveform)[:24] for waveform in waveforms)
    changed = (one - other).abs().amax(dim=1) > 1e-4
    assert changed.nonzero().flatten().tolist() == [token - 1, token, token + 1]


def test_loudness_is_no_low_level_value():
    encoder, waveform = encoder_of("hubert"), sound(1)
    one, other = (low_level_values(encoder, gain * waveform, 20) for gain in (1, 0.01))
    for name in one:
        np.testing.assert_allclose(one[name], other[name], atol=1e-3)


@pytest.mark.parametrize("family", FAMILIES)
def test_all_tokens_come_with_their_values(clips, family):
    encoder = encoder_of(family)
    tokens = token_features(encoder, clips, 1000, "float32", seed=0)
    assert tokens["features"].dims == ("layer", "token", "feature")
    assert list(dict.fromkeys(tokens["clip"].values)) == [clip.name for clip in clips]
    for clip in clips:
        of_clip = tokens.isel(token=tokens["clip"].values == clip.name)
        expected = direct_states(family, clip)
        np.testing.assert_allclose(of_clip["features"], expected, atol=1e-5)
        n_tokens = expected.shape[1]
        values = low_level_values(encoder, read_waveform(clip.path), n_tokens)
        np.testing.assert_array_equal(of_clip["mfcc"], values["mfcc"])
        np.testing.assert_array_equal(of_clip["fbank"], values["fbank"])


def test_some_tokens_are_drawn_by_seed(clips):
    encoder = encoder_of("hubert")
    tokens = {
        key: token_features(encoder, clips, n, "float32", seed)
        for key, n, seed in (("all", 1000, 0), ("few", 5, 0), ("again", 5, 0), ("other", 5, 1))
    }
    counts = np.unique_counts(tokens["few"]["clip"].values)
    assert dict(zip(*counts, strict=True)) == {
        clip.name: min(5, encoder.n_tokens(seconds))
        for clip, seconds in zip(clips, SECONDS, strict=True)
    }
    assert tokens["few"].equals(tokens["again"])
    assert not tokens["few"].equals(tokens["other"])
    whole = tokens["all"].transpose("token", ...)
    for row in tokens["few"].transpose("token", ...)["fbank"]:
        assert (whole["fbank"] == row).all("band").sum() == 1


def test_the_encoder_stays_as_it_is(clips):
    encoder = encoder_of("hubert", hidden_dropout=0.5)
    before = copy.deepcopy(encoder.model.state_dict())
    encoder.model.train()
    first, second = (clip_features(encoder, clips, "float32") for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert all(value.equal(before[name]) for name, value in encoder.model.state_dict().items())
