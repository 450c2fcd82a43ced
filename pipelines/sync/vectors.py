"""The vectors of a revision: those that are known, and of new pictures as the champion reads them.

N products, D embedding width.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.run.stage import progress
from registry.bundle import Bundle, Product
from registry.revision import HELD_OUT
from retrieval.storage.vectors import Vectors

if TYPE_CHECKING:
    from retrieval.encoder import Encoder

Model = Literal["student", "base"]
Products = Mapping[str, Product]  # by id
Rows = dict[str, NDArray[np.float32]]


def known_vectors(
    known: Sequence[tuple[Bundle, Products]], wanted: Sequence[Product], model: Model
) -> Rows:
    """Vectors of the pictures that a bundle knows, by product id.

    Args:
        known: Versions that share their models, each with its products.
        wanted: The products whose vectors are.
        model: Whose.
    """
    rows: Rows = {}
    for bundle, products in known:
        vectors = bundle.read_vectors(model)
        stored = dict(zip(vectors.ids, vectors.vectors, strict=True))
        rows |= {
            id_: stored[id_]
            for product in wanted
            if (id_ := product.product_id) in products
            and products[id_].image_sha256 == product.image_sha256
        }
    return rows


def embed_pictures(encoder: "Encoder", pictures: Mapping[str, Path], label: str) -> Rows:
    """Vectors of picture files by product id."""
    ids, rows = list(pictures), Rows()
    for start in progress(range(0, len(ids), encoder.batch), label):
        some = ids[start : start + encoder.batch]
        vectors_ND = encoder.encode_files([pictures[id_] for id_ in some])
        rows |= dict(zip(some, vectors_ND, strict=True))
    return rows


def recaptioned(products: Sequence[Product], trained: Products) -> dict[str, str]:
    """The held-out products' captions that are not those of the trained version."""
    return {
        product.product_id: product.caption
        for product in products
        if product.split == HELD_OUT and product.caption != trained[product.product_id].caption
    }


def in_order(products: Sequence[Product], rows: Rows) -> Vectors:
    """The products' vectors, in their order."""
    ids = [product.product_id for product in products]
    return Vectors(ids, np.array([rows[id_] for id_ in ids], np.float32))


def embed_captions(encoder: "Encoder", captions: Mapping[str, str]) -> Vectors:
    """Vectors of captions by product id."""
    return Vectors(list(captions), encoder.encode_texts(list(captions.values())))
