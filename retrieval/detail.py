"""An image tower that keeps what captions do not say: which of two red mugs this one is.

A head that learns from captions alone maps all red mugs to one place; a concept that somebody
teaches from photos of their own mug would find every other one too. So the tower adds a residual,
    v = norm(head(f)) + beta * norm(Q P (f - mu)),
f the trunk's features, Q P as pipelines/training/detail.py finds it. Each norm is that of its own
picture, so this is no linear map of the features. Then comes open_clip's linear projection, the
identity at first: it is what distillation trains.

open_clip has no such tower. To timm, through which open_clip builds it, it is one more model, which
`register_detail` makes known. So open_clip alone refuses such a model folder by the tower's name,
and does not read it wrongly.

N pictures, S picture side, F width of the features, D embedding width.
"""

from typing import Any

import timm
import torch
import torch.nn.functional as F
from open_clip.timm_model import TimmModel
from torch import nn

from retrieval.efficientnet import DETAIL_NAME, TIMM_NAME

WIDTH = 384  # D: all-MiniLM-L6-v2's


class DetailTower(nn.Module):
    """EfficientNet-Lite0, the head that learned from captions, and the residual."""

    mean_F: torch.Tensor
    detail_DF: torch.Tensor
    beta: torch.Tensor

    def __init__(self) -> None:
        """Untrained, and without a residual."""
        super().__init__()
        plain = TimmModel(TIMM_NAME, WIDTH, proj="mlp")
        self.trunk, self.head, self.num_features = plain.trunk, plain.head, WIDTH
        self.default_cfg: dict[str, Any] = {}  # timm's form of a model
        self.register_buffer("mean_F", torch.zeros(plain.trunk.num_features))
        self.register_buffer("detail_DF", torch.zeros(WIDTH, plain.trunk.num_features))
        self.register_buffer("beta", torch.zeros(()))

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Part of timm's form of a model; there is no classifier."""

    def forward(self, pixels_N3SS: torch.Tensor) -> torch.Tensor:
        """Normalised pixels -> (N, D), not normalised."""
        return self.combine(self.trunk(pixels_N3SS))

    def combine(self, features_NF: torch.Tensor) -> torch.Tensor:
        """What the trunk's features become: (..., F) -> (..., D), not normalised."""
        said_ND = F.normalize(self.head(features_NF), dim=-1)
        unsaid_ND = F.normalize((features_NF - self.mean_F) @ self.detail_DF.T, dim=-1)
        return said_ND + self.beta * unsaid_ND


def tf_efficientnet_lite0_detail(**_: Any) -> DetailTower:
    """What timm calls; the weights come with a model folder."""
    return DetailTower()


def register_detail() -> None:
    """Let timm, and so open_clip, know the tower by its name."""
    if not timm.is_model(DETAIL_NAME):
        timm.models.register_model(tf_efficientnet_lite0_detail)
