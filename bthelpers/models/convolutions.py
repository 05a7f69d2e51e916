"""Convolutions that a processor's library gets wrong in bfloat16 are computed in float32.

oneDNN 3, which PyTorch calls, returns noise on processors with AMX where a group has 8 or 12 input
channels and the kernel 8 samples; published models have others. So each convolution is tried.
"""

from __future__ import annotations

from types import MethodType

import torch
from torch import nn

from bthelpers.models.devices import arithmetic

LARGEST_ERROR = 0.05  # as a share of the largest value; bfloat16 rounds to 0.004


def guard_convolutions(model: nn.Module) -> None:
    """Have a model's convolutions over time computed in float32 where bfloat16 goes wrong."""
    if arithmetic("bfloat16", torch.device("cpu")) == torch.float32:
        return  # nothing is computed in bfloat16 there, and trying it would take long
    for module in model.modules():
        if isinstance(module, nn.Conv1d) and not is_right_in_bfloat16(module):
            # A method, that a copy of the module has its own.
            module.forward = MethodType(_in_float32, module)


@torch.no_grad()
def is_right_in_bfloat16(convolution: nn.Conv1d) -> bool:
    """Whether a convolution on this processor gives nearly the same in bfloat16 as in float32."""
    n_samples = 4 * convolution.kernel_size[0]
    drawn = torch.Generator().manual_seed(0)  # not the one that training draws from
    sound = torch.randn(1, convolution.in_channels, n_samples, generator=drawn)
    weight = convolution.weight.detach().cpu().float()
    values = [
        nn.functional.conv1d(
            sound.to(dtype), weight.to(dtype), stride=convolution.stride, groups=convolution.groups
        ).float()
        for dtype in (torch.float32, torch.bfloat16)
    ]
    exact, rounded = values
    return bool((rounded - exact).abs().max() <= LARGEST_ERROR * exact.abs().max())


def _in_float32(convolution: nn.Conv1d, inputs: torch.Tensor) -> torch.Tensor:
    with torch.autocast("cpu", enabled=False):
        return nn.Conv1d.forward(convolution, inputs.float())
