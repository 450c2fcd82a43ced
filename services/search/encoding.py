"""Queries to vectors: texts, texts with concepts, pictures. Q queries, D embedding width."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from services.search.queries import Query

if TYPE_CHECKING:
    from retrieval.encoder import Encoder
    from retrieval.text.tower import TextTower


def encode(
    encoder: "Encoder",
    tower: Callable[[], "TextTower"],
    queries: Sequence[Query],
    *,
    by_tower: bool = False,
) -> Sequence[NDArray[np.float32]]:
    """Unit vectors (D,), one a query: pictures by the image tower, texts in one go by the other.

    Args:
        encoder: The model.
        tower: Gives its text tower, as concepts see it; asked for only where it is needed.
        queries: Each with a text or a picture.
        by_tower: Whether it is needed for all texts, not only for those with concepts.
    """
    texts = [query for query in queries if query.picture is None]
    if texts:
        by_tower = by_tower or any(query.concepts for query in texts) or _pads(encoder)
        vectors = iter(_encode_texts(encoder, tower() if by_tower else None, texts))
    return [
        next(vectors) if query.picture is None else query.picture.vector(encoder)
        for query in queries
    ]


def _encode_texts(
    encoder: "Encoder", tower: "TextTower | None", queries: Sequence[Query]
) -> NDArray[np.float32]:
    texts = [query.text for query in queries]
    if tower is not None:
        from retrieval.concepts.queries import encode_queries

        # All in one go: a text without concepts costs no more beside those with some.
        return encode_queries(tower, texts, [query.concepts for query in queries])
    distinct = list(dict.fromkeys(texts))
    vectors = dict(zip(distinct, encoder.encode_texts(distinct), strict=True))
    return np.stack([vectors[text] for text in texts])


def _pads(encoder: "Encoder") -> bool:
    """Whether the tower reads all its context of every text: CLIP's own, of which the concepts'
    half computes no more than the longest text (six times as fast for ten words, and exact).
    """  # noqa: D205
    return "hf_model_name" not in encoder.config["text_cfg"]
