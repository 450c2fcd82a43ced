"""Queries to vectors: texts, texts with concepts, pictures. Q queries, D embedding width."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from services.search.queries import Query

if TYPE_CHECKING:
    from retrieval.encoder import Encoder
    from retrieval.text.tower import TextTower


def encode(
    encoder: "Encoder", tower: "TextTower | None", queries: Sequence[Query]
) -> Sequence[NDArray[np.float32]]:
    """Unit vectors (D,), one a query: pictures by the image tower, texts in one go by the other.

    Args:
        encoder: The model.
        tower: Its text tower, as concepts see it, which reads without padding; None where it is of
            a kind that concepts do not support.
        queries: Each with a text or a picture.
    """
    texts = [query for query in queries if query.picture is None]
    vectors = iter(_encode_texts(encoder, tower, texts) if texts else ())
    return [
        next(vectors) if query.picture is None else query.picture.vector(encoder)
        for query in queries
    ]


def _encode_texts(
    encoder: "Encoder", tower: "TextTower | None", queries: Sequence[Query]
) -> Sequence[NDArray[np.float32]]:
    distinct = {_key(query): query for query in queries}
    texts = [query.text for query in distinct.values()]
    if tower is None:
        vectors_QD = encoder.encode_texts(texts)
    else:
        from retrieval.concepts.queries import encode_queries

        # All in one go: a text without concepts costs no more beside those with some.
        vectors_QD = encode_queries(tower, texts, [query.concepts for query in distinct.values()])
    vectors = dict(zip(distinct, vectors_QD, strict=True))
    return [vectors[_key(query)] for query in queries]


def _key(query: Query) -> tuple[object, ...]:
    """The same for queries that have the same vector."""
    return (query.text, *map(id, query.concepts))
