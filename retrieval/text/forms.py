"""The forms of text tower that concepts support: how each runs up to its last layer, and after it.

B texts, L tokens, d width of the tower, H heads.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from open_clip.hf_model import ClsLastHiddenStatePooler, ClsPooler, HFTextEncoder, MeanPooler
from open_clip.transformer import (
    Attention,
    CustomResidualAttentionBlock,
    ResidualAttentionBlock,
    TextTransformer,
)
from torch import nn

from retrieval.text.bfloat16 import in_bfloat16
from retrieval.text.layers import BertLayer, ClipLayer, LastLayer

HF_ENCODERS = ("bert", "roberta", "xlm-roberta")
POOLS = ("argmax", "eos", "first", "last")


@dataclass(frozen=True)
class Before:
    """The last layer's input, on the positions that matter."""

    x_BLd: torch.Tensor
    mask_BQHL: torch.Tensor | None  # added to the attention's scores; broadcast
    picked_B: torch.Tensor | None  # the position that is pooled; None: the mean of
    kept_BL: torch.Tensor | None  # these


@dataclass(frozen=True)
class Head:
    """From a pooled row to an embedding that is not normalised yet."""

    norm: nn.Module
    projection: nn.Module

    def __call__(self, pooled_Bd: torch.Tensor) -> torch.Tensor:
        """(B, D)."""
        projected: torch.Tensor = self.projection(self.norm(pooled_Bd))
        return projected

    def in_bfloat16(self) -> "Head":
        """A copy that projects in bf16."""
        return Head(self.norm, in_bfloat16(self.projection))


class Form(ABC):
    """A kind of tower; `layer` is its last layer, `head` what comes after the pooling."""

    layer: LastLayer
    layers: int
    _blocks: Sequence[Any]
    head: Head
    value_path: str  # PEFT's name of the value projection, see `peft_base`

    @abstractmethod
    def before(self, ids_BL: torch.Tensor) -> Before:
        """Run everything before the last layer."""

    @abstractmethod
    def lengths(self, ids_BL: torch.Tensor) -> torch.Tensor:
        """How many of the positions of each text `before` needs, from the first one on (B,)."""

    def in_bfloat16(self) -> Self:
        """The same with bf16 matrix products in `before`."""
        other = copy.copy(self)
        *before, last = self._blocks
        other._blocks = [*map(in_bfloat16, before), last]
        return other


class ClipForm(Form):
    """open_clip's own tower: causal or not, one token pooled, CoCa's appended one too."""

    def __init__(self, tower: Any) -> None:
        """Take a tower without `clip_fault`."""
        self._tower = tower
        self._blocks = tower.transformer.resblocks
        self.layers = len(self._blocks)
        self.layer = ClipLayer(self._blocks[-1])
        self.head = Head(tower.ln_final, _linear(tower.text_projection))
        self.value_path = f"transformer.resblocks.{self.layers - 1}.attn.v_proj"

    def before(self, ids_BL: torch.Tensor) -> Before:
        """Only positions that the pooled token sees are computed: all that it sees, see no more.

        True of a causal mask, of a padding mask and of both; without a mask it sees everything.
        """
        x_BLd, mask = self._tower._embeds(ids_BL)
        picked_B = self._pooled(ids_BL, x_BLd.shape[1])
        mask_BQHL = None
        if mask is not None:
            every = torch.arange(len(ids_BL), device=ids_BL.device)
            mask_BLL = mask[None] if mask.ndim == 2 else mask[:: self.layer.heads]
            mask_BL = mask_BLL.expand(len(ids_BL), -1, -1)[every, picked_B]
            seen_BL = mask_BL == 0
            seen_BL[every, picked_B] = True
            kept_l = seen_BL.any(dim=0).nonzero()[:, 0]
            mask_BQHL = mask_BL[:, None, None, kept_l]
            picked_B = torch.searchsorted(kept_l, picked_B)
            x_BLd, mask = x_BLd[:, kept_l], mask[..., kept_l, :][..., kept_l]
        for block in self._blocks[:-1]:
            x_BLd = block(x_BLd, attn_mask=mask)
        return Before(x_BLd, mask_BQHL, picked_B, None)

    def lengths(self, ids_BL: torch.Tensor) -> torch.Tensor:
        """Up to the pooled token where no token sees what follows it; else all."""
        if self._tower.attn_mask is None or self._tower.cls_emb is not None:
            return torch.full_like(ids_BL[:, 0], ids_BL.shape[1])
        return self._pooled(ids_BL, ids_BL.shape[1]) + 1

    def _pooled(self, ids_BL: torch.Tensor, length: int) -> torch.Tensor:
        """The position of the token that `text_global_pool` takes."""
        tower = self._tower
        if tower.cls_emb is not None or tower.pool_type == "last":
            return ids_BL.new_full((len(ids_BL),), length - 1)
        if tower.pool_type == "first":
            return ids_BL.new_zeros(len(ids_BL))
        sought_BL = (ids_BL == tower.eos_id).int() if tower.pool_type == "eos" else ids_BL
        return sought_BL.argmax(dim=-1)


class BertForm(Form):
    """A Hugging Face encoder: the mean of all tokens, or the first with or without a pooler."""

    def __init__(self, tower: Any) -> None:
        """Take a tower without `bert_fault`."""
        self._encoder = tower.transformer
        self._pad = tower.config.pad_token_id
        self._mean = type(tower.pooler) is MeanPooler
        self._blocks = tower.transformer.encoder.layer
        self.layers = len(self._blocks)
        self.layer = BertLayer(self._blocks[-1])
        # AutoModel brings BERT's own pooler; only ClsPooler reads what it gives.
        pools = type(tower.pooler) is ClsPooler and tower.pooler.use_pooler_output
        pooler = getattr(tower.transformer, "pooler", None) if pools else None
        norm = nn.Identity() if pooler is None else nn.Sequential(pooler.dense, pooler.activation)
        self.head = Head(norm, tower.proj)
        self.value_path = f"encoder.layer.{self.layers - 1}.attention.self.value"

    def before(self, ids_BL: torch.Tensor) -> Before:
        """Padding is hidden by a mask; `Encoder.tokens` has cut what is more than the longest."""
        kept_BL = ids_BL != self._pad
        x_BLd = self._encoder.embeddings(input_ids=ids_BL)
        mask_B11L = torch.zeros_like(kept_BL, dtype=x_BLd.dtype)
        mask_B11L = mask_B11L.masked_fill(~kept_BL, torch.finfo(x_BLd.dtype).min)[:, None, None]
        for block in self._blocks[:-1]:
            x_BLd = block(x_BLd, attention_mask=mask_B11L)
        first_B = ids_BL.new_zeros(len(ids_BL))
        return Before(
            x_BLd, mask_B11L, None if self._mean else first_B, kept_BL if self._mean else None
        )

    def lengths(self, ids_BL: torch.Tensor) -> torch.Tensor:
        """Up to the padding."""
        lengths_B: torch.Tensor = (ids_BL != self._pad).sum(dim=1)
        return lengths_B


def form_of(tower: nn.Module) -> Form:
    """The form of a text tower.

    Raises:
        ValueError: It is none that is supported; it is named.
    """
    if isinstance(tower, TextTransformer):
        fault = _clip_fault(tower)
    elif isinstance(tower, HFTextEncoder):
        fault = _bert_fault(tower)
    else:
        fault = "a form of its own"
    if fault:
        kind = getattr(getattr(tower, "config", None), "model_type", None)
        name = f"{type(tower).__name__} ({kind})" if kind else type(tower).__name__
        msg = (
            f"got text tower {name} with {fault}; concepts need open_clip's own tower that pools a"
            f" token, or one of {', '.join(HF_ENCODERS)} that pools the mean or the first token"
        )
        raise ValueError(msg)
    return ClipForm(tower) if isinstance(tower, TextTransformer) else BertForm(tower)


def _clip_fault(tower: Any) -> str | None:
    """What makes a `TextTransformer` unsupported."""
    block = tower.transformer.resblocks[-1]
    if not isinstance(block, ResidualAttentionBlock | CustomResidualAttentionBlock):
        return f"blocks of type {type(block).__name__}"
    if not isinstance(block.attn, nn.MultiheadAttention | Attention):
        return f"attention of type {type(block.attn).__name__}"
    if getattr(block.attn, "logit_scale", None) is not None:
        return "scaled cosine attention, which open_clip 3.3 cannot run itself"
    if tower.cls_emb is None and tower.pool_type not in POOLS:
        return f"pool_type {tower.pool_type!r}"
    return None


def _bert_fault(tower: Any) -> str | None:
    """What makes a `HFTextEncoder` unsupported."""
    config = tower.config
    if config.model_type not in HF_ENCODERS:
        return f"an encoder of type {config.model_type}"
    if config.is_decoder or config.add_cross_attention:
        return "a decoder's attention"
    if type(tower.pooler) not in (MeanPooler, ClsPooler, ClsLastHiddenStatePooler):
        return f"{type(tower.pooler).__name__}, which open_clip 3.3 cannot run itself"
    return None


def _linear(projection: nn.Module | torch.Tensor | None) -> nn.Module:
    """open_clip's text projection, in any of its three forms, as a module on the same storage."""
    if projection is None:
        return nn.Identity()
    if isinstance(projection, nn.Module):
        return projection
    width, embedding = projection.shape
    linear = nn.Linear(width, embedding, bias=False, device="meta")
    linear.weight = nn.Parameter(projection.T, requires_grad=False)
    return linear
