"""An engine that teaches with a real model: MiniLM with an untrained, tiny image tower."""

import io
from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image

from retrieval.concepts.learning import Settings
from retrieval.concepts.teaching import Teaching
from retrieval.encoder import create_encoder
from retrieval.text.tower import TextTower
from services.search.queries import Found, Vectors

TEACHING = Teaching(identifier="sks", settings=Settings(8, 0.01, 0.2), pairs=0)
UNLIKE = 0.5  # cosine that photos of one thing exceed


def make_tower():
    torch.manual_seed(0)
    return TextTower(create_encoder("minilm-resnet10t", None))


def photo(colour="red", side=48, format_="JPEG", **how):
    """A picture of something: a disc of a colour before noise of a few colours."""
    rng = np.random.default_rng(0)
    noise = np.repeat(np.repeat(rng.integers(90, 160, (6, 6, 3)), side // 6, 0), side // 6, 1)
    image = Image.fromarray(noise.astype(np.uint8))
    centre = Image.new("RGB", (side // 2, side // 2), colour)
    image.paste(centre, (side // 4, side // 4))
    file = io.BytesIO()
    image.save(file, format_, **how)
    return file.getvalue()


class TinyEngine:
    """Teaches in earnest; finds one product by any query, and remembers what it was asked."""

    def __init__(self, version, tower, product, private):
        self.version, self.tower, self.encoder = version, tower, tower.encoder
        self.teaching, self.unrelated, self.private = TEACHING, 0.0, private
        self.products = {product.product_id: product}
        lineage = SimpleNamespace(model_dump=lambda mode: {})
        self.bundle = SimpleNamespace(lineage=lineage, read_queries=list)
        self.drift = SimpleNamespace(report=lambda: None)
        self.asked = []

    def search(self, queries):
        self.asked += queries
        hits = [(product, 0.5) for product in self.products.values()]
        return [Found(self.version, hits) for _ in queries]

    def embed(self, requests):
        return [Vectors(self.version, self.encoder.encode_texts(list(one))) for one in requests]

    def close(self):
        pass
