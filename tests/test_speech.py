import copy
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import (
    AutoFeatureExtractor,
    AutoModel,
    HubertModel,
    Wav2Vec2Config,
    Wav2Vec2Model,
    WavLMConfig,
    WavLMModel,
)

from bthelpers.miniatures import miniature_config
from bthelpers.speech import FRONT_END_SECONDS, SAMPLE_RATE, SpeechEncoder, standardize

CLASSES = {
    "hubert": (HubertModel, None),
    "wav2vec2": (Wav2Vec2Model, Wav2Vec2Config),
    "wavlm": (WavLMModel, WavLMConfig),
}
SMALL = {"num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 48, "conv_dim": (16,) * 5}


def tiny_model(family="hubert", **changes):
    """A random model of two layers."""
    parameters = miniature_config().to_dict() | SMALL | changes
    parameters.pop("model_type")
    model_class, config_class = CLASSES[family]
    config = (config_class or type(miniature_config()))(**parameters)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return model_class(config).eval()


@pytest.fixture(scope="module")
def encoder():
    return SpeechEncoder(tiny_model())


@pytest.fixture(scope="module")
def waveform():
    return np.random.default_rng(0).normal(0.1, 0.3, 5 * SAMPLE_RATE + 77).astype(np.float32)


def samples_of(encoder, waveform, start, stop):
    """Samples that tokens from start to stop see."""
    hop, field = encoder.hop, encoder.receptive_field
    return torch.from_numpy(standardize(waveform)[start * hop : (stop - 1) * hop + field])


@pytest.mark.parametrize("norm", ["layer", "group"])
@pytest.mark.parametrize("family", CLASSES)
def test_windows_of_frames_give_the_hidden_states_of_a_direct_call(family, norm, waveform):
    model = tiny_model(family, feat_extract_norm=norm)
    direct = copy.deepcopy(model)
    encoder = SpeechEncoder(model)
    frames = encoder.frames(waveform)
    for start, stop in [(0, 1), (0, 40), (13, 90), (frames.n_frames - 7, frames.n_frames)]:
        window = frames.window(start, stop)
        assert window.shape == (16, stop - start)
        samples = samples_of(encoder, waveform, start, stop)
        with torch.no_grad():
            states = encoder.hidden_states(window[None])
            expected = direct(samples[None], output_hidden_states=True).hidden_states
            last = encoder.last_hidden_state(window[None])
        assert len(states) == len(expected) == 3
        for ours, theirs in zip(states, expected, strict=True):
            assert ours.shape == (1, stop - start, 32)
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(last, expected[-1], atol=1e-5, rtol=1e-5)


def test_the_first_hidden_state_is_the_input_of_the_first_layer(encoder, waveform):
    seen = []
    layer = encoder.model.encoder.layers[0]
    handle = layer.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].clone()))
    with torch.no_grad():
        states = encoder.hidden_states(encoder.frames(waveform).window(3, 50)[None])
    handle.remove()
    torch.testing.assert_close(states[0], seen[0])


def test_a_group_norm_normalises_each_window_by_itself(waveform):
    encoder = SpeechEncoder(tiny_model(feat_extract_norm="group"))
    frames = encoder.frames(waveform)
    assert not torch.allclose(frames.window(0, 90)[:, :40], frames.window(0, 40), atol=1e-3)


@pytest.mark.parametrize("n_frames", [1, 749, 750, 751, 1500, 1501])
@pytest.mark.parametrize("extra", [0, 639])
def test_frames_of_a_long_story_equal_those_of_one_call(encoder, n_frames, extra):
    assert encoder.hop * 750 == FRONT_END_SECONDS * SAMPLE_RATE
    n_samples = (n_frames - 1) * encoder.hop + encoder.receptive_field + extra
    waveform = np.random.default_rng(n_frames).normal(size=n_samples).astype(np.float32)
    frames = encoder.frames(waveform)
    assert frames.n_frames == n_frames
    whole = encoder.front_end_frames(torch.from_numpy(standardize(waveform)))
    assert whole.shape == (16, n_frames)
    torch.testing.assert_close(frames.window(0, n_frames), whole, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("norm", ["layer", "group"])
def test_both_kinds_of_frames_count_the_same(norm, encoder):
    frames = SpeechEncoder(tiny_model(feat_extract_norm=norm)).frames
    rng = np.random.default_rng(1)
    for n_samples in (encoder.receptive_field, 12_345, 16_000, 3 * 16_000 + 1):
        naive = sum(1 for k in range(200) if k * 640 + encoder.receptive_field <= n_samples)
        assert frames(rng.normal(size=n_samples)).n_frames == naive


def test_hop_and_receptive_field_are_those_of_the_convolutions(encoder):
    """A token changes with the first and the last sample it sees, and with none beyond."""
    field, hop = encoder.receptive_field, encoder.hop
    assert (hop, field) == (640, 1810)
    rng = np.random.default_rng(2)
    samples = torch.from_numpy(rng.normal(size=field + 3 * hop).astype(np.float32))
    token = 1
    reference = encoder.front_end_frames(samples)[:, token]
    for place, seen in [
        (hop - 1, False),
        (hop, True),
        (hop + field - 1, True),
        (hop + field, False),
    ]:
        changed = samples.clone()
        changed[place] += 100
        difference = (encoder.front_end_frames(changed)[:, token] - reference).abs().max()
        assert (difference > 1e-6) == seen, place


@given(st.floats(0.12, 20), st.lists(st.integers(1810, 500_000), min_size=1, max_size=5))
def test_token_windows_hold_the_tokens_of_their_sound(encoder, seconds, stops):
    field, hop = encoder.receptive_field, encoder.hop
    length = round(seconds * SAMPLE_RATE)
    n_tokens = encoder.n_tokens(seconds)
    assert n_tokens == sum(1 for k in range(600) if k * hop + field <= length)
    for stop_sample, (start, stop) in zip(
        stops, encoder.token_windows(np.array(stops), seconds), strict=True
    ):
        assert stop == sum(1 for k in range(1000) if k * hop + field <= stop_sample)
        assert start == max(stop - n_tokens, 0)
        # at most one token before the window's exact beginning, or with the sound's beginning
        assert start * hop > stop_sample - length - hop
        naive = [
            k
            for k in range(stop)
            if k * hop >= stop_sample - length and k * hop + field <= stop_sample
        ]
        assert stop - start - len(naive) in (0, 1)


def test_a_window_without_a_token_is_an_error(encoder):
    with pytest.raises(ValueError, match="before the first token"):
        encoder.token_windows(np.array([32_000, encoder.receptive_field - 1]), 1.0)
    with pytest.raises(ValueError, match=r"0\.1 s .* no token"):
        encoder.token_windows(np.array([32_000]), 0.1)
    assert encoder.token_windows(np.array([encoder.receptive_field]), 1.0).tolist() == [[0, 1]]


def test_a_batch_of_one_equals_a_batch_of_many(encoder, waveform):
    frames = encoder.frames(waveform)
    windows = [frames.window(start, start + 60) for start in (0, 17, 55)]
    with torch.no_grad():
        many = encoder.hidden_states(torch.stack(windows))
        for k, window in enumerate(windows):
            for one, batch in zip(encoder.hidden_states(window[None]), many, strict=True):
                torch.testing.assert_close(one[0], batch[k], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", CLASSES)
def test_a_saved_model_is_one_that_transformers_loads(family, tmp_path, waveform):
    encoder = SpeechEncoder(tiny_model(family))
    window = encoder.frames(waveform).window(10, 60)[None]
    with torch.no_grad():
        expected = encoder.last_hidden_state(window)
    encoder.save(tmp_path / "model", {"model": "tiny"})
    samples = samples_of(encoder, waveform, 10, 60)
    loaded = AutoModel.from_pretrained(tmp_path / "model")
    assert loaded.config.model_type == family
    with torch.no_grad():
        torch.testing.assert_close(loaded(samples[None]).last_hidden_state, expected)
        torch.testing.assert_close(encoder.last_hidden_state(window), expected)  # still of use
        again = SpeechEncoder.load(tmp_path / "model")
        torch.testing.assert_close(again.last_hidden_state(window), expected)
    assert json.loads((tmp_path / "model" / "provenance.json").read_text()) == {"model": "tiny"}
    preprocessor = AutoFeatureExtractor.from_pretrained(tmp_path / "model")
    inputs = preprocessor(waveform, sampling_rate=SAMPLE_RATE).input_values[0]
    np.testing.assert_allclose(inputs, standardize(waveform), atol=1e-5)


def test_masking_and_layer_drop_are_off_in_training(tmp_path, waveform):
    pretraining = {"apply_spec_augment": True, "mask_time_prob": 0.9, "layerdrop": 0.9}
    tiny_model(**pretraining).save_pretrained(tmp_path)
    for encoder in (SpeechEncoder.load(tmp_path), SpeechEncoder(tiny_model(**pretraining))):
        window = encoder.frames(waveform).window(0, 100)[None]
        outputs = []
        for training in (False, True):
            encoder.model.train(training)
            with torch.no_grad():
                outputs.append(encoder.last_hidden_state(window))
        torch.testing.assert_close(*outputs)


def test_a_loaded_model_evaluates_in_float32(tmp_path):
    tiny_model(hidden_dropout=0.5).half().save_pretrained(tmp_path)
    encoder = SpeechEncoder.load(tmp_path)
    assert not encoder.model.training
    assert {p.dtype for p in encoder.transformer_parameters()} == {torch.float32}
    assert (encoder.n_layers, encoder.hidden_size) == (2, 32)
    assert encoder.device == torch.device("cpu")


def test_the_model_computes_in_the_precision_that_is_asked_for(encoder, waveform):
    window = encoder.frames(waveform).window(0, 60)[None]
    with torch.no_grad():
        plain = encoder.last_hidden_state(window)
        with encoder.arithmetic("float32"):
            torch.testing.assert_close(encoder.last_hidden_state(window), plain, atol=0, rtol=0)
        with encoder.arithmetic("bfloat16"):
            half = encoder.last_hidden_state(window)
    assert not torch.equal(half.float(), plain)
    torch.testing.assert_close(half.float(), plain, atol=0.1, rtol=0.1)


def test_a_copy_is_independent():
    encoder = SpeechEncoder(tiny_model())
    state = copy.deepcopy(encoder.model.state_dict())
    samples = torch.from_numpy(np.random.default_rng(0).normal(size=8000).astype(np.float32))
    frames = encoder.front_end_frames(samples)
    other = encoder.copy()
    for parameter in [*other.transformer_parameters(), *other._front_end.parameters()]:
        parameter.data.add_(1)
    for name, value in encoder.model.state_dict().items():
        torch.testing.assert_close(value, state[name], atol=0, rtol=0)
    torch.testing.assert_close(encoder.front_end_frames(samples), frames, atol=0, rtol=0)


def test_the_front_end_is_not_among_what_is_tuned(encoder):
    whole = tiny_model()
    expected = {n for n, _ in whole.named_parameters() if not n.startswith("feature_extractor.")}
    assert {n for n, _ in encoder.model.named_parameters()} == expected
    assert len(encoder.transformer_parameters()) == len(expected)
    samples = torch.zeros(8000)
    samples[4000] = 1
    assert not encoder.front_end_frames(samples).requires_grad


@pytest.mark.parametrize("name", ["nowhere", "no/where", "./no/where", "a/b/c", "/no/where", "."])
def test_a_missing_folder_is_an_error_that_says_what_to_do(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="no speech model here") as caught:
        SpeechEncoder.load(name)
    assert "python -m bthelpers.miniatures" in str(caught.value)


def test_a_folder_without_a_model_is_an_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "checkpoints" / "mini").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"config\.json is missing"):
        SpeechEncoder.load("checkpoints/mini")


def test_another_family_is_an_error():
    with pytest.raises(ValueError, match=r"'whisper' is not supported.* hubert, wav2vec2, wavlm"):
        SpeechEncoder(SimpleNamespace(config=SimpleNamespace(model_type="whisper")))


@given(st.integers(2, 50), st.floats(-1e3, 1e3), st.floats(1e-2, 1e3))
def test_standardize_agrees_with_numpy_in_float64(n_samples, mean, scale):
    waveform = np.random.default_rng(n_samples).normal(mean, scale, n_samples)
    standardized = standardize(waveform)
    assert standardized.dtype == np.float32
    expected = (waveform - waveform.mean()) / waveform.std()
    tolerance = 1e-5 * (1 + abs(mean) / waveform.std())  # digits that float32 cancels
    np.testing.assert_allclose(standardized, expected, atol=tolerance)


@pytest.mark.parametrize("waveform", [[], [0.5, 0.5, 0.5], [0.1, np.nan, 0.2], [0.1, np.inf]])
def test_a_waveform_without_sound_is_an_error(waveform):
    with pytest.raises(ValueError, match="empty, silent throughout, or not finite"):
        standardize(np.array(waveform))
