"""A model that has seen four kinds of things in a small studio, and a shop with two mugs to teach.

It is made in half a minute of one core: pictures of 64 pixels, captions, the pipeline's training.
"""

import io
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pipelines.run.params import load_params
from pipelines.studio.render import Look, render
from pipelines.studio.vocabulary import COLORS, KINDS, MOTIFS, PATTERNS, SCENES, caption
from pipelines.training.caption_training import pair_with_captions, train_head, train_trunk
from pipelines.training.image_tower import mirrored_features, split_tower
from retrieval.concepts.teaching import Teaching, unrelated_cosine
from retrieval.encoder import create_encoder
from retrieval.text.tower import TextTower
from services.search.encoding import encode
from services.search.queries import Found
from tests.services.fake_engine import make_product
from tests.services.tiny_engine import TinyEngine

PARAMS_FILE = Path(__file__).parents[3] / "params.yaml"
SEEN, EPOCHS, HEAD_EPOCHS = 400, 6, 20
MUGS = {
    "red": Look("mug", "red", "striped", "fish", "yellow"),
    "blue": Look("mug", "blue", "zigzag", "star", "white"),
}
OTHERS = 24
PHOTOS_IN = ("studio", "table", "street", "meadow")


def photos_of(mug):
    """Photos of one of the two, none of them the shop's, none on the beach."""
    return [render((MUGS[mug],), scene, 5_000 + at) for at, scene in enumerate(PHOTOS_IN)]


class StudioEngine(TinyEngine):
    """Finds, by comparing all pictures, what the model says; teaches as a service does."""

    def __init__(self, version, private):
        tower, shop = TextTower(_train()), _shop()
        super().__init__(version, tower, shop[0], private)
        self.products = {product.product_id: product for product in shop}
        self.teaching = Teaching()
        images = [Image.open(io.BytesIO(product.thumbnail)).convert("RGB") for product in shop]
        self._pictures_ND = self.encoder.encode_images(images)
        self.unrelated = unrelated_cosine(self._pictures_ND)

    def search(self, queries):
        vectors_QD = np.stack(encode(self.encoder, self.tower, queries))
        products = [*self.products.values()]
        return [
            Found(
                self.version,
                [(products[row], float(scores_N[row])) for row in np.argsort(-scores_N)[: query.k]],
            )
            for query, scores_N in zip(queries, vectors_QD @ self._pictures_ND.T, strict=True)
        ]


def _shop():
    """Both mugs in every scene, and others; a product's title says which, and where."""
    shown = [(f"The {name} one", mug, scene) for name, mug in MUGS.items() for scene in SCENES]
    shown += [("Another", *_draw(np.random.default_rng(at))) for at in range(OTHERS)]
    return [
        replace(
            make_product(number),
            title=f"{title}: {look.color} {look.kind} {SCENES[scene]}",
            thumbnail=render((look,), scene, 1_000 + number),
        )
        for number, (title, look, scene) in enumerate(shown)
    ]


def _draw(rng):
    def draw(words):
        return str(rng.choice(list(words)))

    kinds = [kind.noun for kind in KINDS[:4]]
    look = Look(draw(kinds), draw(COLORS), draw(PATTERNS), draw(MOTIFS), draw(COLORS))
    return look, draw(SCENES)


@cache
def _train():
    rng = np.random.default_rng(0)
    plan = [_draw(rng) for _ in range(SEEN)]
    captions = [caption(x.kind, x.color, x.pattern, x.motif, scene) for x, scene in plan]
    torch.manual_seed(0)
    encoder = create_encoder("minilm-resnet10t", None)
    pictures = [render((look,), scene, at, 64) for at, (look, scene) in enumerate(plan)]
    images = [Image.open(io.BytesIO(picture)).convert("RGB") for picture in pictures]
    pixels_N3SS = torch.stack([encoder.pixels(image) for image in images])
    captioned = pair_with_captions(captions, torch.from_numpy(encoder.encode_texts(captions)))
    params = load_params(PARAMS_FILE)
    changes = {"epochs": EPOCHS, "head_epochs": HEAD_EPOCHS}
    params = params.model_copy(update={"base": params.base.model_copy(update=changes)})
    train_trunk(encoder, pixels_N3SS, captioned, params)
    encoder.model.eval()
    tower = split_tower(encoder.model.visual)
    with torch.no_grad():
        parts = [mirrored_features(encoder, tower, part) for part in pixels_N3SS.split(100)]
    train_head(encoder, captioned, torch.cat(parts, dim=1), params)
    encoder.model.eval()
    return encoder
