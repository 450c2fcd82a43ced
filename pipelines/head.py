"""The first part of a cycle's training: the image tower's head alone, on cached features.

With the trunk fixed, its features are computed once, and an epoch over thousands of groups takes
seconds. The whole tower trains on from there: that distorts its features less than training both
at once (arXiv 2202.10054).
"""

import numpy as np
import torch
import torch.nn.functional as F

from pipelines.params import Distill
from pipelines.preferences import Curves, Preferences
from pipelines.training import Loop, train
from retrieval.encoder import Encoder
from retrieval.image_tower import mirrored_features, split_tower

BATCH_GROUPS = 64


def fit_head(encoder: Encoder, preferences: Preferences, settings: Distill, seed: int) -> Curves:
    """Train the head; returns the curves of both losses, a value a step.

    Raises:
        ValueError: The image tower does not end in a projection of its own.
    """
    curves: Curves = {"preference": [], "retention": []}
    steps = -(-settings.head_epochs * len(preferences) // BATCH_GROUPS)
    if not steps:
        return curves
    tower = split_tower(encoder.model.visual)
    features_2PF = mirrored_features(encoder, tower, preferences.pixels_P3SS)
    plan = preferences.plan(steps, BATCH_GROUPS, seed)
    rng = np.random.default_rng(seed)

    def loss_of_step(step: int) -> torch.Tensor:
        batch = preferences.rows(plan[step])
        mirrored_U = rng.integers(2, size=len(batch.products_U))
        features_UF = features_2PF[mirrored_U, batch.products_U]
        images_UD = F.normalize(tower.head(features_UF).float(), dim=-1)
        preference, retention = preferences.losses(
            images_UD, batch, settings.temperature, encoder.model.logit_scale.exp()
        )
        curves["preference"].append(preference.item())
        curves["retention"].append(retention.item())
        return preference + settings.retention_weight * retention

    for parameter in tower.head_parameters:
        parameter.requires_grad = True
    rate = settings.head_learning_rate
    loop = Loop(steps, rate, settings.grad_clip, "fp32", encoder.device, "head")
    train(tower.head_parameters, loss_of_step, loop)
    encoder.model.requires_grad_(requires_grad=False)
    return curves
