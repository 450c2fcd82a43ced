"""One model version, opened for search: its model, its two collections, its products.

The text tower is frozen in distillation, so a text has one vector for the student and for the base
model; only the catalogue's vectors differ. Q queries, D embedding width.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from registry.bundle import Bundle
from registry.versions import Version
from retrieval.index.collection import Collection, Filter
from retrieval.index.store import collection_key, open_store
from retrieval.text.readable import read_texts
from services.queries import Found, Model, Query, Vectors

if TYPE_CHECKING:  # torch is imported where it is used: `kindred serve` imports this twice
    from retrieval.encoder import Encoder
    from retrieval.text.tower import TextTower

_CATALOGUE: Mapping[Model, Literal["student", "base"]] = {"champion": "student", "base": "base"}


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
        self.teaching = bundle.read_teaching()
        self.encoder: Encoder = bundle.load_encoder()
        store = open_store(uri)
        self._collections: dict[Model, Collection] = {
            model: store.open(collection_key(version.digest, catalogue), private / catalogue)
            for model, catalogue in _CATALOGUE.items()
        }
        self.search([Query("warm up", 1, Filter(), model) for model in self._collections])

    @cached_property
    def tower(self) -> "TextTower":
        """The text tower, as concepts see it."""
        from retrieval.text.tower import TextTower

        return TextTower(self.encoder)

    @cached_property
    def unrelated(self) -> float:
        """The mean cosine of two pictures of anything, by this version."""
        from retrieval.concepts.teaching import unrelated_cosine

        return unrelated_cosine(self.bundle.read_vectors("student").vectors)

    def search(self, queries: Sequence[Query]) -> list[Found]:
        """One answer a query: all are encoded in one go, searched a call a model and filter."""
        if not queries:
            return []
        vectors_QD = self._encode(queries)
        texts = [_with_phrases(query) for query in queries]
        readings = read_texts(self.encoder.tokenize, texts)
        alike: dict[tuple[Model, Filter], list[int]] = {}
        for row, query in enumerate(queries):
            alike.setdefault((query.model, query.filter_), []).append(row)
        hits: dict[int, list[tuple[str, float]]] = {}
        for (model, filter_), rows in alike.items():
            most = max(queries[row].k for row in rows)
            found = self._collections[model].search(vectors_QD[rows], most, filter_)
            hits.update(zip(rows, found, strict=True))
        return [
            Found(
                self.version,
                [(self.products[id_], score) for id_, score in hits[row][: query.k]],
                tuple(readings[row].warnings()),
            )
            for row, query in enumerate(queries)
        ]

    def embed(self, requests: Sequence[Sequence[str]]) -> list[Vectors]:
        """Unit vectors of each request's texts; all texts are encoded in one go."""
        vectors_ND = self.encoder.encode_texts([text for texts in requests for text in texts])
        ends = np.cumsum([len(texts) for texts in requests])
        return [Vectors(self.version, own) for own in np.split(vectors_ND, ends[:-1])]

    def close(self) -> None:
        """Let go of the collections."""
        for collection in self._collections.values():
            collection.close()

    def _encode(self, queries: Sequence[Query]) -> NDArray[np.float32]:
        """Unit vectors (Q, D): pictures by the image tower, texts by the text tower."""
        import torch

        pictures = {
            row: query.picture_3SS
            for row, query in enumerate(queries)
            if query.picture_3SS is not None
        }
        if not pictures:
            return self._encode_texts(queries)
        vectors_QD = np.empty((len(queries), self.encoder.width), dtype=np.float32)
        vectors_QD[list(pictures)] = self.encoder.encode_pixels(torch.stack([*pictures.values()]))
        if texts := [row for row in range(len(queries)) if row not in pictures]:
            vectors_QD[texts] = self._encode_texts([queries[row] for row in texts])
        return vectors_QD

    def _encode_texts(self, queries: Sequence[Query]) -> NDArray[np.float32]:
        texts = [query.text for query in queries]
        if any(query.concepts for query in queries):
            from retrieval.concepts.queries import encode_queries

            # All in one go: a text without concepts costs no more beside those with some.
            return encode_queries(self.tower, texts, [query.concepts for query in queries])
        distinct = list(dict.fromkeys(texts))
        vectors = dict(zip(distinct, self.encoder.encode_texts(distinct), strict=True))
        return np.stack([vectors[text] for text in texts])


def _with_phrases(query: Query) -> str:
    """The text as the model reads it, what stands for concepts in their places."""
    if not query.concepts:
        return query.text
    from retrieval.concepts.concept import place

    return place(query.text, query.concepts)
