"""Rankings as a training set: groups, texts and captions, ready for batches and parts of them.

N groups, G of them in a batch, K products a group, P products, U distinct products of the batch, C
distinct captions, D embedding width.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.run.params import Distill
from pipelines.run.paths import CAPTION_VECTORS, PERSONA_VECTORS
from pipelines.training.losses import (
    bradley_terry,
    bradley_terry_sum,
    caption_choice,
    picture_choice,
    plackett_luce,
)
from retrieval.captions import number_captions
from retrieval.storage.schema import ProductRow, RankingRow
from retrieval.storage.vectors import read_vectors

LOSSES = {
    "bradley-terry": bradley_terry,
    "bradley-terry-sum": bradley_terry_sum,
    "plackett-luce": plackett_luce,
}
MOST_PICTURES = 1024  # that a step tells apart by their captions
TEXT_SCALE = 50.0  # inverse temperature of that choice; a softer one lets other pictures pass


@dataclass(frozen=True)
class Batch:
    """Groups of a step, or a part of them; every distinct product stands in it once."""

    products_U: torch.Tensor  # rows of the products table, on the CPU
    place_GK: torch.Tensor  # row in U of each group's products, in the teacher's order
    personas_GD: torch.Tensor
    caption_U: torch.Tensor  # row in `Preferences.captions_CD` of each product's caption
    retained_V: torch.Tensor  # rows in U whose captions this part answers for
    group_share: float  # 1 / groups of the whole step
    caption_share: float  # V / distinct products of the whole step


class Preferences:
    """The teacher's labels with everything that is frozen computed once."""

    def __init__(
        self,
        rankings: Sequence[RankingRow],
        products: Sequence[ProductRow],
        settings: Distill,
        device: str,
    ) -> None:
        """Read the vectors of texts and captions.

        Args:
            rankings: Rows of the rankings table; those without a label are left out.
            products: Rows of the products table; captions of products that no group ranks are no
                candidates.
            settings: The loss.
            device: Where tensors live.

        Raises:
            SystemExit: No group has a label.
        """
        labelled = [row for row in rankings if row["ranking"]]
        if not labelled:
            msg = f"got {len(rankings)} groups and no label among them; see reports/labels"
            raise SystemExit(msg)
        self._settings, self._device = settings, device
        self.products = len(products)
        row = {product["product_id"]: number for number, product in enumerate(products)}
        self._groups_NK = np.array([[row[p] for p in group["ranking"]] for group in labelled])
        personas = [group["persona_id"] for group in labelled]
        self._personas_ND = torch.from_numpy(read_vectors(PERSONA_VECTORS).rows(personas))
        self._read_captions(products)

    def _read_captions(self, products: Sequence[ProductRow]) -> None:
        ranked_R = np.unique(self._groups_NK)
        _, number_R = number_captions([products[row]["caption"] for row in ranked_R])
        first_C = ranked_R[np.unique(number_R, return_index=True)[1]]  # a product of each caption
        ids = [products[row]["product_id"] for row in first_C]
        captions_CD = torch.from_numpy(read_vectors(CAPTION_VECTORS).rows(ids))
        self.captions_CD = captions_CD.to(self._device)
        self._caption_P = np.full(len(products), -1)
        self._caption_P[ranked_R] = number_R

    def __len__(self) -> int:
        """How many groups have a label."""
        return len(self._groups_NK)

    def plan(self, steps: int, size: int, seed: int) -> list[NDArray[np.intp]]:
        """Group numbers of each step: shuffled, every group once before any comes again."""
        rng = np.random.default_rng(seed)
        rounds = -(-steps * size // len(self))
        order = np.concatenate([rng.permutation(len(self)) for _ in range(rounds)])
        return [order[at : at + size] for at in range(0, steps * size, size)]

    def parts(self, groups: NDArray[np.intp], count: int) -> list[Batch]:
        """The groups of a step in so many parts (fewer where there are fewer groups).

        The losses of the parts add up to that of the whole: a product of several parts is retained
        in the first.
        """
        total_U = np.unique(self._groups_NK[groups])
        seen = np.array([], dtype=np.intp)
        batches = []
        for part in np.array_split(groups, min(count, len(groups))):
            rows_U, place = np.unique(self._groups_NK[part], return_inverse=True)
            new_V = np.flatnonzero(~np.isin(rows_U, seen))
            seen = np.union1d(seen, rows_U)
            batch = Batch(
                products_U=torch.from_numpy(rows_U),
                place_GK=torch.from_numpy(place.reshape(len(part), -1)).to(self._device),
                personas_GD=self._personas_ND[part].to(self._device),
                caption_U=torch.from_numpy(self._caption_P[rows_U]).to(self._device),
                retained_V=torch.from_numpy(new_V).to(self._device),
                group_share=1 / len(groups),
                caption_share=len(new_V) / len(total_U),
            )
            batches.append(batch)
        return batches

    def losses(
        self, images_UD: torch.Tensor, batch: Batch, tau: float, scale: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """A part's share in the step's loss on the teacher's orders, and in that on captions.

        Args:
            images_UD: Unit vectors of the batch's products.
            batch: Of `parts`.
            tau: Temperature of the loss on orders.
            scale: Inverse temperature of the choice among captions.
        """
        scores_GK = (images_UD[batch.place_GK] * batch.personas_GD[:, None]).sum(dim=-1)
        loss_G = LOSSES[self._settings.loss](scores_GK, tau)
        preference = loss_G.sum() * batch.group_share
        if not len(batch.retained_V):
            return preference, torch.zeros_like(preference)
        own_VD, right_V = images_UD[batch.retained_V], batch.caption_U[batch.retained_V]
        retention = caption_choice(own_VD, self.captions_CD, right_V, scale)
        return preference, retention * batch.caption_share

    def draw_pictures(self, rng: np.random.Generator) -> NDArray[np.intp]:
        """Rows of ranked products, among which captions find their own: all, or 1,024 of them."""
        ranked_R = np.flatnonzero(self._caption_P >= 0)
        return np.sort(rng.permutation(ranked_R)[:MOST_PICTURES])

    def text_retention(
        self, images_ND: torch.Tensor, rows_N: NDArray[np.intp], part: int, parts: int
    ) -> torch.Tensor:
        """A part's share in the loss on finding pictures by their captions; it has some of those.

        Args:
            images_ND: Unit vectors of the products of `rows_N`, which is of `draw_pictures`.
            rows_N: Rows of the products table.
            part: In [0, parts).
            parts: How many shares add up to the whole, the mean over the pictures' captions.
        """
        shown_C, right_N = np.unique(self._caption_P[rows_N], return_inverse=True)
        right = torch.from_numpy(right_N).to(self._device)
        own_CD = self.captions_CD[torch.from_numpy(shown_C[part::parts]).to(self._device)]
        renumbered = torch.where(right % parts == part, right // parts, -1)
        losses = picture_choice(images_ND, own_CD, renumbered, TEXT_SCALE)
        return losses.sum() / len(shown_C)
