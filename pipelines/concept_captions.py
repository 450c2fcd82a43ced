"""What literal search loses to a concept, on products that no reported number sees.

The captions are those of the validation split; they are searched for among as many products as the
test split has, filled up with training products. The model knows those well: they are nearer to
captions than unseen pictures are, so that more is lost here than on the test split.
M captions, N products, D embedding width.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.paths import PRODUCTS_FILE, product_vectors
from retrieval.concepts import Concept, finish_with
from retrieval.metrics import first_hit_rank, recall_at
from retrieval.schema import PRODUCTS, read_rows
from retrieval.text_tower import Prefix, TextTower
from retrieval.vectors import read_vectors

MOST = 300  # captions, to keep a trial short


@dataclass(frozen=True)
class Captions:
    """Captions, prepared, and the products among which they are searched for."""

    prefix_M: Prefix
    images_ND: NDArray[np.float32]
    hits_MN: NDArray[np.bool_]

    def drop(self, tower: TextTower, concepts: Sequence[Concept]) -> float:
        """Recall@10 without a concept minus with one switched on, averaged over concepts."""
        adapted = [self._recall(tower, [concept]) for concept in concepts]
        return self._recall(tower, []) - float(np.mean(adapted))

    def _recall(self, tower: TextTower, switched_on: list[Concept]) -> float:
        texts_MD = finish_with(tower, self.prefix_M, switched_on)
        return recall_at(first_hit_rank(texts_MD @ self.images_ND.T, self.hits_MN), 10)


def validation_captions(tower: TextTower) -> Captions:
    """Captions of the validation split; of the training split where there are none."""
    products = read_rows(PRODUCTS_FILE, PRODUCTS)
    by_split = {
        split: [row for row in products if row["split"] == split]
        for split in ("train", "val", "test")
    }
    asked = (by_split["val"] or by_split["train"])[:MOST]
    pool = [*by_split["val"], *by_split["train"]][: max(len(by_split["test"]), len(asked))]
    captions_M = np.array([row["caption"] for row in asked])
    captions_N = np.array([row["caption"] for row in pool])
    images_ND = read_vectors(product_vectors("best")).rows([row["product_id"] for row in pool])
    hits_MN = captions_M[:, None] == captions_N
    return Captions(tower.prefix(list(captions_M)), images_ND, hits_MN)
