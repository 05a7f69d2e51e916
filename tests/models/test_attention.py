import numpy as np
import pytest
import torch
from tiny_models import tiny_model

from bthelpers.models.attention import FOR_PROCESSORS, CallingAttention, call_projections
from bthelpers.models.speech import SpeechEncoder

PROJECTIONS = ("q_proj", "k_proj", "v_proj", "out_proj")


def sound(n_windows=3, n_samples=9_000):
    generator = np.random.default_rng(0)
    return torch.tensor(generator.normal(size=(n_windows, n_samples)), dtype=torch.float32)


def outcome(model, calling, precision=torch.float32, mask=None):
    """Every layer of a model, with dropout, and the gradients of all weights."""
    if calling:
        call_projections(model)
    model.train()
    torch.manual_seed(1)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
        found = model(sound(), attention_mask=mask, output_hidden_states=True)
    layers = found.hidden_states
    torch.stack([layer.float().square().sum() for layer in layers]).sum().backward()
    return layers, {n: w.grad for n, w in model.named_parameters() if w.grad is not None}


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("masked", [False, True])
def test_results_and_gradients_are_those_of_transformers_bit_by_bit(precision, masked):
    mask = torch.ones(3, 9_000, dtype=torch.int64)
    mask[1, 6_000:] = 0
    layers, gradients = zip(
        *(
            outcome(
                tiny_model("wavlm", layerdrop=0.0, attention_dropout=0.2, apply_spec_augment=False),
                calling,
                precision,
                mask if masked else None,
            )
            for calling in (False, True)
        ),
        strict=True,
    )
    assert all(map(torch.equal, *layers))
    assert gradients[0].keys() == gradients[1].keys()
    assert all(torch.equal(gradients[0][name], gradients[1][name]) for name in gradients[0])


@pytest.mark.parametrize("family", ["hubert", "wav2vec2"])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_attention_for_processors_is_that_of_transformers(family, masked, precision):
    """Fused, but where gradients are taken in bfloat16; in its results and in its gradients."""
    mask = torch.ones(3, 9_000, dtype=torch.int64)
    mask[1, 6_000:] = 0
    model = tiny_model(family, attention_dropout=0.0)
    calls = []

    def last(attention, learns):
        model.config._attn_implementation = attention
        model.zero_grad()
        profiled = torch.profiler.profile()
        with (
            profiled,
            torch.set_grad_enabled(learns),
            torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16),
        ):
            states = model(sound(), attention_mask=mask if masked else None).last_hidden_state
        calls.append(any("flash_attention" in event.key for event in profiled.key_averages()))
        if not learns:
            return states.float()
        states.float().square().mean().backward()
        return torch.cat([w.grad.flatten() for w in model.parameters() if w.grad is not None])

    largest = 1e-5 if precision == torch.float32 else 0.02
    for learns in (False, True):
        found, exact = (last(attention, learns) for attention in (FOR_PROCESSORS, "eager"))
        assert 0 < (found - exact).norm() <= largest * exact.norm()
    assert calls == [True, False, precision == torch.float32, False]


def test_dropout_of_attention_draws_as_that_of_transformers():
    """In bfloat16, from the same numbers."""
    model = tiny_model("hubert", attention_dropout=0.5, apply_spec_augment=False, layerdrop=0.0)
    model.train()

    def last(attention):
        model.config._attn_implementation = attention
        torch.manual_seed(0)
        with torch.autocast("cpu", torch.bfloat16):
            return model(sound()).last_hidden_state.float()

    torch.testing.assert_close(last(FOR_PROCESSORS), last("eager"), atol=0.05, rtol=0)


def test_every_projection_of_an_encoder_is_called_once_a_layer():
    encoder = SpeechEncoder(tiny_model("wavlm"))
    calls = []
    for name, module in encoder.model.named_modules():
        if name.endswith(PROJECTIONS):
            module.register_forward_hook(lambda *_, name=name: calls.append(name))
    encoder.hidden_states([np.random.default_rng(0).normal(size=8_000)])
    assert sorted(calls) == sorted(
        f"encoder.layers.{layer}.attention.{name}" for layer in (0, 1) for name in PROJECTIONS
    )


def test_weights_of_attention_are_those_of_each_head():
    model = tiny_model("wavlm")
    call_projections(model)
    weights = model(sound(1), output_attentions=True).attentions[0]
    assert weights.shape[:2] == (1, 4)
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(weights.shape[:3]))
    assert not torch.equal(weights[:, 0], weights[:, 1])


def test_other_models_stay_as_they_are():
    model = tiny_model("hubert")
    call_projections(model)
    assert not any(isinstance(module, CallingAttention) for module in model.modules())
