"""Layers whose matrix products are bf16: half the time where the processor multiplies bf16 itself.

What they read and give stays fp32, and so do norms, softmax and residuals between them.

B texts, L tokens, d width, H heads.
"""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn


def in_bfloat16(module: nn.Module) -> nn.Module:
    """A copy with bf16 in the place of each linear layer and of each attention's projections."""
    if isinstance(module, nn.MultiheadAttention):
        return _SelfAttention(module)
    if isinstance(module, nn.Linear):
        return _Linear(module.weight, module.bias)
    other = copy.copy(module)
    other._modules = {
        name: None if child is None else in_bfloat16(child)
        for name, child in module._modules.items()
    }
    return other


class _Linear(nn.Module):
    """A linear layer that multiplies in bf16."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        super().__init__()
        self._weight = weight.detach().to(torch.bfloat16)
        self._bias = None if bias is None else bias.detach().to(torch.bfloat16)

    def forward(self, x_Xd: torch.Tensor) -> torch.Tensor:
        return F.linear(x_Xd.to(torch.bfloat16), self._weight, self._bias).to(x_Xd.dtype)


class _SelfAttention(nn.Module):
    """`nn.MultiheadAttention` of a sequence with itself, batch first, without its weights.

    PyTorch's own turns the batch round before it projects, which in bf16 copies the weights once a
    position.
    """

    def __init__(self, attention: nn.MultiheadAttention) -> None:
        super().__init__()
        self._heads = attention.num_heads
        self._read = _Linear(attention.in_proj_weight, attention.in_proj_bias)
        self._write = _Linear(attention.out_proj.weight, attention.out_proj.bias)

    def forward(
        self, x_BLd: torch.Tensor, *_: Any, attn_mask: torch.Tensor | None = None, **__: Any
    ) -> tuple[torch.Tensor, None]:
        batch, length, width = x_BLd.shape
        query_BHLe, key_BHLe, value_BHLe = (
            part.view(batch, length, self._heads, -1).transpose(1, 2)
            for part in self._read(x_BLd).chunk(3, dim=-1)
        )
        if attn_mask is not None and attn_mask.ndim == 3:  # one for each text and head
            attn_mask = attn_mask.view(batch, self._heads, length, length)
        mixed_BHLe = F.scaled_dot_product_attention(
            query_BHLe, key_BHLe, value_BHLe, attn_mask=attn_mask
        )
        return self._write(mixed_BHLe.transpose(1, 2).reshape(batch, length, width)), None
