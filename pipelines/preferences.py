"""Rankings as a training set: pictures, texts and captions of every group, ready for batches.

G groups a batch, K products a group, U distinct products of the batch, D embedding width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.paths import CAPTION_VECTORS, PERSONA_VECTORS, PRODUCTS_FILE
from retrieval.captions import equal_captions
from retrieval.encoder import Encoder
from retrieval.vectors import read_vectors


@dataclass(frozen=True)
class Batch:
    """A batch of groups; every distinct product is encoded once."""

    pixels_U3SS: torch.Tensor
    place_GK: torch.Tensor  # row in U of each group's products, in the teacher's order
    personas_GD: torch.Tensor
    captions_UD: torch.Tensor
    same_caption_UU: torch.Tensor


class Preferences:
    """The teacher's labels with everything that is frozen computed once."""

    def __init__(
        self,
        encoder: Encoder,
        rankings: Sequence[dict[str, Any]],
        products: Sequence[dict[str, Any]],
    ) -> None:
        """Read the pictures of the ranked products, and the vectors of texts and captions.

        Args:
            encoder: Decides how pictures are read, and where tensors live.
            rankings: Rows of the rankings table; those without a label are left out.
            products: Rows of the products table; products that no group ranks are left out.

        Raises:
            SystemExit: No group has a label.
        """
        labelled = [row for row in rankings if row["ranking"]]
        if not labelled:
            msg = f"got {len(rankings)} groups and no label among them; see reports/labels"
            raise SystemExit(msg)
        ranked = {product for row in labelled for product in row["ranking"]}
        products = [product for product in products if product["product_id"] in ranked]
        ids = [product["product_id"] for product in products]
        column = {product_id: number for number, product_id in enumerate(ids)}
        self._groups_NK = np.array([[column[p] for p in row["ranking"]] for row in labelled])
        folder = PRODUCTS_FILE.parent
        self._pixels = encoder.read_pixels([folder / product["image"] for product in products])
        self._same = torch.from_numpy(equal_captions([product["caption"] for product in products]))
        personas = [row["persona_id"] for row in labelled]
        self._personas_ND = torch.from_numpy(read_vectors(PERSONA_VECTORS).rows(personas))
        self._captions_PD = torch.from_numpy(read_vectors(CAPTION_VECTORS).rows(ids))
        self._device = encoder.device

    def __len__(self) -> int:
        """How many groups have a label."""
        return len(self._groups_NK)

    def plan(self, epochs: int, size: int, seed: int) -> list[NDArray[np.intp]]:
        """Group numbers of each step: every epoch goes through all groups once, shuffled."""
        rng = np.random.default_rng(seed)
        orders = [rng.permutation(len(self)) for _ in range(epochs)]
        return [order[at : at + size] for order in orders for at in range(0, len(self), size)]

    def batch(self, groups: NDArray[np.intp]) -> Batch:
        """What one step needs."""
        rows_U, place = np.unique(self._groups_NK[groups], return_inverse=True)
        return Batch(
            pixels_U3SS=self._pixels[rows_U],
            place_GK=torch.from_numpy(place.reshape(len(groups), -1)).to(self._device),
            personas_GD=self._personas_ND[groups].to(self._device),
            captions_UD=self._captions_PD[rows_U].to(self._device),
            same_caption_UU=self._same[rows_U][:, rows_U].to(self._device),
        )
