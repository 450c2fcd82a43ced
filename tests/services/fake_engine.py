"""An engine that finds the products in their order, and what it takes."""

import math

import numpy as np
import torch

from registry.bundle import HeldOutQuery, Product
from retrieval.text.readable import read_texts
from services.search.drift import DriftWatch
from services.search.explanation import Why
from services.search.queries import Found, UnknownProductError, Vectors


def make_product(number, **changes):
    row = {
        "product_id": f"p{number}",
        "title": f"Mug {number}",
        "caption": "a mug",
        "category": "kitchen" if number % 2 else "garden",
        "price": math.nan if number == 0 else 10.0 * number,
        "attributes": {"kind": "mug"},
        "image_sha256": "0" * 64,
        "split": "test",
        "thumbnail": b"\xff\xd8picture of %d" % number,
    }
    return Product(**{**row, **changes})


class FakeBundle:
    def __init__(self, lineage):
        self.lineage = lineage

    def read_text_vectors(self, texts):
        return None

    def read_queries(self):
        texts = ["short", "a present for an aunt who keeps the borders in bloom", "x" * 200]
        return [HeldOutQuery(str(at), text, "p1") for at, text in enumerate(texts)]


class FakeTokenizer:
    """Knows all words but umbrellas."""

    context_length = 16

    def encode(self, text):
        return [len(word) for word in text.split() if word != "☂"]


class FakeEncoder:
    """Sees nothing but the first pixel's colour."""

    tokenize = FakeTokenizer()

    def pixels(self, image):
        return torch.tensor(np.array(image)[0, 0]).reshape(3, 1, 1)

    def encode_pixels(self, pixels_N3SS):
        return pixels_N3SS.reshape(-1, 3).numpy() / 255


class FakeEngine:
    """Finds the products in their order; fails for a query that says so."""

    def __init__(self, version, lineage, products, private):
        self.version, self.bundle, self.private = version, FakeBundle(lineage), private
        self.drift = DriftWatch(self.bundle)
        self.products = {product.product_id: product for product in products}
        self.encoder = FakeEncoder()
        self.asked, self.closed = [], False

    def search(self, queries):
        self.asked += queries
        if any(query.text == "boom" for query in queries):
            msg = "the model fell over"
            raise RuntimeError(msg)
        for query in queries:
            if query.like is not None and query.like not in self.products:
                raise UnknownProductError(query.like)
        scored = [(product, 0.5) for product in self.products.values()]
        lost = ("The model does not know these words: ☂.",)
        return [
            Found(
                self.version,
                scored[: query.k],
                lost if "☂" in query.text else (),
                self._refusal(query),
            )
            for query in queries
        ]

    def _refusal(self, query):
        if not query.reads_text:
            return ""
        (reading,) = read_texts(self.encoder.tokenize, [query.text])
        return reading.refusal()

    def embed(self, requests):
        lengths = [[len(text) % 4 for text in texts] for texts in requests]
        return [Vectors(self.version, np.eye(4, dtype=np.float32)[row]) for row in lengths]

    def explain(self, query, found):
        wish = [(f"like {query.text}", 0.25)]
        return [Why([("mugs", score)], [], wish) for _, score in found.hits]

    def close(self):
        self.closed = True
