import copy

import pytest
import torch
from tiny_models import tiny_model
from torch import nn

from bthelpers.models import convolutions
from bthelpers.models.convolutions import guard_convolutions, is_right_in_bfloat16


def noise(channels):
    return torch.randn(2, channels, 200, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("channels", "groups"), [(16, 2), (16, 1), (24, 2), (128, 8), (6, 3)])
@pytest.mark.parametrize("kernel", [4, 8, 24])
def test_guarded_convolutions_are_right_on_this_processor(bfloat16, channels, groups, kernel):
    convolution = nn.Conv1d(channels, channels, kernel, groups=groups)
    exact = convolution(noise(channels))
    guard_convolutions(convolution)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(
            convolution(noise(channels)).float(), exact, atol=0.05, rtol=0.05
        )


def test_those_that_go_wrong_are_computed_in_float32_with_weights_of_their_own(monkeypatch):
    monkeypatch.setattr(convolutions, "is_right_in_bfloat16", lambda convolution: False)
    model = nn.Sequential(nn.Conv1d(4, 4, 3), nn.GELU())
    guard_convolutions(model)
    other = copy.deepcopy(model)
    nn.init.zeros_(other[0].weight)
    with torch.autocast("cpu", torch.bfloat16):
        assert model(noise(4)).dtype == torch.float32
        assert other[0](noise(4)).std() < model[0](noise(4)).std()
    torch.testing.assert_close(other[0](noise(4))[0, :, 0], other[0].bias)
    assert set(model.state_dict()) == {"0.weight", "0.bias"}


def test_trying_draws_nothing_from_the_shared_generator():
    convolution = nn.Conv1d(2, 2, 2)
    before = torch.get_rng_state()
    is_right_in_bfloat16(convolution)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.usefixtures("bfloat16")
@pytest.mark.parametrize("options", [{}, {"padding": 1}, {"stride": 3, "dilation": 2}])
@pytest.mark.parametrize("n_samples", [5, 200])
def test_channels_side_by_side_change_nothing(options, n_samples):
    """But rounding, where autocast is on; in its gradients neither."""
    convolution = nn.Conv1d(6, 5, 3, **options)
    guarded = copy.deepcopy(convolution)
    guard_convolutions(guarded)
    sound = noise(6)[..., :n_samples]
    assert torch.equal(guarded(sound), convolution(sound))
    with torch.autocast("cpu", torch.bfloat16):
        plain, ours = convolution(sound), guarded(sound)
    assert ours.dtype == torch.bfloat16
    torch.testing.assert_close(ours, plain, atol=0.02, rtol=0.02)
    for one, result in ((convolution, plain), (guarded, ours)):
        result.float().square().mean().backward()
        assert one.weight.grad.norm() > 0
    torch.testing.assert_close(guarded.weight.grad, convolution.weight.grad, atol=0.02, rtol=0.02)


@pytest.mark.usefixtures("bfloat16")
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("family", ["hubert", "wav2vec2"])
def test_a_first_convolution_with_its_norm_rounds_no_sound(family, bias):
    """Of which most is slow, so that filters leave little: beside transformers' own in float64."""
    model = tiny_model(family, feat_extract_norm="group", conv_bias=bias)
    layer = model.feature_extractor.conv_layers[0].requires_grad_(False)
    sound = noise(1).cumsum(dim=2)[:, :, 7:]
    exact = copy.deepcopy(layer).double()(sound.double())
    with torch.autocast("cpu", torch.bfloat16):
        plain = layer(sound)
    single = layer(sound)
    guard_convolutions(model)
    assert torch.equal(layer(sound), single)
    with torch.autocast("cpu", torch.bfloat16):
        ours = copy.deepcopy(layer)(sound)
    assert ours.dtype == torch.bfloat16
    assert ours.shape == exact.shape
    errors = [(found - exact).norm() / exact.norm() for found in (ours, plain)]
    assert errors[0] < 0.004
    assert errors[0] < errors[1]
