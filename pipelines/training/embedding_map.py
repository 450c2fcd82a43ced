"""A low-rank map of the embedding space, to train in place of an image tower's weights.

g(u) = normalise(v + P Q v), v the base model's unit vector of a picture or of its caption: both
lie in one space, so what is learned from the one holds for the other. Weight decay on P and Q
penalises the nuclear norm of their product (Srebro et al. 2004), which needs few labels where
preferences have few causes. In the end it is folded into the tower's last projection, which it
follows.

Texts have a direction c in common. What a map adds along it is the same for whoever asks: it makes
kinds of product popular, and what was in no group falls behind them. So P is used as P - c c^T P.

A wish that no training text was like lies partly outside the directions that those texts span.
What a map adds there was learned from nobody, so it can be held to them: P becomes b U U^T P, U the
first principal directions of the training texts and b a blend.

N vectors, T texts, D embedding width, r rank, K directions.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from open_clip.timm_model import TimmModel
from torch import nn

START = 0.05  # standard deviation of the factors at first


class EmbeddingMap(nn.Module):
    """v + P Q v, normalised; P is zero at first, so that nothing changes."""

    shared_D: torch.Tensor

    def __init__(self, shared_D: torch.Tensor, rank: int, device: str) -> None:
        """Q at random, the same in every process and run; P zero.

        Args:
            shared_D: What texts have in common, their mean; of any length, and 0 restricts nothing.
            rank: r, above 0.
            device: Where the factors live.
        """
        super().__init__()
        width = len(shared_D)
        self.register_buffer("shared_D", F.normalize(shared_D, dim=0).to(device))
        drawn = torch.randn(rank, width, generator=torch.Generator().manual_seed(0))
        self.map_down = nn.Parameter((START * drawn).to(device))
        self.map_up = nn.Parameter(torch.zeros(width, rank, device=device))

    def up_DR(self) -> torch.Tensor:
        """P without what it would add for everybody."""
        return self.map_up - torch.outer(self.shared_D, self.shared_D @ self.map_up)

    def forward(self, vectors_ND: torch.Tensor) -> torch.Tensor:
        """Unit vectors (N, D) of unit vectors (N, D)."""
        moved_ND = vectors_ND + vectors_ND @ self.map_down.T @ self.up_DR().T
        return F.normalize(moved_ND, dim=-1)

    def held_back(self, span_KD: torch.Tensor | None, blend: float) -> torch.Tensor:
        """P (D, r), its columns within `span_KD` (None: anywhere), times `blend` in [0, 1]."""
        up_DR = self.up_DR()
        return blend * (up_DR if span_KD is None else span_KD.T @ (span_KD @ up_DR))

    def fold(self, visual: Any) -> None:
        """Put the map into the last projection of the tower that it follows.

        Raises:
            ValueError: The tower does not end in a linear projection without a bias.
        """
        weight_DF = last_projection(visual)
        with torch.no_grad():
            weight_DF += self.up_DR() @ (self.map_down @ weight_DF)


def spanned(texts_TD: NDArray[np.floating[Any]], share: float) -> NDArray[np.float32]:
    """The first principal directions (K, D) of texts: as many as hold a share of their variance.

    Args:
        texts_TD: Text vectors; their mean is taken off.
        share: In (0, 1]; 1 gives all directions in which the texts vary.
    """
    centred_TD = texts_TD - texts_TD.mean(axis=0)
    _, deviations_D, directions_DD = np.linalg.svd(centred_TD, full_matrices=False)
    held_D = np.cumsum(deviations_D**2) / np.sum(deviations_D**2)
    count = int(np.searchsorted(held_D, share - 1e-9)) + 1
    return np.asarray(directions_DD[:count], dtype=np.float32)


def last_projection(visual: Any) -> torch.Tensor:
    """The weights (D, F) that a tower ends with, to be changed in place.

    Raises:
        ValueError: The tower does not end in a linear projection without a bias.
    """
    if isinstance(getattr(visual, "proj", None), nn.Parameter):
        transposed: torch.Tensor = visual.proj.data.T
        return transposed
    layers = [module for module in visual.modules() if isinstance(module, nn.Linear)]
    if isinstance(visual, TimmModel) and len(visual.head) and layers and layers[-1].bias is None:
        return layers[-1].weight.data
    msg = (
        f"got image tower {type(visual).__name__}, expected one that ends in a linear projection"
        " without a bias, for distill.train: map; use head or whole"
    )
    raise ValueError(msg)
