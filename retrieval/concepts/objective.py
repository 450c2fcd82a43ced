"""The objective of many concepts as one padded tensor program, and the steps down it.

A step computes the updates' share of the last attention's output (exact: see `text/layers.py`), the
rest of the layer for the rows that are pooled, and gradients for A and B alone.

C concepts, P prompts each at most, T prompts in all, L tokens, d width of the tower, D of the
embedding, H heads, Q pooled rows a prompt at most, N of them in all, R rank.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from retrieval.text.tower import Prefix, TextTower, Updates, shift


@dataclass(frozen=True)
class Data:
    """What concepts are learned from: prompts as numbers of distinct texts, padded."""

    prefix: Prefix  # of the distinct texts
    text_CP: torch.Tensor
    valid_CP: torch.Tensor
    target_CPD: torch.Tensor

    def of(self, concepts: torch.Tensor) -> "Data":
        """Some of the concepts."""
        return replace(
            self,
            text_CP=self.text_CP[concepts],
            valid_CP=self.valid_CP[concepts],
            target_CPD=self.target_CPD[concepts],
        )


class Objective:
    """The loss of each concept as a function of its A and B."""

    def __init__(self, tower: TextTower, data: Data, l2: float) -> None:
        """Gather what is constant while A and B change.

        Args:
            tower: The text tower.
            data: What to learn from.
            l2: lambda.
        """
        self._tower, self._l2 = tower, l2
        prefix, valid_CP = data.prefix, data.valid_CP
        weights_BQHL = prefix.weights_BQHL
        queries = weights_BQHL.shape[1]
        inputs_CPLd, weights_CPQHL = prefix.inputs_BLd[data.text_CP], weights_BQHL[data.text_CP]
        if queries == 1:  # then what each head reads is about as small as what it is of
            inputs_CPLd = weights_CPQHL.flatten(2, 3) @ inputs_CPLd
        self._inputs_CXd = inputs_CPLd.flatten(1, 2)
        self._weights_CPQHL = None if queries == 1 else weights_CPQHL
        # Of the C * P * Q rows, those that are pooled; and where the prefix has them.
        place_BQ = torch.full((len(prefix) * queries,), -1, device=valid_CP.device)
        picked_N = prefix.picked_N
        here = slice(None) if picked_N is None else picked_N
        place_BQ[here] = torch.arange(len(prefix.rows_Nd), device=valid_CP.device)
        place_CPQ = place_BQ.view(-1, queries)[data.text_CP].masked_fill(~valid_CP[..., None], -1)
        self._picked_N = (place_CPQ.flatten() >= 0).nonzero()[:, 0]
        place_N = place_CPQ.flatten()[self._picked_N]
        self._rows_Nd, self._residual_Nd = prefix.rows_Nd[place_N], prefix.residual_Nd[place_N]
        number_CP = (valid_CP.flatten().cumsum(0) - 1).view_as(valid_CP)
        self._owner_N = (
            None if prefix.owner_N is None else number_CP.flatten()[self._picked_N // queries]
        )
        self._concept_T = valid_CP.nonzero()[:, 0]
        self._target_TD = data.target_CPD[valid_CP]

    def __call__(self, a_CRd: torch.Tensor, b_CRd: torch.Tensor) -> torch.Tensor:
        """`losses.concept_fit` of each concept (C,), A's rows renormalised as the paper does."""
        unit_CRd = a_CRd / a_CRd.norm(dim=-1, keepdim=True)
        shift_CXd = shift(
            self._tower.layer, self._inputs_CXd, self._weights_CPQHL, Updates(unit_CRd, b_CRd)
        )
        rows_Nd = self._rows_Nd + shift_CXd.flatten(0, 1)[self._picked_N]
        texts_TD = self._tower.embed(
            rows_Nd, self._residual_Nd, self._owner_N, len(self._concept_T)
        )
        return concept_fits(texts_TD, self._target_TD, self._concept_T, b_CRd, self._l2)


def concept_fit(
    texts_BD: torch.Tensor, images_BD: torch.Tensor, b_D: torch.Tensor, l2: float
) -> torch.Tensor:
    """The objective of a personal concept: mean squared distance plus lambda * mean(B^2).

    arXiv 2506.10182: mean((normalise(g_text(prompt)) - img)^2) + lambda * mean(B^2).

    Args:
        texts_BD: Unit text vectors of the prompts, one per photo.
        images_BD: Unit image vectors of the photos.
        b_D: The update's output vector B, in any shape.
        l2: lambda, at least 0.
    """
    only_B = torch.zeros(len(texts_BD), dtype=torch.int64, device=texts_BD.device)
    return concept_fits(texts_BD, images_BD, only_B, b_D[None], l2)[0]


def concept_fits(
    texts_BD: torch.Tensor,
    images_BD: torch.Tensor,
    concept_B: torch.Tensor,
    b_CX: torch.Tensor,
    l2: float,
) -> torch.Tensor:
    """`concept_fit` of C concepts at once, (C,).

    Args:
        texts_BD: As in `concept_fit`, of all concepts.
        images_BD: Likewise.
        concept_B: Which concept each belongs to, in [0, C); each has one at least.
        b_CX: Each concept's B.
        l2: lambda, at least 0.
    """
    distance_B = (texts_BD - images_BD).square().mean(dim=-1)
    sums_C = distance_B.new_zeros(len(b_CX)).index_add(0, concept_B, distance_B)
    penalty_C = b_CX.flatten(1).square().mean(dim=1)
    return sums_C / concept_B.bincount(minlength=len(b_CX)) + l2 * penalty_C


class Adam:
    """Adam (arXiv 1412.6980) with torch's defaults; concepts are rows and can leave."""

    def __init__(self, parameters: Sequence[torch.Tensor], learning_rate: float) -> None:
        """Start at `parameters`, which are changed in place."""
        self._rate, self._steps = learning_rate, 0
        self.state = [(x, torch.zeros_like(x), torch.zeros_like(x)) for x in parameters]

    def step(self, gradients: Sequence[torch.Tensor]) -> None:
        """One step down."""
        self._steps += 1
        first, second = 1 - 0.9**self._steps, 1 - 0.999**self._steps
        for (x, mean, square), gradient in zip(self.state, gradients, strict=True):
            mean.lerp_(gradient, 0.1)
            square.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
            x.addcdiv_(mean, (square.sqrt() / second**0.5).add_(1e-8), value=-self._rate / first)

    def keep(self, rows: torch.Tensor) -> None:
        """Go on with some of the concepts, in copies."""
        self.state = [(x[rows], mean[rows], square[rows]) for x, mean, square in self.state]
