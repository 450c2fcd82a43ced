"""An image tower split between two of its blocks: what comes before is frozen and computed once.

Blocks are a ResNet's stages (layer1 .. layer4) and a transformer's residual blocks. The split is
exact in eval mode, in which BatchNorm uses the statistics it has and keeps them, as everywhere in
distillation. N pictures, S picture side, D embedding width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer
from timm.models.resnet import ResNet
from timm.models.vision_transformer import VisionTransformer as TimmTransformer
from torch import nn

from retrieval.image_tower import SplitTower


@dataclass(frozen=True)
class BlockNames:
    """Where a tower's parts are found, as names of its modules."""

    blocks: Sequence[str]  # in order
    after: Sequence[str]  # modules and parameters behind the last block


def split_before_block(visual: Any, trained: int) -> SplitTower:
    """Split an open_clip image tower before its last `trained` blocks.

    Args:
        visual: open_clip's vision transformer, or a timm ResNet or vision transformer in it.
        trained: How many blocks the head has; with them it ends the tower, projection included.

    Returns:
        The parts; the trunk gives whatever enters the first block of the head, (N, ...).

    Raises:
        ValueError: The tower is of another kind, or has no so many blocks.
    """
    names = block_names(visual)
    count = len(names.blocks)
    if not 1 <= trained <= count:
        msg = f"got distill.blocks {trained}, expected 1 to {count}, the blocks of this image tower"
        raise ValueError(msg)
    first = count - trained
    ends = {
        id(parameter)
        for name in (*names.blocks[first:], *names.after)
        for parameter in parameters_below(visual, name)
    }
    parameters = list(visual.parameters())
    return SplitTower(
        trunk=lambda pixels_N3SS: _run(visual, _start(visual, pixels_N3SS), names.blocks[:first]),
        head=lambda entering: _end(visual, _run(visual, entering, names.blocks[first:])),
        trunk_parameters=[parameter for parameter in parameters if id(parameter) not in ends],
        head_parameters=[parameter for parameter in parameters if id(parameter) in ends],
    )


def block_names(visual: Any) -> BlockNames:
    """The blocks of an image tower and what follows them.

    Raises:
        ValueError: The tower is of a kind whose blocks are not known here; the message names it.
    """
    if isinstance(visual, VisionTransformer):
        after = [name for name in ("ln_post", "attn_pool", "proj") if _has(visual, name)]
        return BlockNames(_numbered("transformer.resblocks", visual.transformer.resblocks), after)
    trunk = visual.trunk if isinstance(visual, TimmModel) else None
    if isinstance(trunk, ResNet):
        return BlockNames([f"trunk.layer{n}" for n in range(1, 5)], ["trunk.fc", "head"])
    if isinstance(trunk, TimmTransformer):
        after = ["norm", "attn_pool", "fc_norm", "head"]
        names = [f"trunk.{name}" for name in after if _has(trunk, name)]
        return BlockNames(_numbered("trunk.blocks", trunk.blocks), [*names, "head"])
    kind = type(visual).__name__ if trunk is None else f"timm {type(trunk).__name__}"
    msg = (
        f"got image tower {kind}, expected open_clip's VisionTransformer, or timm's ResNet or"
        " VisionTransformer; set distill.train: head or whole"
    )
    raise ValueError(msg)


def parameters_below(visual: nn.Module, name: str) -> list[nn.Parameter]:
    """The parameters of the module of that name, or the parameter itself."""
    found = visual
    for part in name.split("."):
        found = getattr(found, part)
    return [found] if isinstance(found, nn.Parameter) else list(found.parameters())


def _start(visual: Any, pixels_N3SS: torch.Tensor) -> torch.Tensor:
    """What enters the first block."""
    if isinstance(visual, VisionTransformer):
        tokens: torch.Tensor = visual._embeds(pixels_N3SS)
        return tokens
    trunk = visual.trunk
    if isinstance(trunk, ResNet):
        steps = [trunk.conv1, trunk.bn1, trunk.act1, trunk.maxpool]
    else:
        steps = [trunk.patch_embed, trunk._pos_embed, trunk.patch_drop, trunk.norm_pre]
    for step in steps:
        pixels_N3SS = step(pixels_N3SS)
    return pixels_N3SS


def _run(visual: nn.Module, entering: torch.Tensor, blocks: Sequence[str]) -> torch.Tensor:
    for name in blocks:
        entering = visual.get_submodule(name)(entering)
    return entering


def _end(visual: Any, leaving: torch.Tensor) -> torch.Tensor:
    """From what leaves the last block to the embedding, (N, D), not normalised."""
    if isinstance(visual, VisionTransformer):
        pooled_NF: torch.Tensor = visual._pool(leaving)[0]
        return pooled_NF if visual.proj is None else pooled_NF @ visual.proj
    if isinstance(visual.trunk, TimmTransformer):
        leaving = visual.trunk.norm(leaving)
    embedded: torch.Tensor = visual.head(visual.trunk.forward_head(leaving))
    return embedded


def _numbered(name: str, blocks: Sequence[nn.Module]) -> list[str]:
    return [f"{name}.{number}" for number in range(len(blocks))]


def _has(module: nn.Module, name: str) -> bool:
    return getattr(module, name, None) is not None
