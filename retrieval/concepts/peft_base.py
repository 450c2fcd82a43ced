"""The module that a concept's adapter belongs to, for PEFT.

A Hugging Face encoder as it is; or open_clip's own tower, whose fused projections PEFT can adapt
only together, with its last attention taken apart.
"""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from open_clip.hf_model import HFTextEncoder
from torch import nn

from retrieval.text.layers import split_heads
from retrieval.text.tower import TextTower


class SplitAttention(nn.Module):
    """open_clip's attention with its fused projection in three `nn.Linear`; the same numbers.

    Stands for `nn.MultiheadAttention` (self-attention, batch first, no dropout) and for
    `open_clip.transformer.Attention` without scaled cosines.
    """

    def __init__(self, fused: Any) -> None:
        """Copy the weights of `fused`."""
        super().__init__()
        self.heads = fused.num_heads
        self.plain = isinstance(fused, nn.MultiheadAttention)
        self.q_proj, self.k_proj, self.v_proj = (
            _linear(weight, bias)
            for weight, bias in zip(
                fused.in_proj_weight.chunk(3), fused.in_proj_bias.chunk(3), strict=True
            )
        )
        self.out_proj = copy.deepcopy(fused.out_proj)
        self.ln_q, self.ln_k, self.ln_inner = (
            copy.deepcopy(getattr(fused, name, nn.Identity())) for name in _NORMS
        )
        scale = getattr(fused, "head_scale", None)
        self.head_scale = nn.Parameter(torch.ones(1, 1, 1) if scale is None else scale.detach())
        self.requires_grad_(requires_grad=False)

    def forward(
        self, q_x: torch.Tensor, *_: Any, attn_mask: torch.Tensor | None = None, **__: Any
    ) -> Any:
        """As the fused one with query = key = value; no attention weights."""
        q_BHLh, k_BHLh, v_BHLh = (
            split_heads(project(q_x), self.heads).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        if attn_mask is not None and attn_mask.ndim == 3:
            attn_mask = attn_mask.view(-1, self.heads, *attn_mask.shape[1:])
        z_BHLh = F.scaled_dot_product_attention(
            self.ln_q(q_BHLh), self.ln_k(k_BHLh), v_BHLh, attn_mask=attn_mask
        )
        z_BLd = (z_BHLh * self.head_scale).transpose(1, 2).flatten(-2)
        output = self.out_proj(self.ln_inner(z_BLd))
        return (output, None) if self.plain else output


_NORMS = ("ln_q", "ln_k", "ln_inner")


def peft_base(tower: TextTower) -> nn.Module:
    """The module to which `tower.value_path` and the adapters of `save_concept` belong.

    A copy, which PEFT may change in place.
    """
    text = tower.encoder.model.text
    if isinstance(text, HFTextEncoder):
        encoder: nn.Module = copy.deepcopy(text.transformer)
        return encoder
    base: nn.Module = copy.deepcopy(text)
    last: Any = base.get_submodule(tower.value_path.rsplit(".", maxsplit=2)[0])
    last.attn = SplitAttention(last.attn)
    return base


def _linear(weight: torch.Tensor, bias: torch.Tensor) -> nn.Linear:
    linear = nn.Linear(weight.shape[1], weight.shape[0], device=weight.device, dtype=weight.dtype)
    linear.weight.data.copy_(weight)
    linear.bias.data.copy_(bias)
    return linear
