"""One model version, opened for search: its model, its two collections, its products, their words.

Queries are encoded, lists of products are found by vectors and by words, fused, made diverse, and
cut into pages. The text tower is frozen in distillation, so a text has one vector for the student
and for the base model; only the catalogue's vectors differ. Q queries, D embedding width.
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
from services.search.catalogue import Catalogue
from services.search.drift import DriftWatch
from services.search.encoding import encode
from services.search.explainer import Explainer
from services.search.explanation import Why
from services.search.keywords import Keywords
from services.search.phases import phase
from services.search.precision import Precision, is_bfloat16
from services.search.queries import Found, Model, Query, UnknownProductError, Vectors
from services.search.ranking import FIRST, Ranked, diversified, fuse

if TYPE_CHECKING:  # torch is imported where it is used: `kindred serve` imports this twice
    from retrieval.encoder import Encoder
    from retrieval.text.tower import TextTower

_CATALOGUE: Mapping[Model, Literal["student", "base"]] = {"champion": "student", "base": "base"}


class Engine:
    """Answers batches of queries with one version."""

    def __init__(
        self,
        version: Version,
        bundle: Bundle,
        private: Path,
        uri: str | None = None,
        precision: Precision = "fp32",
    ) -> None:
        """Open everything; seconds.

        Args:
            version: The registered version.
            bundle: Its bundle.
            private: A folder of this process alone, for its copies of the collections.
            uri: Where those are (`open_store`).
            precision: Of texts (`text_precision`).

        Raises:
            FileNotFoundError: A collection is missing.
            ValueError: The bundle's model is damaged.
        """
        self.version = version
        self.bundle = bundle
        self.private = private
        self.products = {product.product_id: product for product in bundle.read_products()}
        self.keywords = Keywords([*self.products.values()])
        self.teaching = bundle.read_teaching()
        self.encoder: Encoder = bundle.load_encoder()
        self._precision = precision
        self._catalogues: dict[Model, Catalogue] = {}
        store = open_store(uri)
        self._collections: dict[Model, Collection] = {
            model: store.open(collection_key(version.digest, catalogue), private / catalogue)
            for model, catalogue in _CATALOGUE.items()
        }
        self.drift = DriftWatch(bundle)
        self.search([Query("warm up", 1, Filter(), model) for model in self._collections])
        self.drift.clear()  # nobody asked for that

    @cached_property
    def tower(self) -> "TextTower":
        """The text tower, as concepts see it."""
        from retrieval.text.tower import TextTower

        return TextTower(self.encoder)

    @cached_property
    def _reader(self) -> "TextTower | None":
        """The text tower that reads queries, in the precision that was asked for.

        None: the tower is of a kind that concepts do not support, and the encoder reads by itself.

        Raises:
            ValueError: It is, and bf16 was asked for.
        """
        if self._precision != "fp32" and is_bfloat16(self._precision, self.encoder.device):
            return self.tower.with_bfloat16_prefix()
        try:
            return self.tower
        except ValueError:
            return None

    @cached_property
    def unrelated(self) -> float:
        """The mean cosine of two pictures of anything, by this version."""
        from retrieval.concepts.teaching import unrelated_cosine

        return unrelated_cosine(self.catalogue("champion").vectors_ND)

    def catalogue(self, model: Model) -> Catalogue:
        """The products' vectors by a model, in memory from the first time on."""
        if model not in self._catalogues:
            self._catalogues[model] = Catalogue(self.bundle.read_vectors(_CATALOGUE[model]))
        return self._catalogues[model]

    def search(self, queries: Sequence[Query]) -> list[Found]:
        """One answer a query: all are encoded in one go, searched a call a model and filter.

        Raises:
            UnknownProductError: A query is for a product's like, and there is no such product.
        """
        vectors = self._vectors(queries)
        nearest = self._nearest(queries, vectors)
        texts = {query: _with_phrases(query) for query in queries if query.reads_text}
        readings = dict(
            zip(texts, read_texts(self.encoder.tokenize, [*texts.values()]), strict=True)
        )
        answers = []
        for row, query in enumerate(queries):
            reading = readings.get(query)
            if reading is not None and (refusal := reading.refusal()):
                answers.append(Found(self.version, [], refusal=refusal))
                continue
            ranked = self._page(query, self._rank(query, nearest.get(row, [])))
            hits = [(self.products[id_], score) for id_, score in ranked]
            warnings = reading.warnings() if reading is not None else ()
            answers.append(Found(self.version, hits, tuple(warnings), vector_D=vectors.get(row)))
        return answers

    def embed(self, requests: Sequence[Sequence[str]]) -> list[Vectors]:
        """Unit vectors of each request's texts; all texts are encoded in one go."""
        vectors_ND = self.encoder.encode_texts([text for texts in requests for text in texts])
        ends = np.cumsum([len(texts) for texts in requests])
        return [Vectors(self.version, own) for own in np.split(vectors_ND, ends[:-1])]

    def encode(self, queries: Sequence[Query]) -> Sequence[NDArray[np.float32]]:
        """Unit vectors (D,) of queries with a text or a picture, all in one go."""
        reader = self._reader
        if reader is None and any(query.concepts for query in queries):
            reader = self.tower  # says why there are none
        return encode(self.encoder, reader, queries)

    def explain(self, query: Query, found: Found) -> list[Why]:
        """Why each of a text's hits was found; its vector is that of what was found."""
        if found.vector_D is None:
            msg = "got what was found by words alone, expected what a text's vector found"
            raise ValueError(msg)
        hits = [product.product_id for product, _ in found.hits]
        return self._explainer.explain(query, found.vector_D, hits)

    @cached_property
    def _explainer(self) -> Explainer:
        return Explainer(self)

    def close(self) -> None:
        """Let go of the collections."""
        for collection in self._collections.values():
            collection.close()

    def _nearest(
        self, queries: Sequence[Query], vectors: Mapping[int, NDArray[np.float32]]
    ) -> dict[int, Ranked]:
        """The nearest products of each query that has a vector, by its place among the queries."""
        alike: dict[tuple[Model, Filter], list[int]] = {}
        for row in vectors:
            alike.setdefault((queries[row].model, queries[row].filter_), []).append(row)
        nearest: dict[int, Ranked] = {}
        for (model, filter_), rows in alike.items():
            vectors_QD = np.stack([vectors[row] for row in rows])
            most = max(_depth(queries[row]) for row in rows)
            with phase("search"):
                found = self._collections[model].search(vectors_QD, most, filter_)
            nearest.update(zip(rows, found, strict=True))
        return nearest

    def _vectors(self, queries: Sequence[Query]) -> dict[int, NDArray[np.float32]]:
        """Unit vectors (D,) by the queries' places; none where words alone are looked for."""
        vectors = {
            row: self._vector_of(query.like, query.model)
            for row, query in enumerate(queries)
            if query.like is not None
        }
        rows = [
            row
            for row, query in enumerate(queries)
            if query.like is None and query.mode != "keyword"
        ]
        with phase("encode"):
            encoded_QD = self.encode([queries[row] for row in rows])
        for row, vector_D in zip(rows, encoded_QD, strict=True):
            if queries[row].is_new_text:
                self.drift.see(vector_D)
        return vectors | dict(zip(rows, encoded_QD, strict=True))

    def _vector_of(self, product_id: str, model: Model) -> NDArray[np.float32]:
        if product_id not in self.products:
            msg = f"version {self.version.number} has no product {product_id!r}"
            raise UnknownProductError(msg)
        vector_D: NDArray[np.float32] = self.catalogue(model).rows([product_id])[0]
        return vector_D

    def _rank(self, query: Query, nearest: Ranked) -> Ranked:
        """The list that pages are cut from, before it is made diverse."""
        depth = _depth(query)
        nearest = [hit for hit in nearest[:depth] if hit[0] != query.like]
        if query.mode == "vector":
            return nearest
        worded = self.keywords.search(query.words, depth, query.filter_)
        return worded if query.mode == "keyword" else fuse([nearest, worded])

    def _page(self, query: Query, ranked: Ranked) -> Ranked:
        """The part of the list that is asked for; the first of it made diverse where asked."""
        end = query.offset + query.k
        if query.diversify:
            first = ranked[:FIRST]
            vectors_ND = self.catalogue(query.model).rows([id_ for id_, _ in first])
            scores_N = np.array([score for _, score in first])
            order = diversified(scores_N, vectors_ND, query.diversify, min(end, len(first)))
            ranked = [*(first[place] for place in order), *ranked[FIRST:]]
        return ranked[query.offset : end]


def _depth(query: Query) -> int:
    """How long a list has to be for a query's page; the same for each page, if it is fused."""
    if query.mode == "hybrid":
        return FIRST
    end = query.offset + query.k
    return max(end, FIRST if query.diversify else 0) + (query.like is not None)


def _with_phrases(query: Query) -> str:
    """The text as the model reads it, what stands for concepts in their places."""
    if not query.concepts:
        return query.text
    from retrieval.concepts.concept import place

    return place(query.text, query.concepts)
