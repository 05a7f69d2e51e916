"""Attention as processors are quick at it, and of WavLM one that calls its projections.

transformers hands the weights of WavLM's projections to PyTorch's attention: whatever replaces or
wraps a projection, such as an adapter of peft, is never called there, and learns nothing.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import eager_mask
from transformers.models.wavlm.modeling_wavlm import WavLMAttention

FOR_PROCESSORS = "for_processors"


def _attend(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **others,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Fused attention, but where it is learnt from in bfloat16.

    With its gradients, the fused one is up to 1.5 times as slow there as a plain one; and of that,
    a fourth of the time would go into scaling all weights, were it not the query that is scaled.
    """
    if not torch.is_grad_enabled() or query.dtype != torch.bfloat16:
        mask, options = attention_mask, {"scaling": scaling, "dropout": dropout, **others}
        return sdpa_attention_forward(module, query, key, value, mask, **options)
    weights = query * scaling @ key.transpose(2, 3)
    if attention_mask is not None:
        weights = weights + attention_mask
    weights = functional.softmax(weights, dim=-1)
    weights = functional.dropout(weights, dropout, module.training)
    return (weights @ value).transpose(1, 2).contiguous(), weights


AttentionInterface.register(FOR_PROCESSORS, _attend)
AttentionMaskInterface.register(FOR_PROCESSORS, eager_mask)


class CallingAttention(WavLMAttention):
    """The same attention, bit by bit, of whose projections each is called as a module."""

    def torch_multi_head_self_attention(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None,
        gated_position_bias: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Attend, as PyTorch's function of that name does.

        Parameters
        ----------
        hidden_states : tensor of shape (window, token, unit)
        attention_mask : tensor of shape (window, token), optional
            0 at tokens that are padding.
        gated_position_bias : tensor of shape (window x head, token, token)

        Returns
        -------
        attended : tensor of shape (window, token, unit)
        weights : tensor of shape (window, head, token, token)
        """
        n_windows, n_tokens, _ = hidden_states.shape
        tokens = hidden_states.transpose(0, 1)

        def heads(projection: nn.Module) -> torch.Tensor:
            shape = n_tokens, n_windows * self.num_heads, self.head_dim
            return projection(tokens).view(shape).transpose(0, 1)

        query, key, value = map(heads, (self.q_proj, self.k_proj, self.v_proj))
        bias = gated_position_bias
        if attention_mask is not None:
            padding = attention_mask.ne(1).repeat_interleave(self.num_heads, dim=0)[:, None]
            bias = bias.masked_fill(padding, -math.inf)
        scaled = query * math.sqrt(1.0 / self.head_dim)
        weights = functional.softmax(torch.baddbmm(bias, scaled, key.transpose(1, 2)), dim=-1)
        weights = functional.dropout(weights, self.dropout, self.training)
        attended = torch.bmm(weights, value).transpose(0, 1).reshape(n_tokens * n_windows, -1)
        attended = self.out_proj(attended).view(tokens.shape).transpose(0, 1)
        return attended, weights.view(n_windows, self.num_heads, n_tokens, n_tokens)


def call_projections(model: nn.Module) -> None:
    """Let every attention of WavLM in a model call its projections; other models have none."""
    for module in model.modules():
        if type(module) is WavLMAttention:
            module.__class__ = CallingAttention
