import copy
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from base_models import BASE
from huggingface_hub import errors as hub
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tiny_models import FAMILIES, standardized, tiny_extractor, tiny_model
from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModel,
    Wav2Vec2FeatureExtractor,
    WhisperFeatureExtractor,
)

from bthelpers.core.checksums import SUMS
from bthelpers.core.timing import SAMPLE_RATE
from bthelpers.models import devices
from bthelpers.models.loading import ModelError
from bthelpers.models.speech import SpeechEncoder


def tiny_encoder(family="hubert", **changes):
    return SpeechEncoder(tiny_model(family, **changes), tiny_extractor(family))


@pytest.fixture(scope="module")
def encoder():
    return tiny_encoder()


@pytest.fixture(scope="module")
def waveform():
    return np.random.default_rng(0).normal(0.1, 0.3, 5 * SAMPLE_RATE + 77).astype(np.float32)


@torch.no_grad()
def direct_call(family, model, waveform):
    """Every layer as transformers gives it for one sound, with whatever silence follows it."""
    if family == "whisper":
        features = tiny_extractor(family)(waveform, sampling_rate=SAMPLE_RATE, return_tensors="pt")
        return model.encoder(features.input_features, output_hidden_states=True).hidden_states
    samples = torch.from_numpy(standardized(waveform))
    return model(samples[None], output_hidden_states=True).hidden_states


def samples_of(encoder, waveform, start, stop):
    """Samples that tokens from start to stop see."""
    hop, field = encoder.hop, encoder.receptive_field
    return torch.from_numpy(standardized(waveform)[start * hop : (stop - 1) * hop + field])


# Hidden states


@pytest.mark.parametrize("norm", ["layer", "group"])
@pytest.mark.parametrize("family", FAMILIES)
def test_hidden_states_are_those_of_a_direct_call(family, norm, waveform):
    changes = {} if family == "whisper" else {"feat_extract_norm": norm}
    model = tiny_model(family, **changes)
    direct = copy.deepcopy(model)
    encoder = SpeechEncoder(model, tiny_extractor(family))
    sounds = [waveform, waveform[:20_000], waveform[3_000:23_000], waveform[:2_000]]
    layers, lengths = encoder.hidden_states(sounds)
    assert len(layers) == encoder.n_layers + 1 == 3
    for k, sound in enumerate(sounds):
        expected = direct_call(family, direct, sound)
        if family == "whisper":
            assert lengths[k] == np.ceil(len(sound) / 640)
        else:
            assert lengths[k] == expected[0].shape[1]
        for ours, theirs in zip(layers, expected, strict=True):
            assert ours.shape == (4, max(lengths), 32)
            valid = theirs[0, : lengths[k]]
            torch.testing.assert_close(ours[k, : lengths[k]], valid, atol=1e-5, rtol=1e-5)
            assert (ours[k, lengths[k] :] == 0).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_batch_of_one_equals_a_batch_of_many(family, waveform):
    encoder = tiny_encoder(family)
    sounds = [waveform[start : start + n] for start, n in [(0, 30_000), (9, 30_000), (5, 41_234)]]
    many, lengths = encoder.hidden_states(sounds)
    for k, sound in enumerate(sounds):
        one, [length] = encoder.hidden_states([sound])
        assert length == lengths[k]
        for alone, together in zip(one, many, strict=True):
            torch.testing.assert_close(alone[0], together[k, :length], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_windows_of_a_story_give_what_their_sound_alone_does(family, waveform):
    """Standardised over the whole story, where the family standardises."""
    encoder = tiny_encoder(family)
    direct = tiny_model(family)
    frames = encoder.frames(waveform)
    for start, stop in [(0, 1), (0, 40), (13, 90), (frames.n_frames - 7, frames.n_frames)]:
        window = frames.window(start, stop)
        with torch.no_grad():
            states = encoder.all_layers(window[None], stop - start)
            last = encoder.tokens(window[None], stop - start)
        if family == "whisper":
            sound = waveform[start * encoder.hop : stop * encoder.hop]
            expected = direct_call(family, direct, sound)
        else:
            samples = samples_of(encoder, waveform, start, stop)
            with torch.no_grad():
                expected = direct(samples[None], output_hidden_states=True).hidden_states
        for ours, theirs in zip(states, expected, strict=True):
            assert ours.shape == (1, stop - start, 32)
            torch.testing.assert_close(ours, theirs[:, : stop - start], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(last, states[-1], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_first_hidden_state_is_the_input_of_the_first_layer(family, waveform):
    encoder, seen = tiny_encoder(family), []
    layer = encoder.model.encoder.layers[0] if family != "whisper" else encoder.model.layers[0]
    handle = layer.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].clone()))
    layers, [length] = encoder.hidden_states([waveform])
    handle.remove()
    torch.testing.assert_close(layers[0], seen[0][:, :length])


def test_the_silence_after_the_sound_is_no_part_of_whispers_states(waveform):
    encoder = tiny_encoder("whisper")
    layers, lengths = encoder.hidden_states([waveform[: 2 * SAMPLE_RATE]])
    assert lengths.tolist() == [50]
    assert layers[-1].shape == (1, 50, 32)


@pytest.mark.parametrize("family", FAMILIES)
def test_masking_and_layer_drop_are_off_in_training(family, tmp_path, waveform):
    drop = {"encoder_layerdrop": 0.9} if family == "whisper" else {"layerdrop": 0.9}
    dropouts = {"dropout": 0.0} if family == "whisper" else {"hidden_dropout": 0.0}
    others = ("attention_dropout", "activation_dropout", "feat_proj_dropout")
    pretraining = {"apply_spec_augment": True, "mask_time_prob": 0.9} | drop | dropouts
    model = tiny_model(family, **pretraining, **dict.fromkeys(others, 0.0))
    tiny_encoder(family).front_end.extractor.save_pretrained(tmp_path)
    model.save_pretrained(tmp_path)
    for encoder in (SpeechEncoder.load(tmp_path), SpeechEncoder(model, tiny_extractor(family))):
        outputs = []
        for training in (False, True):
            encoder.model.train(training)
            outputs.append(encoder.hidden_states([waveform]).layers[-1])
        torch.testing.assert_close(*outputs)


def test_the_model_computes_in_the_precision_that_is_asked_for(encoder, waveform, monkeypatch):
    monkeypatch.setattr(devices, "_cpu_has_bfloat16", lambda: True)
    plain = encoder.hidden_states([waveform]).layers[-1]
    with encoder.autocast("float32"):
        same = encoder.hidden_states([waveform]).layers[-1]
    with encoder.autocast("bfloat16"):
        half = encoder.hidden_states([waveform]).layers[-1]
    torch.testing.assert_close(same, plain, atol=0, rtol=0)
    assert not torch.equal(half, plain)
    torch.testing.assert_close(half, plain, atol=0.1, rtol=0.1)


def test_a_waveform_without_a_token_is_an_error(encoder, waveform):
    with pytest.raises(ValueError, match="waveform 1 is shorter than one token"):
        encoder.hidden_states([waveform, waveform[: encoder.receptive_field - 1]])


# Windows


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


# What is tuned


@pytest.mark.parametrize("family", FAMILIES)
def test_the_front_end_is_not_among_what_is_tuned(family):
    encoder = tiny_encoder(family)
    frozen = ("feature_extractor.", "conv1.", "conv2.", "embed_positions.")
    whole = tiny_model(family)
    whole = whole.encoder if family == "whisper" else whole
    expected = {name for name, _ in whole.named_parameters() if not name.startswith(frozen)}
    tuned = {id(parameter) for parameter in encoder.transformer_parameters()}
    assert {n for n, p in encoder.model.named_parameters() if id(p) in tuned} == expected
    assert len(tuned) == len(expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_copy_is_independent(family, waveform):
    encoder = tiny_encoder(family)
    before = encoder.hidden_states([waveform]).layers
    other = encoder.copy()
    for parameter in [*other.model.parameters(), *other._whole.parameters()]:
        parameter.data.add_(1)
    for one, again in zip(before, encoder.hidden_states([waveform]).layers, strict=True):
        torch.testing.assert_close(one, again, atol=0, rtol=0)


def test_the_positions_of_a_loaded_whisper_are_not_tuned(tmp_path):
    tiny_encoder("whisper").save(tmp_path / "model", {})
    tuned = {id(p) for p in SpeechEncoder.load(tmp_path / "model").transformer_parameters()}
    assert len(tuned) == len(tiny_encoder("whisper").transformer_parameters())


def test_a_copy_of_whisper_is_saved_with_its_own_encoder(tmp_path):
    other = tiny_encoder("whisper").copy()
    other.model.layer_norm.bias.data.add_(1)
    other.save(tmp_path / "model", {})
    bias = AutoModel.from_pretrained(tmp_path / "model").encoder.layer_norm.bias
    torch.testing.assert_close(bias, other.model.layer_norm.bias)


# Saving and loading


@pytest.mark.parametrize("family", FAMILIES)
def test_a_saved_model_is_one_that_transformers_loads(family, tmp_path, waveform):
    encoder = tiny_encoder(family)
    expected = encoder.hidden_states([waveform]).layers
    encoder.save(tmp_path / "model", {"model": "tiny"}, "# A card")
    assert (tmp_path / "model/README.md").read_text() == "# A card"
    loaded = AutoModel.from_pretrained(tmp_path / "model").eval()
    assert loaded.config.model_type == family
    for theirs, ours in zip(direct_call(family, loaded, waveform), expected, strict=True):
        torch.testing.assert_close(theirs[:, : ours.shape[1]], ours, atol=1e-5, rtol=1e-5)
    again = SpeechEncoder.load(tmp_path / "model")
    for states in (encoder.hidden_states([waveform]), again.hidden_states([waveform])):
        torch.testing.assert_close(states.layers[-1], expected[-1])
    assert json.loads((tmp_path / "model" / "provenance.json").read_text()) == {"model": "tiny"}
    extractor = AutoFeatureExtractor.from_pretrained(tmp_path / "model")
    assert extractor.to_dict() == encoder.front_end.extractor.to_dict()


def save_without_sums(folder):
    """As a model of an earlier version, or of others; its files can be changed unnoticed."""
    tiny_encoder().save(folder, {})
    (folder / SUMS).unlink()


@pytest.mark.parametrize("name", ["model.safetensors", "preprocessor_config.json", "config.json"])
def test_a_changed_file_of_a_saved_model_is_an_error_and_a_changed_card_is_not(name, tmp_path):
    tiny_encoder().save(tmp_path, {}, "# A card")
    (tmp_path / "README.md").write_text("# Another")
    assert SpeechEncoder.load(tmp_path).n_layers == 2
    content = bytearray((tmp_path / name).read_bytes())
    content[-2] ^= 1
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=f"{name} is not as it was saved"):
        SpeechEncoder.load(tmp_path)


def test_a_loaded_model_evaluates_in_float32(tmp_path):
    save_without_sums(tmp_path)
    tiny_model(hidden_dropout=0.5).half().save_pretrained(tmp_path)
    encoder = SpeechEncoder.load(tmp_path)
    assert not encoder.model.training
    assert {p.dtype for p in encoder.transformer_parameters()} == {torch.float32}
    assert (encoder.n_layers, encoder.hidden_size) == (2, 32)
    assert encoder.device == torch.device("cpu")


@pytest.mark.parametrize("name", ["nowhere", "no/where", "./no/where", "a/b/c", "/no/where", "."])
def test_a_missing_folder_is_an_error_that_says_what_to_do(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="no model here") as caught:
        SpeechEncoder.load(name)
    assert "`bthelpers miniature speech --output" in str(caught.value)


def test_another_family_is_an_error(tmp_path):
    with pytest.raises(ModelError, match=r"'bert' is not supported.* hubert, wav2vec2, wavlm, wh"):
        SpeechEncoder(SimpleNamespace(config=SimpleNamespace(model_type="bert")))
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ModelError, match="'bert' is not supported"):
        SpeechEncoder.load(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "no such model"}')
    with pytest.raises(ModelError, match=f"{tmp_path} cannot be loaded"):
        SpeechEncoder.load(tmp_path)


def test_weights_that_do_not_fit_their_configuration_are_an_error(tmp_path):
    save_without_sums(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    for change, message in [
        ({"num_hidden_layers": 3}, r"\d+ are missing, such as encoder\.layers\.2"),
        ({"intermediate_size": 50}, "cannot be loaded.*mismatch"),
    ]:
        (tmp_path / "config.json").write_text(json.dumps(config | change))
        with pytest.raises(ModelError, match=f"(?s){message}"):
            SpeechEncoder.load(tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "preprocessor_config.json"])
def test_a_folder_that_is_not_whole_is_an_error_that_names_it(name, tmp_path):
    save_without_sums(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ModelError, match=f"{tmp_path} cannot be loaded: ") as caught:
        SpeechEncoder.load(tmp_path)
    assert "hf download" not in str(caught.value)


def test_truncated_weights_are_an_error(tmp_path):
    save_without_sums(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(ModelError, match=f"{tmp_path} cannot be loaded: "):
        SpeechEncoder.load(tmp_path)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_loaded_for_a_gpu(family, tmp_path, monkeypatch):
    """With an attention that the family has, which differs from that on a processor."""
    tiny_encoder(family).save(tmp_path, {})
    monkeypatch.setattr(torch.nn.Module, "to", lambda module, *_: module)
    assert SpeechEncoder.load(tmp_path, device="cuda").n_layers == 2


def test_weights_are_counted_as_they_are_saved(tmp_path):
    for family in FAMILIES:
        whole = tiny_model(family)
        expected = sum(weights.numel() for weights in whole.parameters())
        assert SpeechEncoder(whole, tiny_extractor(family)).n_weights == expected


def test_weights_that_only_pretraining_uses_may_be_missing(tmp_path):
    save_without_sums(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["masked_spec_embed"]
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    assert SpeechEncoder.load(tmp_path).n_layers == 2


@pytest.mark.parametrize(
    ("cause", "remedy"),
    [
        (hub.GatedRepoError, "accept its terms.* `hf auth login`"),
        (hub.RepositoryNotFoundError, "correct its name"),
        (hub.RevisionNotFoundError, "correct its revision"),
        (hub.LocalEntryNotFoundError, "hf download NAME .*without a revision"),
    ],
)
def test_a_model_that_the_hub_does_not_give_is_an_error_with_a_remedy(cause, remedy, monkeypatch):
    def refused(*args, **kwargs):
        raise OSError("something long") from cause.__new__(cause)

    monkeypatch.setattr(AutoConfig, "from_pretrained", refused)
    with pytest.raises(
        ModelError, match=f"facebook/x at abc cannot be loaded .something long.: .*{remedy}"
    ):
        SpeechEncoder.load("facebook/x", "abc")


EXTRACTORS = {"whisper": WhisperFeatureExtractor(80)}


@pytest.mark.parametrize("family", BASE)
def test_base_models_are_saved_loaded_and_give_what_transformers_gives(family, tmp_path):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = SpeechEncoder(BASE[family]().eval())
    assert (encoder.n_layers, encoder.hidden_size) == (12, 768)
    assert encoder.hop == 320
    encoder.save(tmp_path / "model", {})
    direct = copy.deepcopy(encoder._whole)
    encoder.front_end.complete(direct)
    loaded = SpeechEncoder.load(tmp_path / "model")
    rng = np.random.default_rng(0)
    sounds = [rng.normal(0, 0.1, n).astype(np.float32) for n in (SAMPLE_RATE, 7_000)]
    layers, lengths = loaded.hidden_states(sounds)
    extractor = EXTRACTORS.get(family, Wav2Vec2FeatureExtractor(do_normalize=True))
    inputs = extractor(sounds[0], sampling_rate=SAMPLE_RATE, return_tensors="pt")
    with torch.no_grad():
        model = direct.encoder if family == "whisper" else direct
        expected = model(*inputs.values(), output_hidden_states=True).hidden_states
    alone = loaded.hidden_states(sounds[1:]).layers
    for ours, theirs, single in zip(layers, expected, alone, strict=True):
        length = lengths[0]
        torch.testing.assert_close(ours[0, :length], theirs[0, :length], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(ours[1, : lengths[1]], single[0], atol=1e-5, rtol=1e-5)
