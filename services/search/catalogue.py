"""The catalogue's vectors in memory, for what is not searched for. N products, D width."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from retrieval.storage.vectors import Vectors


class Catalogue:
    """Vectors by product id."""

    def __init__(self, vectors: Vectors) -> None:
        """Remember where each product's is."""
        self.vectors_ND = vectors.vectors
        self._row = {id_: row for row, id_ in enumerate(vectors.ids)}

    def rows(self, ids: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors in the ids' order, as many rows."""
        rows_ND: NDArray[np.float32] = self.vectors_ND[[self._row[id_] for id_ in ids]]
        return rows_ND
