"""Candidate against champion: both answer what held-out personas want, from the same pictures.

Q queries, C candidates, D width.
"""

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from registry.bundle import Bundle, Product
from retrieval.files import sha256_file
from retrieval.metrics import bootstrap_interval, percentile, rank_of

if TYPE_CHECKING:
    from retrieval.encoder import Encoder

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
    texts = [query.text for query in queries]
    ours = _Model(candidate)
    theirs = _Model(champion)
    ours_QD = ours.encode(texts)
    theirs_QD = ours_QD if _read_texts_alike(candidate, champion) else theirs.encode(texts)
    position = {product.product_id: row for row, product in enumerate(products)}
    target_Q = np.array([position[query.winner] for query in queries])
    ours_Q, theirs_Q = (
        percentile(rank_of(queries_QD @ model.see(products).T, target_Q), len(products))
        for model, queries_QD in ((ours, ours_QD), (theirs, theirs_QD))
    )
    low, high = bootstrap_interval(ours_Q - theirs_Q, SAMPLES, SEED)
    return Comparison(len(queries), float(ours_Q.mean()), float(theirs_Q.mean()), (low, high))


class _Model:
    """A version's model, loaded at the first thing that its stored vectors do not answer."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    @cached_property
    def _encoder(self) -> "Encoder":
        return self._bundle.load_encoder()

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        return self._encoder.encode_texts(texts)

    def see(self, products: Sequence[Product]) -> NDArray[np.float32]:
        """Vectors (C, D): the version's own, or of the thumbnails of products it does not know."""
        known = {p.product_id: p.image_sha256 for p in self._bundle.read_products()}
        missing = [p for p in products if known.get(p.product_id) != p.image_sha256]
        vectors = self._bundle.read_vectors("student")
        rows = dict(zip(vectors.ids, vectors.vectors, strict=True))
        with tempfile.TemporaryDirectory(prefix="kindred.") as folder:
            paths = [Path(folder) / f"{number}.jpg" for number in range(len(missing))]
            for path, product in zip(paths, missing, strict=True):
                path.write_bytes(product.thumbnail)
            if missing:
                seen_MD = self._encoder.encode_pixels(self._encoder.read_pixels(paths))
                rows |= {p.product_id: row_D for p, row_D in zip(missing, seen_MD, strict=True)}
        return np.stack([rows[product.product_id] for product in products])


def _read_texts_alike(one: Bundle, other: Bundle) -> bool:
    """Whether both give a text the same vector: distillation leaves the text tower as it is."""
    return _text_side(one.folder / "model") == _text_side(other.folder / "model")


def _text_side(model: Path) -> dict[str, str]:
    """Digests of what reads a text: every file but the weights, and the text tower's tensors."""
    digests = {p.name: sha256_file(p) for p in model.iterdir() if p.suffix != ".safetensors"}
    for weights in model.glob("*.safetensors"):
        with safe_open(weights, framework="numpy") as tensors:
            for name in tensors.keys():  # noqa: SIM118 -- it is no mapping
                if not name.startswith("visual."):
                    digests[name] = hashlib.sha256(tensors.get_tensor(name).tobytes()).hexdigest()
    return digests
