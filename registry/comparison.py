"""Candidate against champion: both answer what held-out personas want, from the same pictures.

Q queries, C candidates, D width.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from registry.bundle import Bundle, HeldOutQuery, Product
from retrieval.metrics import bootstrap_interval, percentile, rank_of

SAMPLES = 2_000  # of the bootstrap
SEED = 0


@dataclass(frozen=True)
class Comparison:
    """Mean percentiles of the teacher's winner, and the interval of their difference."""

    queries: int
    candidate: float
    champion: float
    interval: tuple[float, float]  # 95 %, of candidate - champion, over personas

    @property
    def is_worse(self) -> bool:
        """Whether the candidate is below the champion by more than chance explains."""
        return self.interval[1] < 0

    def summary(self) -> str:
        """For people."""
        low, high = (f"{100 * bound:+.1f}" for bound in self.interval)
        return (
            f"on the candidate's {self.queries} held-out personas: candidate"
            f" {100 * self.candidate:.1f} %, champion {100 * self.champion:.1f} %"
            f" (difference {low} to {high} points)"
        )


def compare(candidate: Bundle, champion: Bundle) -> Comparison:
    """Both on the candidate's queries and held-out products, by the published percentile.

    What the champion has no vector of, its model sees as the candidate's thumbnail.

    Raises:
        ValueError: The candidate brings no queries, or a model is damaged.
    """
    queries = candidate.read_queries()
    products = [product for product in candidate.read_products() if product.split == "test"]
    if not queries or len(products) < 2:
        msg = (
            f"got {len(queries)} queries over {len(products)} held-out products, expected some and"
            " 2 at least; run `make repro` again"
        )
        raise ValueError(msg)
    ours_Q, theirs_Q = (_percentiles(bundle, queries, products) for bundle in (candidate, champion))
    low, high = bootstrap_interval(ours_Q - theirs_Q, SAMPLES, SEED)
    return Comparison(len(queries), float(ours_Q.mean()), float(theirs_Q.mean()), (low, high))


def _percentiles(
    bundle: Bundle, queries: Sequence[HeldOutQuery], products: Sequence[Product]
) -> NDArray[np.float64]:
    encoder = bundle.load_encoder()
    known = {product.product_id: product.image_sha256 for product in bundle.read_products()}
    missing = [p for p in products if known.get(p.product_id) != p.image_sha256]
    vectors = bundle.read_vectors("student")
    rows = dict(zip(vectors.ids, vectors.vectors, strict=True))
    with tempfile.TemporaryDirectory(prefix="kindred.") as folder:
        paths = [Path(folder) / f"{number}.jpg" for number in range(len(missing))]
        for path, product in zip(paths, missing, strict=True):
            path.write_bytes(product.thumbnail)
        if missing:
            seen_MD = encoder.encode_pixels(encoder.read_pixels(paths))
            rows |= {p.product_id: row_D for p, row_D in zip(missing, seen_MD, strict=True)}
    candidates_CD = np.stack([rows[product.product_id] for product in products])
    queries_QD = encoder.encode_texts([query.text for query in queries])
    position = {product.product_id: row for row, product in enumerate(products)}
    target_Q = np.array([position[query.winner] for query in queries])
    return percentile(rank_of(queries_QD @ candidates_CD.T, target_Q), len(products))
