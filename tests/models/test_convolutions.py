import copy

import pytest
import torch
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
