"""The studio's products: which kind, colour, pattern, motif, scene and price each one has."""

from dataclasses import dataclass

import numpy as np

from pipelines.studio.render import Look, default_accent
from pipelines.studio.vocabulary import COLORS, KINDS, MOTIFS, PATTERNS, SCENES, caption
from retrieval.storage.schema import ProductRow

MOTIF_SHARE = 0.65  # of the products carry a motif
PRICE_SPREAD = 0.25  # standard deviation of the log price around the kind's usual one


@dataclass(frozen=True)
class Picture:
    """What to render: one or two looks in a scene."""

    looks: tuple[Look, ...]
    scene: str
    seed: int


def plan_products(count: int, seed: int) -> list[tuple[ProductRow, Picture]]:
    """Rows of the products table, as yet without pictures and split, and what to render for each.

    Every kind comes up equally often, to within one.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(count)
    return [_product(number, int(order[number]) % len(KINDS), rng) for number in range(count)]


def _product(number: int, kind: int, rng: np.random.Generator) -> tuple[ProductRow, Picture]:
    thing = KINDS[kind]
    color, pattern, scene = (str(rng.choice(list(words))) for words in (COLORS, PATTERNS, SCENES))
    motif = str(rng.choice(MOTIFS[1:])) if rng.random() < MOTIF_SHARE else "none"
    price = round(thing.price * float(np.exp(rng.normal(0, PRICE_SPREAD))), 2)
    words = {
        "kind": thing.noun, "color": color, "pattern": pattern, "motif": motif, "scene": scene
    }  # fmt: skip
    row: ProductRow = {
        "product_id": f"s{number:05d}",
        "title": title(thing.noun, color, pattern, motif),
        "caption": caption(**words),
        "category": thing.category,
        "price": price,
        "attributes": words,
        "image": "",
        "image_sha256": "",
        "split": "",
    }
    look = Look(thing.noun, color, pattern, motif, default_accent(color))
    return row, Picture((look,), scene, int(rng.integers(2**31)))


def title(kind: str, color: str, pattern: str, motif: str) -> str:
    """A shop's title: "Blue striped mug, star"."""
    words = [color] + ([pattern] if pattern != "plain" else []) + [kind]
    decoration = f", {motif}" if motif != "none" else ""
    return f"{' '.join(words).capitalize()}{decoration}"
