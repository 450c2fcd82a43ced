"""Rankings as a training set: pictures, texts and captions of every group, ready for batches.

G groups a batch, K products a group, U distinct products of the batch, C distinct captions, D
embedding width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.paths import CAPTION_VECTORS, PERSONA_VECTORS, PRODUCTS_FILE
from retrieval.captions import number_captions
from retrieval.encoder import Encoder
from retrieval.losses import bradley_terry, caption_choice
from retrieval.vectors import read_vectors

Curves = dict[str, list[float]]  # loss -> its value at every step


@dataclass(frozen=True)
class Batch:
    """A batch of groups; every distinct product stands in it once."""

    products_U: torch.Tensor  # which of the ranked products
    place_GK: torch.Tensor  # row in U of each group's products, in the teacher's order
    personas_GD: torch.Tensor
    caption_U: torch.Tensor  # row in `Preferences.captions_CD` of each product's caption


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
        self.pixels_P3SS = encoder.read_pixels([folder / product["image"] for product in products])
        _, number_P = number_captions([product["caption"] for product in products])
        first = np.unique(number_P, return_index=True)[1]  # a product that has each caption
        captions = read_vectors(CAPTION_VECTORS).rows([ids[number] for number in first])
        self.captions_CD = torch.from_numpy(captions).to(encoder.device)
        self._caption_P = torch.from_numpy(number_P).to(encoder.device)
        personas = [row["persona_id"] for row in labelled]
        self._personas_ND = torch.from_numpy(read_vectors(PERSONA_VECTORS).rows(personas))
        self._device = encoder.device

    def __len__(self) -> int:
        """How many groups have a label."""
        return len(self._groups_NK)

    def plan(self, steps: int, size: int, seed: int) -> list[NDArray[np.intp]]:
        """Group numbers of each step: shuffled, every group once before any comes again."""
        rng = np.random.default_rng(seed)
        rounds = -(-steps * size // len(self))
        order = np.concatenate([rng.permutation(len(self)) for _ in range(rounds)])
        return [order[at : at + size] for at in range(0, steps * size, size)]

    def rows(self, groups: NDArray[np.intp]) -> Batch:
        """What one step needs of the groups, the pictures aside."""
        rows_U, place = np.unique(self._groups_NK[groups], return_inverse=True)
        return Batch(
            products_U=torch.from_numpy(rows_U),
            place_GK=torch.from_numpy(place.reshape(len(groups), -1)).to(self._device),
            personas_GD=self._personas_ND[groups].to(self._device),
            caption_U=self._caption_P[rows_U],
        )

    def pixels(self, batch: Batch) -> torch.Tensor:
        """The batch's pictures, uint8 (U, 3, S, S)."""
        return self.pixels_P3SS[batch.products_U]

    def losses(
        self, images_UD: torch.Tensor, batch: Batch, temperature: float, scale: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Bradley-Terry loss of a batch's groups, and the caption loss of its pictures.

        Args:
            images_UD: Unit vectors of the batch's products.
            batch: Of `rows`.
            temperature: tau of the Bradley-Terry loss.
            scale: Inverse temperature of the choice among captions.
        """
        scores_GK = (images_UD[batch.place_GK] * batch.personas_GD[:, None]).sum(dim=-1)
        retention = caption_choice(images_UD, self.captions_CD, batch.caption_U, scale)
        return bradley_terry(scores_GK, temperature), retention
