"""A text tower cut before its last layer: what lies before is computed once for any concept.

A concept changes only the value projection of the last layer, so everything before it depends on
the text alone (arXiv 2506.10182). B texts, L tokens, d width of the tower, D of the embedding.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from open_clip.hf_model import HFTextEncoder
from open_clip.transformer import ResidualAttentionBlock, TextTransformer, text_global_pool
from torch import nn
from transformers.modeling_outputs import BaseModelOutput

from retrieval.encoder import Encoder

HF_ENCODERS = ("bert", "roberta", "xlm-roberta")


@dataclass(frozen=True)
class Prefix:
    """What the last layer is called with, and the tokens it came from."""

    ids_BL: torch.Tensor
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class SplitAttention(nn.Module):
    """`nn.MultiheadAttention` with its fused projection taken apart, so that PEFT finds the value.

    The same numbers, in four `nn.Linear`; self-attention, batch first, no dropout.
    """

    def __init__(self, fused: nn.MultiheadAttention) -> None:
        """Take over the weights of `fused`."""
        super().__init__()
        self.num_heads = fused.num_heads
        self.q_proj, self.k_proj, self.v_proj = (
            _linear(weight, bias)
            for weight, bias in zip(
                fused.in_proj_weight.chunk(3), fused.in_proj_bias.chunk(3), strict=True
            )
        )
        self.out_proj = _linear(fused.out_proj.weight, fused.out_proj.bias)

    def forward(
        self, q_x: torch.Tensor, *_: Any, attn_mask: torch.Tensor | None = None, **__: Any
    ) -> tuple[torch.Tensor, None]:
        """As `nn.MultiheadAttention.forward` with query = key = value; no attention weights."""
        q_BHLh, k_BHLh, v_BHLh = (
            project(q_x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        z_BHLh = F.scaled_dot_product_attention(q_BHLh, k_BHLh, v_BHLh, attn_mask=attn_mask)
        return self.out_proj(z_BHLh.transpose(1, 2).flatten(-2)), None


class TextTower:
    """The text tower of an encoder, as concepts see it."""

    def __init__(self, encoder: Encoder) -> None:
        """Find the last layer and its value projection; open_clip's own tower is split in place.

        Raises:
            ValueError: The tower is of a kind that is not supported; it is named.
        """
        self.encoder = encoder
        tower = encoder.model.text
        if _supported_encoder(tower):
            number = len(tower.transformer.encoder.layer) - 1
            self.root: nn.Module = tower.transformer
            self.value_path = f"encoder.layer.{number}.attention.self.value"
            self.last: nn.Module = tower.transformer.encoder.layer[number]
        elif _supported_transformer(tower):
            number = len(tower.transformer.resblocks) - 1
            self.root = tower
            self.value_path = f"transformer.resblocks.{number}.attn.v_proj"
            self.last = tower.transformer.resblocks[number]
            if isinstance(self.last.attn, nn.MultiheadAttention):
                self.last.attn = SplitAttention(self.last.attn)
                self.last.requires_grad_(requires_grad=False)
        else:
            msg = (
                f"got text tower {_describe(tower)}, expected open_clip's own with plain blocks,"
                f" or one of {HF_ENCODERS} without a pooling layer of its own"
            )
            raise ValueError(msg)

    @property
    def value(self) -> nn.Linear:
        """The last layer's value projection, d x d."""
        module = self.root.get_submodule(self.value_path)
        assert isinstance(module, nn.Linear)
        return module

    def prefix(self, texts: Sequence[str]) -> Prefix:
        """Everything before the last layer."""
        ids_BL = self.encoder.tokens(texts)
        caught: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        handle = self.last.register_forward_pre_hook(
            lambda _, args, kwargs: caught.append((args, kwargs)), with_kwargs=True
        )
        try:
            with torch.no_grad():
                self.encoder.model.text(ids_BL)
        finally:
            handle.remove()
        return Prefix(ids_BL, *caught[0])

    def finish(self, prefix: Prefix) -> torch.Tensor:
        """The last layer, pooling and projection: unit vectors (B, D), with gradients."""
        tower = self.encoder.model.text
        hidden_BLd = self.last(*prefix.args, **prefix.kwargs)
        hidden_BLd = hidden_BLd[0] if isinstance(hidden_BLd, tuple) else hidden_BLd
        if isinstance(tower, HFTextEncoder):
            mask_BL = (prefix.ids_BL != tower.config.pad_token_id).long()
            output = BaseModelOutput(last_hidden_state=hidden_BLd)
            return F.normalize(tower.proj(tower.pooler(output, mask_BL)), dim=-1)
        pooled_Bd = text_global_pool(
            tower.ln_final(hidden_BLd), prefix.ids_BL, tower.pool_type, tower.eos_id
        )
        projection = tower.text_projection
        if projection is None:
            return F.normalize(pooled_Bd, dim=-1)
        projected_BD = (
            projection(pooled_Bd) if isinstance(projection, nn.Linear) else pooled_Bd @ projection
        )
        return F.normalize(projected_BD, dim=-1)

    @contextmanager
    def updated(self, a_Kd: torch.Tensor, b_Kd: torch.Tensor) -> Iterator[None]:
        """Inside, the value projection is W + B A, K concepts' rank-one updates added."""

        def add(_: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> torch.Tensor:
            return output + (inputs[0] @ a_Kd.T) @ b_Kd

        handle = self.value.register_forward_hook(add)
        try:
            yield
        finally:
            handle.remove()


def _supported_encoder(tower: nn.Module) -> bool:
    """A Hugging Face encoder that ends with its last layer; BERT's own pooler comes after it."""
    return (
        isinstance(tower, HFTextEncoder)
        and tower.config.model_type in HF_ENCODERS
        and getattr(tower.transformer, "pooler", None) is None
    )


def _supported_transformer(tower: nn.Module) -> bool:
    """open_clip's tower without an appended class token, its attention PyTorch's or split."""
    return (
        isinstance(tower, TextTransformer)
        and tower.cls_emb is None
        and isinstance(
            getattr(tower.transformer.resblocks[-1], "attn", None),
            nn.MultiheadAttention | SplitAttention,
        )
        and isinstance(tower.transformer.resblocks[-1], ResidualAttentionBlock)
    )


def _linear(weight: torch.Tensor, bias: torch.Tensor) -> nn.Linear:
    linear = nn.Linear(weight.shape[1], weight.shape[0], device=weight.device, dtype=weight.dtype)
    linear.weight.data.copy_(weight)
    linear.bias.data.copy_(bias)
    return linear


def _describe(tower: nn.Module) -> str:
    config = getattr(tower, "config", None)
    kind = getattr(config, "model_type", None)
    return f"{type(tower).__name__} ({kind})" if kind else type(tower).__name__
