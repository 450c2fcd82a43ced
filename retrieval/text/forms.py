"""The forms of text tower that concepts support: what each one's first layer reads, and its layers.

B texts, L tokens, d width of the tower, H heads.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
from retrieval.text.layers import BertLayer, ClipLayer, Layer
from retrieval.text.packing import Embedded

HF_ENCODERS = ("bert", "roberta", "xlm-roberta")
POOLS = ("argmax", "eos", "first", "last")


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
    """A kind of tower; `head` is what comes after the pooling."""

    layers: Sequence[Layer]
    head: Head
    value_path: str  # PEFT's name of the last layer's value projection, see `peft_base`

    @abstractmethod
    def embed(self, ids_BL: torch.Tensor) -> Embedded:
        """What the first layer reads, on the positions that matter."""

    @abstractmethod
    def lengths(self, ids_BL: torch.Tensor) -> list[int]:
        """How many of the positions of each text matter, from the first one on."""


class ClipForm(Form):
    """open_clip's own tower: causal or not, one token pooled, CoCa's appended one too."""

    def __init__(self, tower: Any) -> None:
        """Take a tower without `clip_fault`."""
        self._tower = tower
        blocks = tower.transformer.resblocks
        self.layers = [ClipLayer(block) for block in blocks]
        self.head = Head(tower.ln_final, _projection(tower.text_projection))
        self.value_path = f"transformer.resblocks.{len(blocks) - 1}.attn.v_proj"

    def embed(self, ids_BL: torch.Tensor) -> Embedded:
        """Only positions that the pooled token sees are computed: all that it sees, see no more.

        True of a causal mask, of a padding mask and of both; without a mask it sees everything.
        """
        x_BLd, mask = self._tower._embeds(ids_BL)
        picked_B = self._pooled(ids_BL, x_BLd.shape[1])
        if mask is None or mask.ndim == 2:
            return Embedded(x_BLd, self.lengths(ids_BL), mask is not None, None, picked_B)
        every = torch.arange(len(ids_BL), device=ids_BL.device)
        mask_BLL = mask[:: self.layers[-1].heads]
        seen_BL = mask_BLL[every, picked_B] == 0
        seen_BL[every, picked_B] = True
        kept_l = seen_BL.any(dim=0).nonzero()[:, 0]
        return Embedded(
            x_BLd[:, kept_l],
            [len(kept_l)] * len(ids_BL),
            False,
            mask_BLL[..., kept_l, :][..., kept_l],
            torch.searchsorted(kept_l, picked_B),
        )

    def lengths(self, ids_BL: torch.Tensor) -> list[int]:
        """Up to the pooled token where no token sees what follows it; else all."""
        if self._tower.attn_mask is None or self._tower.cls_emb is not None:
            return [ids_BL.shape[1]] * len(ids_BL)
        return (self._pooled(ids_BL, ids_BL.shape[1]) + 1).tolist()

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
        blocks = tower.transformer.encoder.layer
        self.layers = [BertLayer(block) for block in blocks]
        # AutoModel brings BERT's own pooler; only ClsPooler reads what it gives.
        pools = type(tower.pooler) is ClsPooler and tower.pooler.use_pooler_output
        pooler = getattr(tower.transformer, "pooler", None) if pools else None
        norm = nn.Identity() if pooler is None else nn.Sequential(pooler.dense, pooler.activation)
        self.head = Head(norm, tower.proj)
        self.value_path = f"encoder.layer.{len(blocks) - 1}.attention.self.value"

    def embed(self, ids_BL: torch.Tensor) -> Embedded:
        """Padding comes after a text's own tokens."""
        x_BLd = self._encoder.embeddings(input_ids=ids_BL)
        picked_B = None if self._mean else ids_BL.new_zeros(len(ids_BL))
        return Embedded(x_BLd, self.lengths(ids_BL), False, None, picked_B)

    def lengths(self, ids_BL: torch.Tensor) -> list[int]:
        """Up to the padding."""
        lengths: list[int] = (ids_BL != self._pad).sum(dim=1).tolist()
        return lengths


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


def _projection(projection: nn.Module | torch.Tensor | None) -> nn.Module:
    """open_clip's text projection, in any of its three forms, as a module on the same storage."""
    if projection is None:
        return nn.Identity()
    return projection if isinstance(projection, nn.Module) else _linear(projection.T)


def _linear(weight: torch.Tensor) -> nn.Linear:
    """A linear layer without bias on the storage of a weight (out, in)."""
    outputs, inputs = weight.shape
    module = nn.Linear(inputs, outputs, bias=False, device="meta")
    module.weight = nn.Parameter(weight.detach(), requires_grad=False)
    return module
