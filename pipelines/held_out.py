"""Held-out personas with their tournaments' winners, and how high a model ranks those."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.paths import (
    PERSONA_VECTORS,
    PERSONAS_FILE,
    PRODUCTS_FILE,
    TOURNAMENTS_FILE,
    product_vectors,
)
from retrieval.metrics import percentile, rank_of
from retrieval.schema import PERSONAS, PRODUCTS, TOURNAMENTS, read_rows
from retrieval.vectors import read_vectors


@dataclass(frozen=True)
class HeldOut:
    """A split's Q personas that had a tournament, its C products, and who won."""

    personas: list[dict[str, Any]]
    products: list[dict[str, Any]]
    winner_Q: NDArray[np.intp]  # column of each persona's winner

    @property
    def product_ids(self) -> list[str]:
        """The ids of the C products, in order."""
        return [product["product_id"] for product in self.products]

    def persona_vectors(self) -> NDArray[np.float32]:
        """Text vectors (Q, D); the text tower is the same for every model."""
        ids = [persona["persona_id"] for persona in self.personas]
        return read_vectors(PERSONA_VECTORS).rows(ids)

    def scores(self, model: str) -> NDArray[np.float32]:
        """A model's scores (Q, C), from the vectors that it left on disk."""
        images_CD = read_vectors(product_vectors(model)).rows(self.product_ids)
        return np.asarray(self.persona_vectors() @ images_CD.T)

    def percentiles(self, scores_QC: NDArray[np.floating]) -> NDArray[np.float64]:
        """The winners' percentiles (Q,) under some scores."""
        return percentile(rank_of(scores_QC, self.winner_Q), len(self.products))


def read_held_out(split: str) -> HeldOut:
    """Read a split's tournaments. Raises as `read_rows`."""
    products = [row for row in read_rows(PRODUCTS_FILE, PRODUCTS) if row["split"] == split]
    personas = {row["persona_id"]: row for row in read_rows(PERSONAS_FILE, PERSONAS)}
    held = [row for row in read_rows(TOURNAMENTS_FILE, TOURNAMENTS) if row["split"] == split]
    column = {product["product_id"]: i for i, product in enumerate(products)}
    winners = np.array([column[row["winner"]] for row in held], dtype=np.intp)
    return HeldOut([personas[row["persona_id"]] for row in held], products, winners)
