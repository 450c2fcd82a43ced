"""The first part of a cycle's training: a linear map after the image tower, on cached features.

With the tower fixed, its features are computed once, and an epoch over thousands of groups takes
seconds. The map is then folded into the tower's own last projection, and the whole tower trains on
from there: that distorts its features less than training both at once (arXiv 2202.10054).
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from pipelines.params import Distill
from pipelines.preferences import Preferences
from pipelines.stage import progress
from retrieval.encoder import Encoder
from retrieval.losses import bradley_terry, caption_choice

BATCH_GROUPS = 64


def fit_projection(
    encoder: Encoder, preferences: Preferences, settings: Distill, seed: int
) -> list[float]:
    """Learn the map and fold it in; returns the preference loss of every step.

    Raises:
        ValueError: The image tower does not end with a linear projection.
    """
    features_PD = preferences.features(encoder)
    steps = -(-settings.projection_epochs * len(preferences) // BATCH_GROUPS)
    if not steps:
        return []
    rate = settings.projection_learning_rate
    map_DD = torch.eye(encoder.width, device=encoder.device, requires_grad=True)
    optimizer = torch.optim.AdamW([map_DD], lr=rate, weight_decay=0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    scale = encoder.model.logit_scale.exp()
    losses: list[float] = []
    for groups in progress(preferences.plan(steps, BATCH_GROUPS, seed), "projection"):
        batch = preferences.rows(groups)
        images_UD = F.normalize(features_PD[batch.products_U] @ map_DD.T, dim=-1)
        scores_GK = (images_UD[batch.place_GK] * batch.personas_GD[:, None]).sum(dim=-1)
        preference = bradley_terry(scores_GK, settings.temperature)
        retention = caption_choice(images_UD, preferences.captions_CD, batch.caption_U, scale)
        optimizer.zero_grad()
        torch.autograd.backward(preference + settings.retention_weight * retention)
        optimizer.step()
        schedule.step()
        losses.append(preference.item())
    fold(encoder.model.visual, map_DD.detach())
    return losses


def fold(visual: Any, map_DD: torch.Tensor) -> None:
    """Multiply the tower's last projection by the map: features f become map f.

    Raises:
        ValueError: The tower does not end with a linear projection.
    """
    head = getattr(getattr(visual, "head", None), "proj", None)
    if isinstance(head, nn.Linear):
        head.weight.data = map_DD @ head.weight.data
        if head.bias is not None:
            head.bias.data = map_DD @ head.bias.data
    elif isinstance(getattr(visual, "proj", None), nn.Parameter):  # open_clip's ViT: x @ proj
        visual.proj.data = visual.proj.data @ map_DD.T
    else:
        msg = (
            f"got image tower {type(visual).__name__}, expected one that ends with a linear"
            " projection; set distill.projection_epochs: 0"
        )
        raise ValueError(msg)
