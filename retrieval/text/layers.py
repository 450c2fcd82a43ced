"""A layer of a text tower; the last one is cut where the value projection acts.

Attention weights depend on query and key alone. So a change of the value, V' = V + B A, changes
the attention's output at row q by sum_h O_h B_h (A . z_qh), with z_qh = sum_l p_qhl u_l: u what the
projections read, p the attention of head h, O_h that head's columns of the output projection
(arXiv 2506.10182; exact, nothing averaged over heads). All else that precedes is constant.

B texts, L tokens, Q rows a text that are pooled, H heads, e = d / H, N rows of any texts.
"""

import copy
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Self

import torch
import torch.nn.functional as F
from open_clip.transformer import Attention
from torch import nn

from retrieval.text.bfloat16 import in_bfloat16, product
from retrieval.text.packing import Packing


@dataclass(frozen=True)
class Attended:
    """What the last layer has computed before its value matters."""

    inputs_BLd: torch.Tensor  # u
    weights_BQHL: torch.Tensor  # p
    rows_BQd: torch.Tensor  # the attention's output without an update
    residual_BQd: torch.Tensor


class Layer(ABC):
    """A transformer layer, of which the attention's value can be updated."""

    heads: int
    query: tuple[torch.Tensor, torch.Tensor]  # weight (d, d), bias (d,); views of the model's own
    key: tuple[torch.Tensor, torch.Tensor]
    value: tuple[torch.Tensor, torch.Tensor]
    output: nn.Module  # from the heads' outputs, concatenated, to a row
    feed_forward: nn.Module
    spread_Hed: torch.Tensor  # O_h: what one unit of a head's output adds to a row

    @abstractmethod
    def read(self, x_BLd: torch.Tensor) -> torch.Tensor:
        """What query, key and value read: u."""

    @abstractmethod
    def finish(self, rows_Nd: torch.Tensor, residual_Nd: torch.Tensor) -> torch.Tensor:
        """The layer's output from its attention's."""

    def attend(
        self, x_BLd: torch.Tensor, mask_BQHL: torch.Tensor | None, picked_B: torch.Tensor | None
    ) -> Attended:
        """The attention without an update.

        Args:
            x_BLd: The layer's input.
            mask_BQHL: Added to the scores; broadcast.
            picked_B: The one row of each text that is pooled; None: every row is.
        """
        every = torch.arange(len(x_BLd), device=x_BLd.device)
        residual_BQd = x_BLd if picked_B is None else x_BLd[every, picked_B][:, None]
        inputs_BLd = self.read(x_BLd)
        queried_BQd = inputs_BLd if picked_B is None else inputs_BLd[every, picked_B][:, None]
        query_BQHe, key_BLHe, value_BLHe = (
            split_heads(F.linear(read, *matrix), self.heads)
            for read, matrix in (
                (queried_BQd, self.query),
                (inputs_BLd, self.key),
                (inputs_BLd, self.value),
            )
        )
        query_BQHe, key_BLHe = self._normed(query_BQHe, key_BLHe)
        scale = query_BQHe.shape[-1] ** -0.5
        scores_BQHL = torch.einsum("bqhe,blhe->bqhl", query_BQHe * scale, key_BLHe)
        if mask_BQHL is not None:
            scores_BQHL = scores_BQHL + mask_BQHL
        weights_BQHL = scores_BQHL.softmax(dim=-1)
        mixed_BQHe = torch.einsum("bqhl,blhe->bqhe", weights_BQHL, value_BLHe)
        rows_BQd = self.output(mixed_BQHe.flatten(-2))
        return Attended(inputs_BLd, weights_BQHL, rows_BQd, residual_BQd)

    def through(self, x_Nd: torch.Tensor, packing: Packing) -> torch.Tensor:
        """The whole layer, for texts of any lengths at once (N, d)."""
        read_Nd = self.read(x_Nd)
        query_NHe, key_NHe, value_NHe = (
            split_heads(product(read_Nd, *matrix), self.heads)
            for matrix in (self.query, self.key, self.value)
        )
        query_NHe, key_NHe = self._normed(query_NHe, key_NHe)
        mixed_Nd = packing.attend(query_NHe, key_NHe, value_NHe).flatten(-2)
        return self.finish(self.output(mixed_Nd), x_Nd)

    def all_in_bfloat16(self) -> Self:
        """A copy of which `through` multiplies in bf16."""
        other = copy.copy(self)
        for name in ("query", "key", "value"):
            weight_dd, bias_d = getattr(self, name)
            setattr(other, name, (weight_dd.to(torch.bfloat16), bias_d.to(torch.bfloat16)))
        for name in ("output", "feed_forward"):
            setattr(other, name, in_bfloat16(getattr(self, name)))
        return other

    def in_bfloat16(self) -> Self:
        """A copy whose large matrices of `finish` and `spread_Hed` are bf16."""
        other = copy.copy(self)
        other.feed_forward = in_bfloat16(self.feed_forward)
        other.spread_Hed = self.spread_Hed.to(torch.bfloat16)
        return other

    def _normed(
        self, query_BQHe: torch.Tensor, key_BLHe: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return query_BQHe, key_BLHe


class ClipLayer(Layer):
    """A block of open_clip's own tower, plain or with its attention's and norms' extras."""

    def __init__(self, block: Any) -> None:
        """Take `ResidualAttentionBlock` or `CustomResidualAttentionBlock`."""
        self._block = block
        self.feed_forward = block.mlp
        attention = block.attn
        self._attention = attention if isinstance(attention, Attention) else None
        self.heads = attention.num_heads
        self.query, self.key, self.value = zip(
            attention.in_proj_weight.chunk(3), attention.in_proj_bias.chunk(3), strict=True
        )
        self._inner_norm = self._attention is not None and not isinstance(
            attention.ln_inner, nn.Identity
        )
        width = attention.out_proj.in_features
        weight_dd = attention.out_proj.weight.T
        if self._inner_norm:  # not linear in the heads' outputs: `finish` projects
            weight_dd = torch.eye(width, dtype=weight_dd.dtype, device=weight_dd.device)
        self.spread_Hed = weight_dd.view(self.heads, -1, width)
        self._head_scale = getattr(attention, "head_scale", None)  # (H, 1, 1)
        if self._head_scale is not None:
            self.spread_Hed = self.spread_Hed * self._head_scale
        self.output = _Output(self._head_scale, None if self._inner_norm else attention.out_proj)

    def read(self, x_BLd: torch.Tensor) -> torch.Tensor:
        """Normalised before the attention."""
        normed: torch.Tensor = self._block.ln_1(x_BLd)
        return normed

    def finish(self, rows_Nd: torch.Tensor, residual_Nd: torch.Tensor) -> torch.Tensor:
        """Residuals around what is normalised first."""
        block = self._block
        if self._attention is not None:
            if self._inner_norm:
                rows_Nd = self._attention.out_proj(self._attention.ln_inner(rows_Nd))
            rows_Nd = block.ln_attn(rows_Nd)
        x_Nd = residual_Nd + block.ls_1(rows_Nd)
        finished: torch.Tensor = x_Nd + block.ls_2(self.feed_forward(block.ln_2(x_Nd)))
        return finished

    def _normed(
        self, query_BQHe: torch.Tensor, key_BLHe: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if self._attention is None:
            return query_BQHe, key_BLHe
        return self._attention.ln_q(query_BQHe), self._attention.ln_k(key_BLHe)


class BertLayer(Layer):
    """A layer of BERT, RoBERTa or XLM-RoBERTa as transformers builds them."""

    def __init__(self, layer: Any) -> None:
        """Take `BertLayer` and its like; dropout is left out, as in eval mode."""
        attention = layer.attention.self
        self.heads = attention.num_attention_heads
        three = attention.query, attention.key, attention.value
        self.query, self.key, self.value = ((own.weight, own.bias) for own in three)
        self.output = layer.attention.output.dense
        weight_dd = layer.attention.output.dense.weight.T
        self.spread_Hed = weight_dd.view(self.heads, -1, weight_dd.shape[1])
        self.feed_forward = nn.Sequential(
            layer.intermediate.dense, layer.intermediate.intermediate_act_fn, layer.output.dense
        )
        self._norms = layer.attention.output.LayerNorm, layer.output.LayerNorm

    def read(self, x_BLd: torch.Tensor) -> torch.Tensor:
        """Read as it is: what precedes has normalised it."""
        return x_BLd

    def finish(self, rows_Nd: torch.Tensor, residual_Nd: torch.Tensor) -> torch.Tensor:
        """Residuals, normalised afterwards."""
        first, second = self._norms
        x_Nd = first(rows_Nd + residual_Nd)
        finished: torch.Tensor = second(x_Nd + self.feed_forward(x_Nd))
        return finished


class _Output(nn.Module):
    """open_clip's way from the heads' outputs to a row: each head scaled, then projected."""

    def __init__(self, head_scale: torch.Tensor | None, projection: nn.Linear | None) -> None:
        super().__init__()
        self._head_scale = head_scale
        self._projection = projection

    def forward(self, mixed_BQd: torch.Tensor) -> torch.Tensor:
        if self._head_scale is not None:
            scale_H1 = self._head_scale[..., 0]
            mixed_BQd = (split_heads(mixed_BQd, len(scale_H1)) * scale_H1).flatten(-2)
        return mixed_BQd if self._projection is None else self._projection(mixed_BQd)


def split_heads(x_Xd: torch.Tensor, heads: int) -> torch.Tensor:
    """The last dimension as (H, e)."""
    return x_Xd.view(*x_Xd.shape[:-1], heads, -1)
