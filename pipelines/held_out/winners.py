"""Held-out personas with what their teacher chose, and how high a model ranks that.

Q personas, C products, D embedding width.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipelines.run.paths import (
    PARAPHRASE_VECTORS,
    PERSONA_VECTORS,
    PERSONAS_FILE,
    PRODUCTS_FILE,
    TOURNAMENTS_FILE,
    product_vectors,
)
from retrieval.metrics import percentile, rank_of
from retrieval.storage.schema import (
    PERSONAS,
    PRODUCTS,
    TOURNAMENTS,
    PersonaRow,
    ProductRow,
    read_rows,
)
from retrieval.storage.vectors import read_vectors

Columns = NDArray[np.intp]  # of products, best first
Value = TypeVar("Value")

# wording -> the personas' column, and its vectors
WORDINGS: dict[str, tuple[Literal["text", "paraphrase"], Path]] = {
    "original": ("text", PERSONA_VECTORS),
    "paraphrased": ("paraphrase", PARAPHRASE_VECTORS),
}


@dataclass(frozen=True)
class HeldOut:
    """A split's Q personas that had a tournament, its C products, and who won.

    `finalists_Q`, `groups_Q` and `slices_Q` may be left out: nothing is then said of them.
    """

    personas: list[PersonaRow]
    products: list[ProductRow]
    winner_Q: NDArray[np.intp]  # column of each persona's winner
    finalists_Q: Sequence[Columns] = ()
    groups_Q: Sequence[Sequence[Columns]] = ()  # groups that the teacher ranked
    slices_Q: Sequence[Mapping[str, str]] = ()  # slice -> value
    wording: str = "original"

    @property
    def product_ids(self) -> list[str]:
        """The ids of the C products, in order."""
        return [product["product_id"] for product in self.products]

    @property
    def texts(self) -> list[str]:
        """What the Q personas say, in their wording."""
        return [persona[WORDINGS[self.wording][0]] for persona in self.personas]

    def only(self, rows: Sequence[int]) -> "HeldOut":
        """Some of the personas, over the same products."""

        def pick(values: Sequence[Value]) -> list[Value]:
            return [values[row] for row in rows] if len(values) else []

        return replace(
            self,
            personas=pick(self.personas),
            winner_Q=self.winner_Q[list(rows)],
            finalists_Q=pick(self.finalists_Q),
            groups_Q=pick(self.groups_Q),
            slices_Q=pick(self.slices_Q),
        )

    def paraphrased(self) -> "HeldOut":
        """Those who have a paraphrase, in it; what they want is the same."""
        rows = [row for row, persona in enumerate(self.personas) if persona["paraphrase"]]
        return replace(self.only(rows), wording="paraphrased")

    def persona_vectors(self) -> NDArray[np.float32]:
        """Text vectors (Q, D); the text tower is the same for every model."""
        ids = [persona["persona_id"] for persona in self.personas]
        return read_vectors(WORDINGS[self.wording][1]).rows(ids)

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
    finalists = [np.array([column[p] for p in row["finalists"]], dtype=np.intp) for row in held]
    return HeldOut([personas[row["persona_id"]] for row in held], products, winners, finalists)
