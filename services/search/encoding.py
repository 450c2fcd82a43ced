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
        tower: Its text tower, as concepts see it, where that reads the texts (`needs_tower`).
        queries: Each with a text or a picture.
    """
    texts = [query for query in queries if query.picture is None]
    vectors = iter(_encode_texts(encoder, tower, texts) if texts else ())
    return [
        next(vectors) if query.picture is None else query.picture.vector(encoder)
        for query in queries
    ]


def needs_tower(encoder: "Encoder", queries: Sequence[Query]) -> bool:
    """Whether the tower that concepts see has to read the texts: where some have concepts.

    And CLIP's texts: its own way pads each to the whole context, this one to the longest text.
    """
    texts = [query for query in queries if query.picture is None]
    if any(query.concepts for query in texts):
        return True
    return bool(texts) and "hf_model_name" not in encoder.config["text_cfg"]


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
