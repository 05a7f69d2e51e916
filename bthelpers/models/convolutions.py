"""Convolutions that are right and quick in bfloat16.

oneDNN 3, which PyTorch calls on a processor, returns noise where the processor has AMX, a group has
8 or 12 input channels, and the kernel 8 samples; published models have others. So each convolution
is tried. One whose channels form one group takes a third of the time where they lie side by side
in memory. Raw sound is not rounded: where the first convolution is normalised over time (group
norm), both are one product in float32.
"""

from __future__ import annotations

from types import MethodType

import torch
from torch import nn
from torch.nn import functional

from bthelpers.models.devices import arithmetic

LARGEST_ERROR = 0.05  # as a share of the largest value; bfloat16 rounds to 0.004


def guard_convolutions(model: nn.Module) -> None:
    """Have a model's convolutions over time computed as is right and quick where autocast is on."""
    # Methods, that a copy of a module has its own.
    for layer in model.modules():
        if isinstance(getattr(layer, "layer_norm", None), nn.GroupNorm):
            layer.forward = MethodType(_normalized, layer)
    if arithmetic("bfloat16", torch.device("cpu")) == torch.float32:
        return  # nothing is computed in bfloat16 there, and trying it would take long
    for module in model.modules():
        if isinstance(module, nn.Conv1d):
            right = is_right_in_bfloat16(module)
            module.forward = MethodType(_side_by_side if right else _in_float32, module)


@torch.no_grad()
def is_right_in_bfloat16(convolution: nn.Conv1d) -> bool:
    """Whether a convolution on this processor gives nearly the same in bfloat16 as in float32."""
    n_samples = 4 * convolution.kernel_size[0]
    drawn = torch.Generator().manual_seed(0)  # not the one that training draws from
    sound = torch.randn(1, convolution.in_channels, n_samples, generator=drawn)
    weight = convolution.weight.detach().cpu().float()
    values = [
        _convolved(convolution, sound.to(dtype), weight.to(dtype)).float()
        for dtype in (torch.float32, torch.bfloat16)
    ]
    exact, rounded = values
    return bool((rounded - exact).abs().max() <= LARGEST_ERROR * exact.abs().max())


def _convolved(
    convolution: nn.Conv1d,
    inputs: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
) -> torch.Tensor:
    stride, padding, dilation = convolution.stride, convolution.padding, convolution.dilation
    if convolution.groups > 1:
        groups = convolution.groups
        return functional.conv1d(inputs, weight, bias, stride, padding, dilation, groups)
    image, weight = (
        values.unsqueeze(2).contiguous(memory_format=torch.channels_last)
        for values in (inputs, weight)
    )
    options = (1, *stride), (0, *padding), (1, *dilation)
    return functional.conv2d(image, weight, bias, *options).squeeze(2)


def _side_by_side(convolution: nn.Conv1d, inputs: torch.Tensor) -> torch.Tensor:
    if inputs.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
        return nn.Conv1d.forward(convolution, inputs)
    dtype = torch.get_autocast_dtype("cpu")
    return _convolved(convolution, inputs.to(dtype), convolution.weight.to(dtype), convolution.bias)


def _in_float32(convolution: nn.Conv1d, inputs: torch.Tensor) -> torch.Tensor:
    with torch.autocast("cpu", enabled=False):
        return nn.Conv1d.forward(convolution, inputs.float())


def _normalized(layer: nn.Module, sound: torch.Tensor) -> torch.Tensor:
    """Convolution, group norm and activation of one layer, as of a model's first.

    Means and variances of the convolved sound follow from those of the samples under the kernel:
    the weights are scaled by them, and nothing has to be normalised.
    """
    convolution, norm, device = layer.conv, layer.layer_norm, sound.device.type
    if not torch.is_autocast_enabled(device) or convolution.in_channels > 1:
        return type(layer).forward(layer, sound)
    with torch.autocast(device, enabled=False):
        under = sound.unfold(2, *convolution.kernel_size, *convolution.stride).squeeze(1)
        # In float64: what a filter leaves of the variance may be a small part of it.
        weight, exact = convolution.weight.squeeze(1).double(), under.double()
        mean = exact.mean(dim=1)
        centred = exact - mean[:, None]
        covariance = centred.mT @ centred / centred.shape[1]
        variance = ((weight @ covariance) * weight).sum(dim=2)
        scale = norm.weight / (variance + norm.eps).sqrt()
        shift = norm.bias - scale * (mean @ weight.mT)
        product = scale[:, None] * weight.mT
        convolved = torch.baddbmm(shift.float()[:, None], under, product.float())
    return layer.activation(convolved.to(torch.get_autocast_dtype(device))).mT
