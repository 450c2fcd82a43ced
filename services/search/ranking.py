"""What becomes of lists of products before they are cut into pages: fusion and diversity.

N products of a list, D embedding width. A list is (product_id, score), best first.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ranked = list[tuple[str, float]]
FIRST = 200  # products of a list that are fused, or made diverse
RRF = 60  # what the reciprocal ranks are damped by, as in the paper and in Milvus


def fuse(lists: Sequence[Ranked]) -> Ranked:
    """Reciprocal rank fusion: a product's score is the sum over the lists of 1 / (60 + its rank).

    Cormack, Clarke & Büttcher, SIGIR 2009. Only ranks count, so that scores of any scale meet.
    Equal sums are in the order of the ids.
    """
    sums: dict[str, float] = {}
    for ranked in lists:
        for rank, (id_, _) in enumerate(ranked, start=1):
            sums[id_] = sums.get(id_, 0.0) + 1 / (RRF + rank)
    return sorted(sums.items(), key=lambda hit: (-hit[1], hit[0]))


def diversified(
    scores_N: NDArray[np.floating], vectors_ND: NDArray[np.float32], diversify: float, count: int
) -> list[int]:
    """The first places of a list by maximal marginal relevance, as places of the list given.

    The next is always the one with the largest (1 - diversify) * score - diversify * (its largest
    cosine with one that is placed), so a longer order goes on where a shorter one ends. Equals stay
    in the list's order. Carbonell & Goldstein, SIGIR 1998, whose lambda is 1 - diversify.

    Args:
        scores_N: The list's scores, stretched here to [0, 1], so that one strength means one thing
            for cosines, BM25 and fused ranks.
        vectors_ND: Its products' unit vectors.
        diversify: 0 leaves the order as it is.
        count: How many places are wanted, N at most.
    """
    span = float(np.ptp(scores_N)) if len(scores_N) else 0.0
    relevance_N = (scores_N - scores_N.min()) / span if span else np.ones(len(scores_N))
    nearest_N = np.zeros(len(scores_N))  # the first is the most relevant
    left_N = np.ones(len(scores_N), dtype=np.bool_)
    order: list[int] = []
    while len(order) < min(count, len(scores_N)):
        gains_N = (1 - diversify) * relevance_N - diversify * nearest_N
        place = int(np.argmax(np.where(left_N, gains_N, -np.inf)))
        cosines_N = vectors_ND @ vectors_ND[place]
        nearest_N = np.maximum(nearest_N, cosines_N) if order else cosines_N
        left_N[place] = False
        order.append(place)
    return order
