"""An image tower in two parts: the trunk, which costs the time, and the head that ends it.

What trains the head alone computes the trunk's features once; a pass over thousands of groups then
takes seconds. Or it is split further up, and the trunk's last stages are trained with the head.
N pictures, S picture side, C x H x W a feature map, F width of the features, D embedding width.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer
from torch import nn

from retrieval.encoder import Encoder

Stages = Callable[[torch.Tensor], torch.Tensor]  # (N, C, H, W) -> (N, F)


@dataclass(frozen=True)
class SplitTower:
    """`head(trunk(pixels))` is what the whole tower makes of normalised pixels (N, 3, S, S)."""

    trunk: Callable[[torch.Tensor], torch.Tensor]  # (N, 3, S, S) -> (N, F)
    head: Callable[[torch.Tensor], torch.Tensor]  # (N, F) -> (N, D), not normalised
    trunk_parameters: list[nn.Parameter]
    head_parameters: list[nn.Parameter]


def split_tower(visual: Any) -> SplitTower:
    """Split an open_clip image tower before its last projection; both parts share its weights.

    Args:
        visual: A timm tower with a projection of its own, or open_clip's vision transformer.

    Raises:
        ValueError: The tower does not end in a projection that can be told apart from the rest.
    """
    if isinstance(visual, TimmModel) and list(visual.head.parameters()):
        ends = list(visual.head.parameters())
        trunk, head = visual.trunk, visual.head
    elif isinstance(visual, VisionTransformer) and isinstance(visual.proj, nn.Parameter):
        ends = [visual.proj]
        trunk, head = _without_projection(visual), lambda features_NF: features_NF @ visual.proj
    else:
        msg = (
            f"got image tower {type(visual).__name__}, expected one that ends in a projection"
            " (a timm tower with timm_proj, or a vision transformer); set distill.train: whole"
        )
        raise ValueError(msg)
    last = {id(parameter) for parameter in ends}
    others = [parameter for parameter in visual.parameters() if id(parameter) not in last]
    return SplitTower(trunk, head, others, ends)


def split_stages(visual: TimmModel, count: int) -> tuple[SplitTower, Stages]:
    """Split EfficientNet before its last stages: `head` begins with them.

    Args:
        visual: retrieval/efficientnet.py's tower.
        count: Of stages, 1 at least; what follows the last one goes with it.

    Returns:
        The tower in two parts, whose features are maps (N, C, H, W); and what makes the whole
        trunk's features (N, F) of them.
    """
    trunk, whole = visual.trunk, split_tower(visual)
    before, after = trunk.blocks[:-count], [trunk.blocks[-count:], trunk.conv_head, trunk.bn2]

    def stages(maps_NCHW: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = trunk.forward_head(nn.Sequential(*after)(maps_NCHW))
        return features

    trained = [*(one for part in after for one in part.parameters()), *whole.head_parameters]
    known = {id(parameter) for parameter in trained}
    tower = SplitTower(
        nn.Sequential(trunk.conv_stem, trunk.bn1, before),
        lambda maps_NCHW: whole.head(stages(maps_NCHW)),
        [parameter for parameter in visual.parameters() if id(parameter) not in known],
        trained,
    )
    return tower, stages


def mirrored_features(
    encoder: Encoder, tower: SplitTower, pixels_N3SS: torch.Tensor
) -> torch.Tensor:
    """The trunk's features (2, N, F) of pictures and of their mirror images, in eval mode."""
    encoder.model.eval()
    with torch.no_grad():
        views = [
            torch.cat(
                [tower.trunk(encoder.normalised(part)) for part in torch.split(view, encoder.batch)]
            )
            for view in (pixels_N3SS, pixels_N3SS.flip(-1))
        ]
    return torch.stack(views)


def _without_projection(visual: VisionTransformer) -> Callable[[torch.Tensor], torch.Tensor]:
    def trunk(pixels_N3SS: torch.Tensor) -> torch.Tensor:
        projection, visual.proj = visual.proj, None
        try:
            features: torch.Tensor = visual(pixels_N3SS)
        finally:
            visual.proj = projection
        return features

    return trunk
