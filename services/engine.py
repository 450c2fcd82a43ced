"""One model version, opened for search: its model, its two collections, its products.

The text tower is frozen in distillation, so a text has one vector for the student and for the base
model; only the catalogue's vectors differ. Q queries, D embedding width.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from registry.bundle import Bundle, Product
from registry.versions import Version
from retrieval.index.collection import Collection, Filter
from retrieval.index.store import collection_key, open_store
from retrieval.text.readable import read_texts

if TYPE_CHECKING:
    from retrieval.encoder import Encoder

Model = Literal["champion", "base"]
_CATALOGUE: Mapping[Model, Literal["student", "base"]] = {"champion": "student", "base": "base"}


@dataclass(frozen=True)
class Query:
    """What one request looks for."""

    text: str
    k: int
    filter_: Filter
    model: Model


@dataclass(frozen=True)
class Found:
    """The answer to a query: products with their scores, best first, all by one version."""

    version: Version
    hits: list[tuple[Product, float]]
    warnings: tuple[str, ...] = ()  # what the model cannot read of the text, a sentence each


@dataclass(frozen=True)
class Vectors:
    """The answer to a request for vectors."""

    version: Version
    vectors_ND: NDArray[np.float32]


class Engine:
    """Answers batches of queries with one version."""

    def __init__(
        self, version: Version, bundle: Bundle, private: Path, uri: str | None = None
    ) -> None:
        """Open everything; seconds.

        Args:
            version: The registered version.
            bundle: Its bundle.
            private: A folder of this process alone, for its copies of the collections.
            uri: Where those are (`open_store`).

        Raises:
            FileNotFoundError: A collection is missing.
            ValueError: The bundle's model is damaged.
        """
        self.version = version
        self.bundle = bundle
        self.private = private
        self.products = {product.product_id: product for product in bundle.read_products()}
        self._encoder: Encoder = bundle.load_encoder()
        store = open_store(uri)
        self._collections: dict[Model, Collection] = {
            model: store.open(collection_key(version.digest, catalogue), private / catalogue)
            for model, catalogue in _CATALOGUE.items()
        }
        self.search([Query("warm up", 1, Filter(), model) for model in self._collections])

    def search(self, queries: Sequence[Query]) -> list[Found]:
        """One answer a query: texts are encoded in one go, searched a call a model and filter."""
        if not queries:
            return []
        texts = list(dict.fromkeys(query.text for query in queries))
        vectors = dict(zip(texts, self._encoder.encode_texts(texts), strict=True))
        readings = dict(zip(texts, read_texts(self._encoder.tokenize, texts), strict=True))
        alike: dict[tuple[Model, Filter], list[int]] = {}
        for row, query in enumerate(queries):
            alike.setdefault((query.model, query.filter_), []).append(row)
        hits: dict[int, list[tuple[str, float]]] = {}
        for (model, filter_), rows in alike.items():
            queries_QD = np.stack([vectors[queries[row].text] for row in rows])
            most = max(queries[row].k for row in rows)
            found = self._collections[model].search(queries_QD, most, filter_)
            hits.update(zip(rows, found, strict=True))
        return [
            Found(
                self.version,
                [(self.products[id_], score) for id_, score in hits[row][: query.k]],
                tuple(readings[query.text].warnings()),
            )
            for row, query in enumerate(queries)
        ]

    def embed(self, requests: Sequence[Sequence[str]]) -> list[Vectors]:
        """Unit vectors of each request's texts; all texts are encoded in one go."""
        vectors_ND = self._encoder.encode_texts([text for texts in requests for text in texts])
        ends = np.cumsum([len(texts) for texts in requests])
        return [Vectors(self.version, own) for own in np.split(vectors_ND, ends[:-1])]

    def close(self) -> None:
        """Let go of the collections."""
        for collection in self._collections.values():
            collection.close()
