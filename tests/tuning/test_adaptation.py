from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel
from tiny_models import FAMILIES, same, tiny_extractor, tiny_model, weights
from transformers.models.wavlm.modeling_wavlm import WavLMAttention

from bthelpers.models.attention import CallingAttention
from bthelpers.models.speech import SpeechEncoder
from bthelpers.params.loading import load
from bthelpers.tuning.adaptation import adapt, merged, require_gradients, save_adapter

LORA = replace(
    load(Path(__file__).parents[2] / "params" / "smoke.yaml").tuning,
    adaptation="lora",
    rank=3,
    alpha=6.0,
    adapter_dropout=0.0,
)
SOUND = np.random.default_rng(0).normal(size=12_000)
PLACES = {  # of the attention's linear layers, in a transformer layer
    family: "attention" if family != "whisper" else "self_attn" for family in FAMILIES
}


def encoder_of(family):
    return SpeechEncoder(tiny_model(family), tiny_extractor(family))


def layers(encoder):
    encoder.model.eval()
    return encoder.hidden_states([SOUND]).layers


def close(one, other, atol=1e-5):
    return all(torch.allclose(a, b, atol=atol) for a, b in zip(one, other, strict=True))


def moved(encoder, seed=1):
    """Let its adapters differ from nothing."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in encoder.transformer_parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=generator)


def adapters(encoder):
    """Linear layers with an adapter."""
    names = [name for name, _ in encoder.model.named_parameters() if ".lora_B." in name]
    return {name.partition(".lora_B.")[0]: encoder.model.get_parameter(name) for name in names}


@pytest.mark.parametrize("family", FAMILIES)
def test_only_queries_keys_and_values_get_gradients_and_all_of_them_do(family):
    encoder = encoder_of(family)
    adapt(encoder, LORA, seed=0)
    expected = {
        f"{'' if family == 'whisper' else 'encoder.'}layers.{layer}.{PLACES[family]}.{name}"
        for layer in (0, 1)
        for name in ("q_proj", "k_proj", "v_proj")
    }
    assert set(adapters(encoder)) == expected
    moved(encoder)
    calls = []
    for name in expected:
        encoder.model.get_submodule(name).register_forward_hook(
            lambda *_, name=name: calls.append(name)
        )
    samples = encoder.front_end.prepare(SOUND)
    frames = encoder.front_end(samples, encoder.device)[None]
    tokens = encoder.tokens(frames, encoder.front_end.n_frames(len(samples)))
    (tokens * torch.arange(tokens.shape[-1])).sum().backward()
    assert sorted(calls) == sorted(expected)
    got = {name for name, w in encoder.model.named_parameters() if w.grad is not None}
    assert got == {f"{name}.lora_{part}.default.weight" for name in expected for part in "AB"}
    assert all(encoder.model.get_parameter(name).grad.any() for name in got)
    assert not any(w.requires_grad for w in encoder.front_end.frozen.parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_every_adapter_changes_the_output(family):
    pretrained = layers(encoder_of(family))[-1]
    encoder = encoder_of(family)
    adapt(encoder, LORA, seed=0)
    assert torch.equal(layers(encoder)[-1], pretrained)  # as adapters begin
    for of_one in adapters(encoder).values():
        with torch.no_grad():
            of_one += 1
            assert not torch.allclose(layers(encoder)[-1], pretrained, atol=1e-4)
            of_one -= 1


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("changes", [{"rank": 0}, {"alpha": 0.0}])
def test_no_rank_or_no_scale_is_the_pretrained_model(family, changes):
    pretrained, encoder = encoder_of(family), encoder_of(family)
    adapted = adapt(encoder, replace(LORA, **changes), seed=0)
    moved(encoder)
    expected = layers(pretrained)
    assert all(map(torch.equal, layers(encoder), expected))
    assert all(map(torch.equal, layers(merged(pretrained, adapted)), expected))
    if "rank" in changes:
        assert adapted is None
        assert encoder.transformer_parameters() == []


@pytest.mark.parametrize("family", FAMILIES)
def test_merged_and_unmerged_adapters_agree_and_a_saved_one_loads_alone(family, tmp_path):
    pretrained, encoder = encoder_of(family), encoder_of(family)
    adapted = adapt(encoder, LORA, seed=0)
    moved(encoder)
    unmerged = layers(encoder)
    whole = merged(pretrained, adapted)
    assert close(layers(whole), unmerged)
    assert not close(layers(whole), layers(pretrained), atol=1e-3)
    assert whole.model.state_dict().keys() == pretrained.model.state_dict().keys()
    assert len(whole.transformer_parameters()) == len(pretrained.transformer_parameters())
    assert close(layers(encoder), unmerged, atol=0)  # merging a copy left it as it was

    save_adapter(adapted, tmp_path / "adapter")
    again = encoder_of(family)
    loaded = PeftModel.from_pretrained(again.model, tmp_path / "adapter")
    assert close(layers(again), unmerged, atol=1e-6)
    assert same(loaded.merge_and_unload().state_dict(), whole.model.state_dict())


def test_an_adapter_of_a_plain_wavlm_acts_once_it_is_merged(tmp_path):
    encoder = encoder_of("wavlm")
    adapted = adapt(encoder, LORA, seed=0)
    moved(encoder)
    save_adapter(adapted, tmp_path / "adapter")
    assert "Merge them in a WavLM" in (tmp_path / "adapter" / "README.md").read_text()
    plain = PeftModel.from_pretrained(tiny_model("wavlm"), tmp_path / "adapter").merge_and_unload()
    expected = weights(merged(encoder_of("wavlm"), adapted).model)
    state = plain.state_dict()
    assert all(torch.equal(state[name], value) for name, value in expected.items())


def test_the_seed_decides_how_adapters_begin():
    states = torch.get_rng_state()
    one, again, other = (encoder_of("hubert") for _ in range(3))
    for encoder, seed in ((one, 1), (again, 1), (other, 2)):
        adapt(encoder, LORA, seed)
    assert same(one.model.state_dict(), again.model.state_dict())
    assert not same(one.model.state_dict(), other.model.state_dict())
    assert torch.equal(torch.get_rng_state(), states)


def test_names_that_a_model_lacks_are_an_error():
    match = "tuning.adapted: the model's layers have no linear layer 'q_prj'.*q_proj"
    with pytest.raises(ValueError, match=match):
        adapt(encoder_of("hubert"), replace(LORA, adapted=("k_proj", "q_prj")), seed=0)


def test_other_layers_can_be_adapted():
    encoder = encoder_of("wavlm")
    adapt(encoder, replace(LORA, adapted=("q_proj", "out_proj")), seed=0)
    assert {name.rpartition(".")[2] for name in adapters(encoder)} == {"q_proj", "out_proj"}
    assert len(adapters(encoder)) == 4


def test_layers_after_the_one_that_is_read_out_are_left_alone():
    encoder = encoder_of("hubert")
    adapt(encoder, replace(LORA, layer=1), seed=0)
    assert {name.split(".")[2] for name in adapters(encoder)} == {"0"}


def test_a_layer_beyond_the_model_is_an_error():
    encoder = encoder_of("hubert")
    with pytest.raises(
        ValueError, match=r"tuning\.layer: 3 is beyond the model, which has 2 layers"
    ):
        adapt(encoder, replace(LORA, layer=3), seed=0)


def test_adapters_that_are_not_read_out_are_an_error():
    encoder = encoder_of("hubert")
    adapt(encoder, LORA, seed=0)
    with pytest.raises(ValueError, match=r"3 of 6 adapters get no gradient.*layers\.1"):
        require_gradients(encoder, layer=1)


def test_adapters_that_are_not_called_are_an_error():
    """Those of a WavLM as transformers has it."""
    encoder = encoder_of("wavlm")
    for module in encoder.model.modules():
        if isinstance(module, CallingAttention):
            module.__class__ = WavLMAttention
    with pytest.raises(ValueError, match=r"6 of 6 adapters get no gradient.*does not call it"):
        adapt(encoder, LORA, seed=0)


def test_dropout_is_of_training_only():
    encoder = encoder_of("wavlm")
    adapt(encoder, replace(LORA, adapter_dropout=0.5), seed=0)
    moved(encoder)
    assert close(layers(encoder), layers(encoder), atol=0)
    encoder.model.train()
    drawn = [encoder.hidden_states([SOUND]).layers[-1] for _ in range(2)]
    assert not torch.equal(*drawn)
