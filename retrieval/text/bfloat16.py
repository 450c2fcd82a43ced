"""Layers whose matrix products are bf16: half the time where the processor multiplies bf16 itself.

What they read and give stays fp32, and so do norms, softmax and residuals between them.

X rows, d width.
"""

import copy

import torch
import torch.nn.functional as F
from torch import nn


def in_bfloat16(module: nn.Module) -> nn.Module:
    """A copy with bf16 in the place of each linear layer."""
    if isinstance(module, nn.Linear):
        return _Linear(module.weight, module.bias)
    other = copy.copy(module)
    other._modules = {
        name: None if child is None else in_bfloat16(child)
        for name, child in module._modules.items()
    }
    return other


def product(x_Xd: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """A linear layer in its weight's own precision; what comes out is of x's."""
    return F.linear(x_Xd.to(weight.dtype), weight, bias).to(x_Xd.dtype)


class _Linear(nn.Module):
    """A linear layer that multiplies in bf16."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        super().__init__()
        self._weight = weight.detach().to(torch.bfloat16)
        self._bias = None if bias is None else bias.detach().to(torch.bfloat16)

    def forward(self, x_Xd: torch.Tensor) -> torch.Tensor:
        return product(x_Xd, self._weight, self._bias)
