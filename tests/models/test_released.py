import argparse
import json
import re
from types import SimpleNamespace

import pytest
import torch
from huggingface_hub import errors as hub
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModel,
    HubertConfig,
    HubertModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperModel,
)

from bthelpers.cli import main
from bthelpers.core.provenance import file_digest
from bthelpers.models import released
from bthelpers.models.loading import ModelError
from bthelpers.models.released import HEAD, Released, convert, fill, read

N_VOXELS = 7
CONVOLUTIONAL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "conv_dim": (16,) * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
}
WHISPER = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "num_mel_bins": 16,
    "max_source_positions": 50,
    "max_target_positions": 8,
    "vocab_size": 20,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
}
FAMILIES = {
    "wav2vec": (Wav2Vec2Model, Wav2Vec2Config, CONVOLUTIONAL),
    "hubert": (HubertModel, HubertConfig, CONVOLUTIONAL),
    "whisper": (WhisperModel, WhisperConfig, WHISPER),
}
OWN_NORM = {"feat_extract_norm": "layer", "conv_bias": True, "do_stable_layer_norm": True}


class Trainer(nn.Module):
    """What the public trainers keep of a model: its attributes and their order."""

    def __init__(self, family, model):
        super().__init__()
        if family == "whisper":
            self.whisper_model = model
            self.whisper_encoder = model.encoder
        else:
            setattr(self, family, model)
        self.flatten = nn.Flatten()
        self.linear = nn.Linear(model.config.hidden_size, N_VOXELS)


def tiny(family, seed=0, **changes):
    """A random model of two layers; all weights are random, also those that begin as constants."""
    model_class, config_class, sizes = FAMILIES[family]
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        model = model_class(config_class(**sizes | changes)).eval()
        for parameter in model.parameters():
            parameter += 0.02 * torch.randn(parameter.shape)
    return model


def base_folder(folder, family, model):
    """The model that was tuned, as the hub has it."""
    extractor = (
        WhisperFeatureExtractor(feature_size=16, chunk_length=1)
        if family == "whisper"
        else Wav2Vec2FeatureExtractor(do_normalize=True)
    )
    model.save_pretrained(folder)
    extractor.save_pretrained(folder)
    return folder


def trained(family, model):
    """State of a trainer that wraps the model for several GPUs."""
    return nn.DataParallel(Trainer(family, model)).state_dict()


def states(model, seed=5):
    """All hidden states for some sound."""
    with torch.no_grad():
        if model.config.model_type == "whisper":
            sound = torch.randn(2, 16, 100, generator=torch.Generator().manual_seed(seed))
            return model.encoder(sound, output_hidden_states=True).hidden_states
        sound = torch.randn(2, 4000, generator=torch.Generator().manual_seed(seed))
        return model(sound, output_hidden_states=True).hidden_states


def assert_same_weights(model, expected):
    weights, expected = model.state_dict(), expected.state_dict()
    assert weights.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(weights[name], tensor), name


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    """Folder of a pretrained model of each family."""
    root = tmp_path_factory.mktemp("bases")
    return {name: base_folder(root / name, name, tiny(name, seed=1)) for name in FAMILIES}


def round_trip(tmp_path, base, state):
    torch.save(state, tmp_path / "tuned.pth")
    folder = tmp_path / "converted"
    assert convert(tmp_path / "tuned.pth", base, folder).path == tmp_path / "tuned.pth"
    return folder


@pytest.mark.parametrize("wrapped", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_hidden_states_of_the_folder_are_those_of_the_trained_model(
    family, wrapped, bases, tmp_path
):
    source = tiny(family, seed=2)
    state = trained(family, source)
    if not wrapped:
        state = {key.removeprefix("module."): tensor for key, tensor in state.items()}
    folder = round_trip(tmp_path, bases[family], state)
    model, report = AutoModel.from_pretrained(folder, output_loading_info=True)
    assert not any(report.values())
    assert type(model) is type(source)
    assert model.dtype == torch.float32
    assert_same_weights(model, source)
    for ours, theirs in zip(states(model), states(source), strict=True):
        assert torch.equal(ours, theirs)
    head = load_file(folder / HEAD)
    assert torch.equal(head["weight"], state[("module." if wrapped else "") + "linear.weight"])
    assert head["bias"].shape == (N_VOXELS,)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_folder_has_the_preprocessor_of_the_base_model_and_a_provenance(
    family, bases, tmp_path
):
    state = trained(family, tiny(family))
    folder = round_trip(tmp_path, bases[family], state)
    ours, theirs = map(AutoFeatureExtractor.from_pretrained, (folder, bases[family]))
    assert ours.to_dict() == theirs.to_dict()
    record = json.loads((folder / "provenance.json").read_text())
    assert record["checkpoint"] == "tuned.pth"
    assert record["checkpoint_sha256"] == file_digest(tmp_path / "tuned.pth")
    assert json.loads(record["parameters"]) == {"base": str(bases[family]), "revision": None}
    assert {"commit", "date", "version_transformers"} < record.keys()


def test_layer_normed_models_are_converted_too(tmp_path):
    source = tiny("hubert", **OWN_NORM)
    base = base_folder(tmp_path / "base", "hubert", tiny("hubert", seed=1, **OWN_NORM))
    assert_same_weights(
        AutoModel.from_pretrained(round_trip(tmp_path, base, trained("hubert", source))), source
    )


@pytest.mark.parametrize("family", ["wav2vec", "hubert"])
def test_weight_norm_is_read_under_its_old_names_as_under_its_new_ones(family, bases, tmp_path):
    source = tiny(family, seed=3)
    state = trained(family, source)
    old = {
        key.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): tensor
        for key, tensor in state.items()
    }
    assert len(old.keys() - state.keys()) == 2
    model = AutoModel.from_pretrained(round_trip(tmp_path, bases[family], old))
    assert_same_weights(model, source)
    # The norm itself, by hand: original0 is the length of each position over all channels.
    weights = {key.rpartition(".")[2]: old[key] for key in old.keys() - state.keys()}
    length = weights["weight_v"].pow(2).sum(dim=(0, 1), keepdim=True).sqrt()
    torch.testing.assert_close(
        model.encoder.pos_conv_embed.conv.weight.detach(),
        weights["weight_g"] * weights["weight_v"] / length,
    )


def test_whispers_positions_are_kept_as_they_were_trained(tmp_path):
    model = WhisperModel(WhisperConfig(**WHISPER))
    sinusoids = model.encoder.embed_positions.weight.data.clone()
    angles = torch.arange(50.0)[:, None] * 10_000 ** (-torch.arange(16.0) / 15)
    torch.testing.assert_close(sinusoids, torch.cat([angles.sin(), angles.cos()], dim=1))
    rounded = sinusoids.half().float()  # as the published weights are
    assert not torch.equal(rounded, sinusoids)
    base = base_folder(tmp_path / "base", "whisper", model)
    model.encoder.embed_positions.weight.data = rounded.clone()
    folder = round_trip(tmp_path, base, trained("whisper", model))
    loaded = AutoModel.from_pretrained(folder).encoder.embed_positions
    assert torch.equal(loaded.weight, rounded)


@pytest.mark.parametrize("kept", ["module.whisper_encoder.", "module.whisper_model."])
def test_whisper_is_whole_from_either_of_its_copies(kept, bases, tmp_path):
    source = tiny("whisper", seed=1)  # as the base, of which the trainer changes the encoder
    with torch.no_grad():
        for parameter in source.encoder.layers.parameters():
            parameter *= 1.1
    state = {k: v for k, v in trained("whisper", source).items() if k.startswith(kept)}
    folder = round_trip(tmp_path, bases["whisper"], state)
    model, report = AutoModel.from_pretrained(folder, output_loading_info=True)
    assert not any(report.values())
    assert_same_weights(model, source)


def test_an_encoder_without_any_decoder_is_refused(bases, tmp_path):
    state = trained("whisper", tiny("whisper"))
    state = {key: tensor for key, tensor in state.items() if "whisper_encoder" in key}
    base = tmp_path / "base"
    base_folder(base, "whisper", tiny("whisper"))
    weights = load_file(base / "model.safetensors")
    encoder = {key: tensor for key, tensor in weights.items() if key.startswith("encoder")}
    save_file(encoder, base / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks weights of Whisper .*name the whole model"):
        round_trip(tmp_path, base, state)
    (base / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"no file named model\.safetensors"):
        round_trip(tmp_path, base, state)
    assert not (tmp_path / "converted").exists()


def test_a_checkpoint_without_a_head_gives_a_folder_without_one(bases, tmp_path):
    state = trained("hubert", tiny("hubert"))
    state = {key: tensor for key, tensor in state.items() if "linear" not in key}
    assert not (round_trip(tmp_path, bases["hubert"], state) / HEAD).exists()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("family", ["hubert", "whisper"])
def test_half_precision_stays_as_it_is(family, dtype, bases, tmp_path):
    source = tiny(family).to(dtype)
    state = {k: v for k, v in trained(family, source).items() if "whisper_model" not in k}
    model = AutoModel.from_pretrained(round_trip(tmp_path, bases[family], state))
    assert {tensor.dtype for tensor in model.state_dict().values()} == {dtype}
    for name, tensor in source.state_dict().items():
        if not name.startswith("decoder."):
            assert torch.equal(model.state_dict()[name], tensor)


@pytest.mark.parametrize("zipped", [True, False])
def test_files_of_a_gpu_and_of_old_pytorch_are_read(zipped, bases, tmp_path, monkeypatch):
    source = tiny("hubert")
    with monkeypatch.context() as gpu:
        gpu.setattr(torch.serialization, "location_tag", lambda storage: "cuda:3")
        torch.save(
            trained("hubert", source),
            tmp_path / "gpu.pth",
            _use_new_zipfile_serialization=zipped,
        )
    assert b"cuda:3" in (tmp_path / "gpu.pth").read_bytes()
    convert(tmp_path / "gpu.pth", bases["hubert"], tmp_path / "folder")
    assert_same_weights(AutoModel.from_pretrained(tmp_path / "folder"), source)


def test_a_large_file_is_mapped_not_read(tmp_path, monkeypatch):
    torch.save(trained("hubert", tiny("hubert")), tmp_path / "tuned.pth")
    asked = {}
    load = torch.load

    def spy(path, **options):
        asked.update(options)
        return load(path, **options)

    monkeypatch.setattr(torch, "load", spy)
    read(tmp_path / "tuned.pth")
    assert asked == {"map_location": "cpu", "weights_only": True, "mmap": True}


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_weight_that_is_left_out_is_missed_by_name(data, tmp_path):
    source = tiny("hubert")
    state = source.state_dict()
    dropped = data.draw(st.sampled_from(sorted(state)))
    rest = {name: tensor for name, tensor in state.items() if name != dropped}
    with pytest.raises(ModelError, match=rf"1 missing: {re.escape(dropped)}\. Name the model"):
        fill(tiny("hubert", seed=4), Released(tmp_path / "x.pth", "hubert", rest, {}))


# Sizes of the published models; on the meta device they take no memory.
HUBERT_LARGE = {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    **OWN_NORM,
}
WHISPER_SIZES = {"vocab_size": 51865, "encoder_ffn_dim": 3072, "decoder_ffn_dim": 3072}
WHISPER_SMALL = WHISPER_SIZES | {"d_model": 768, "encoder_layers": 12, "decoder_layers": 12}
PUBLISHED = {
    "facebook/wav2vec2-base": Wav2Vec2Config(),
    "facebook/hubert-base-ls960": HubertConfig(),
    "facebook/hubert-large-ll60k": HubertConfig(**HUBERT_LARGE),
    "openai/whisper-small": WhisperConfig(**WHISPER_SMALL),
}


def on_meta(name):
    with torch.device("meta"):
        model = AutoModel.from_config(PUBLISHED[name])
    model.config.name_or_path = name
    return model


@pytest.mark.parametrize("name", PUBLISHED)
def test_weights_of_the_published_sizes_fit_their_own_configuration(name, tmp_path):
    model = on_meta(name)
    head = {"weight": torch.empty(50_732, model.config.hidden_size), "bias": torch.empty(50_732)}
    source = Released(tmp_path / "x.pth", model.config.model_type, model.state_dict(), head)
    fill(on_meta(name), source)
    assert name in released.described(source.model_type, source.backbone)


@pytest.mark.parametrize(
    ("checkpoint", "base"),
    [
        ("facebook/hubert-large-ll60k", "facebook/hubert-base-ls960"),
        ("facebook/hubert-base-ls960", "facebook/hubert-large-ll60k"),
    ],
)
def test_large_against_base_is_said_in_those_words(checkpoint, base, tmp_path):
    source = on_meta(checkpoint)
    with pytest.raises(ModelError) as error:
        fill(
            on_meta(base),
            Released(tmp_path / "x.pth", "hubert", source.state_dict(), {}),
        )
    text = str(error.value)
    assert str(tmp_path / "x.pth") in text
    assert f"the configuration of {base}: it has" in text
    sizes = {
        "facebook/hubert-base-ls960": "12 layers of 768 units",
        "facebook/hubert-large-ll60k": "24 layers of 1024 units",
    }
    assert f"it has {sizes[checkpoint]} (as {checkpoint})" in text
    assert f"the configuration {sizes[base]} (as {base})" in text
    assert re.search(r"\d+ of another size: .*\(1024,\) instead of \(768,\)|\(768,\) inst", text)
    assert " and " in text
    assert len(text) < 2500


def refused(tmp_path, state, base):
    """The message with which a state is not converted."""
    torch.save(state, tmp_path / "bad.pth")
    with pytest.raises(ModelError) as error:
        convert(tmp_path / "bad.pth", base, tmp_path / "folder")
    assert not (tmp_path / "folder").exists()
    assert str(tmp_path / "bad.pth") in str(error.value)
    return str(error.value)


def test_missing_unexpected_and_resized_weights_are_listed(bases, tmp_path):
    state = dict(trained("hubert", tiny("hubert")))
    del state["module.hubert.encoder.layers.1.attention.k_proj.bias"]
    state["module.hubert.adapter.weight"] = torch.ones(2)
    state["module.hubert.masked_spec_embed"] = torch.ones(31)
    text = refused(tmp_path, state, bases["hubert"])
    assert "1 missing: encoder.layers.1.attention.k_proj.bias" in text
    assert "1 unexpected: adapter.weight" in text
    assert "1 of another size: masked_spec_embed (31,) instead of (32,)" in text
    assert str(bases["hubert"]) in text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"module.wav2vec.masked_spec_embed": torch.ones(32)},
            "are hubert, wav2vec2, of weights of neither model nor head none",
        ),
        (
            {"module.decoder.weight": torch.ones(2)},
            "are hubert, of weights of neither .* module.decoder.weight",
        ),
        ({"module.linear.weight": torch.ones(7, 31)}, r"head is .*\(7, 31\).* expected are weight"),
        ({"module.linear.bias": torch.ones(8)}, r"expected are weight \(voxels, 32\)"),
        ({"module.linear.2.weight": torch.ones(8)}, "linear head is .*2.weight"),
        ({"module.linear.weight": torch.full((7, 32), torch.inf)}, "linear.weight is not finite"),
        ({"module.hubert.masked_spec_embed": torch.full((32,), torch.nan)}, "is not finite"),
        (
            {"module.lora_model.layers.0.q_proj.lora_A.default.weight": torch.ones(2)},
            "low-rank adapters .*merge_and_unload",
        ),
        (
            {"module.hubert.encoder.pos_conv_embed.conv.weight_g": torch.ones(1, 1, 16)},
            "two different encoder.pos_conv_embed.conv.parametrizations.weight.original0",
        ),
        ({"epoch": 3}, r"more than weights \(epoch\): save what `state_dict\(\)` returns"),
    ],
)
def test_what_the_trainers_do_not_save_is_refused(changes, message, bases, tmp_path):
    state = dict(trained("hubert", tiny("hubert"))) | changes
    assert re.search(message, refused(tmp_path, state, bases["hubert"]))


@pytest.mark.parametrize("state", [{}, torch.ones(3), [torch.ones(2)], {3: torch.ones(2)}, None])
def test_tensors_of_something_else_are_refused(state, bases, tmp_path):
    text = refused(tmp_path, state, bases["hubert"])
    assert "no checkpoint of one speech model" in text or "more than weights" in text


def test_two_whisper_encoders_that_differ_are_refused(bases, tmp_path):
    state = dict(trained("whisper", tiny("whisper")))
    state["module.whisper_encoder.conv1.bias"] = torch.ones(32)
    assert "two different encoder.conv1.bias" in refused(tmp_path, state, bases["whisper"])


@pytest.mark.parametrize(("family", "other"), [("hubert", "wav2vec"), ("wav2vec", "whisper")])
def test_the_base_of_another_family_is_refused(family, other, bases, tmp_path):
    text = refused(tmp_path, trained(family, tiny(family)), bases[other])
    types = {"wav2vec": "wav2vec2"}
    assert f"holds a {types.get(family, family)}, " in text
    assert f"is a {types.get(other, other)}" in text


class Runs:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_with_code_is_not_loaded_and_its_code_does_not_run(zipped, tmp_path):
    state = {"module.hubert.masked_spec_embed": torch.ones(32), "x": Runs(tmp_path / "ran")}
    torch.save(state, tmp_path / "bad.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(ModelError, match=r"bad.pth was not loaded: .*open.* can run any code"):
        read(tmp_path / "bad.pth")
    assert not (tmp_path / "ran").exists()


def test_whole_models_and_harmless_objects_need_pickle_as_well(tmp_path):
    for thing in (nn.Linear(2, 2), {"x": argparse.Namespace(epochs=3)}):
        torch.save(thing, tmp_path / "bad.pth")
        with pytest.raises(ModelError, match=r"holds a Python object, (torch|argparse)\."):
            read(tmp_path / "bad.pth")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<!DOCTYPE html>",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0",
        b"PK\x05\x06" + bytes(18),  # an empty ZIP
        bytes(64),
        b"\x80\x02}q\x00.",  # a pickle, but not PyTorch's
    ],
)
def test_what_is_no_torch_file_is_said_with_how_it_begins(content, tmp_path):
    (tmp_path / "bad.pth").write_bytes(content)
    with pytest.raises(
        ModelError, match=r"bad.pth is no file of `torch.save`.*download it again"
    ) as e:
        read(tmp_path / "bad.pth")
    assert repr(content[:24]) in str(e.value)


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_a_file_that_is_cut_off_is_refused(share, tmp_path):
    file = tmp_path / "bad.pth"
    torch.save(trained("hubert", tiny("hubert")), file)
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ModelError, match="damaged or cut off"):
        read(file)


def test_a_missing_file_a_folder_and_an_existing_output_are_refused(bases, tmp_path):
    for path in (tmp_path / "absent.pth", tmp_path):
        with pytest.raises(ModelError, match="no such file"):
            read(path)
    torch.save(trained("hubert", tiny("hubert")), tmp_path / "tuned.pth")
    with pytest.raises(ModelError, match="is already there: name another folder"):
        convert(tmp_path / "tuned.pth", bases["hubert"], tmp_path)


@pytest.fixture
def checkpoint(tmp_path):
    torch.save(trained("hubert", tiny("hubert")), tmp_path / "tuned.pth")
    return tmp_path / "tuned.pth"


def test_a_base_without_configuration_preprocessor_or_known_type_is_refused(checkpoint, tmp_path):
    base = tmp_path / "base"
    with pytest.raises(ModelError, match=r"base is no folder of a model \(config.json is missing"):
        convert(checkpoint, base, tmp_path / "folder")
    tiny("hubert").config.save_pretrained(base)
    with pytest.raises(ModelError, match=r"preprocessor_config\.json"):
        convert(checkpoint, base, tmp_path / "folder")
    for config, message in [
        ('{"model_type": "nope"}', "nope"),
        ("{", "is truncated or no configuration"),
    ]:
        (base / "config.json").write_text(config)
        with pytest.raises(ModelError, match=f"base.*{message}"):
            convert(checkpoint, base, tmp_path / "folder")


def answer(error):
    """An error of the hub, as its client raises it."""
    return error("said the hub", response=SimpleNamespace(headers={}, request=None))


@pytest.mark.parametrize(
    ("cause", "remedy"),
    [
        (lambda: answer(hub.GatedRepoError), "accept its terms .*hf auth login"),
        (lambda: answer(hub.RepositoryNotFoundError), "correct"),
        (lambda: answer(hub.RevisionNotFoundError), "revision"),
        (lambda: hub.LocalEntryNotFoundError("offline"), "hf download .*--local-dir"),
        (lambda: hub.OfflineModeIsEnabled("offline"), "hf download .*--local-dir"),
    ],
)
def test_a_hub_that_does_not_give_the_base_is_explained(
    cause, remedy, checkpoint, tmp_path, monkeypatch
):
    def gives_nothing(*arguments, **options):
        raise cause()

    monkeypatch.setattr("transformers.utils.hub.hf_hub_download", gives_nothing)
    with pytest.raises(ModelError, match=f"facebook/no-such cannot be loaded: .*{remedy}"):
        convert(checkpoint, "facebook/no-such", tmp_path / "folder", revision="0123abc")


def test_a_hub_id_needs_its_revision(checkpoint, tmp_path):
    with pytest.raises(ModelError, match="on the hub, there with its revision"):
        convert(checkpoint, "facebook/hubert-base-ls960", tmp_path / "folder")


def test_remote_code_is_never_trusted_and_the_revision_is_passed_on(
    checkpoint, bases, tmp_path, monkeypatch
):
    asked = []
    monkeypatch.setattr(
        released,
        "AutoConfig",
        SimpleNamespace(
            from_pretrained=lambda base, **options: (
                asked.append((base, options)) or AutoConfig.from_pretrained(bases["hubert"])
            )
        ),
    )
    monkeypatch.setattr(
        released,
        "AutoFeatureExtractor",
        SimpleNamespace(from_pretrained=lambda base, **options: Wav2Vec2FeatureExtractor()),
    )
    convert(checkpoint, "a/b", tmp_path / "folder", revision="0123abc")
    assert asked == [("a/b", {"revision": "0123abc", "trust_remote_code": False})]


def test_the_base_and_the_file_stay_as_they_are(bases, tmp_path):
    state = trained("whisper", tiny("whisper"))
    torch.save(state, tmp_path / "tuned.pth")
    files = [tmp_path / "tuned.pth", *bases["whisper"].iterdir()]
    before = [file_digest(file) for file in files]
    convert(tmp_path / "tuned.pth", bases["whisper"], tmp_path / "folder")
    assert [file_digest(file) for file in files] == before


def test_the_command_line_reports_model_and_head(checkpoint, bases, tmp_path, capsys):
    folder = tmp_path / "folder"
    command = ["release", checkpoint, "--base", bases["hubert"], "--output", folder]
    assert main([str(word) for word in command]) == 0
    out = capsys.readouterr().out
    assert f"{folder}: hubert, 2 layers of 32 units" in out
    assert f"{folder / HEAD}: linear head to 7 voxels" in out
    assert main([str(word) for word in command]) == 1
    assert "is already there" in capsys.readouterr().err
