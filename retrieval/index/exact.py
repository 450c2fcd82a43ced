"""Exact search over unit vectors: the reference that any other index is held to."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class ExactIndex:
    """Inner-product search that misses nothing. N items, D width, Q queries."""

    def __init__(self, ids: Sequence[str], vectors_ND: NDArray[np.float32]) -> None:
        """Keep the items.

        Raises:
            ValueError: Ids and vectors differ in number.
        """
        if len(ids) != len(vectors_ND):
            msg = f"got {len(ids)} ids for {len(vectors_ND)} vectors, expected as many"
            raise ValueError(msg)
        self._ids = list(ids)
        self._vectors_ND = vectors_ND

    def search(self, queries_QD: NDArray[np.float32], k: int) -> list[list[tuple[str, float]]]:
        """The k items of highest inner product for each query, best first, ties in item order.

        Raises:
            ValueError: k is below 1, or the width is not the index's.
        """
        if k < 1:
            msg = f"got k = {k}, expected 1 at least"
            raise ValueError(msg)
        if queries_QD.ndim != 2 or queries_QD.shape[1] != self._vectors_ND.shape[1]:
            msg = (
                f"got queries of shape {queries_QD.shape},"
                f" expected (queries, {self._vectors_ND.shape[1]})"
            )
            raise ValueError(msg)
        scores_QN = queries_QD @ self._vectors_ND.T
        order_QK = np.argsort(-scores_QN, axis=1, kind="stable")[:, :k]
        return [
            [(self._ids[item], float(scores[item])) for item in order]
            for scores, order in zip(scores_QN, order_QK, strict=True)
        ]
