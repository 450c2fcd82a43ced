"""The studio's products: which kind, colour, pattern, motif, scene and price each one has."""

from dataclasses import dataclass

import numpy as np

from pipelines.studio.render import Look, default_accent
from pipelines.studio.vocabulary import (
    COLORS,
    KINDS,
    MOTIFS,
    PATTERNS,
    SCENES,
    Kind,
    caption,
    described,
)
from retrieval.storage.schema import BASE_SPLIT, ProductRow

MOTIF_SHARE = 0.65  # of the products carry a motif
SET = "set of two"  # the kind of products that are two things in one picture
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


def plan_sets(count: int, seed: int) -> list[tuple[ProductRow, Picture]]:
    """Products of two things of different kinds side by side; only the base model learns from them.

    A shop's photos show such things too, and an image tower that saw single ones alone cannot read
    them. No persona wants a set, so they would be wrong in a teacher's groups: their split is
    `base`.
    """
    rng = np.random.default_rng(seed)
    return [_set(number, rng) for number in range(count)]


def _product(number: int, kind: int, rng: np.random.Generator) -> tuple[ProductRow, Picture]:
    thing = KINDS[kind]
    scene, look = _draw_scene(rng), _draw_look(thing, rng)
    words = (look.kind, look.color, look.pattern, look.motif)
    names = ("kind", "color", "pattern", "motif", "scene")
    row = _row(f"s{number:05d}", title(*words), caption(*words, scene), _draw_price(thing, rng))
    attributes = dict(zip(names, (*words, scene), strict=True))
    row |= {"category": thing.category, "attributes": attributes}
    return row, Picture((look,), scene, int(rng.integers(2**31)))


def _set(number: int, rng: np.random.Generator) -> tuple[ProductRow, Picture]:
    things = [KINDS[int(kind)] for kind in rng.permutation(len(KINDS))[:2]]
    scene, looks = _draw_scene(rng), tuple(_draw_look(thing, rng) for thing in things)
    both = [(look.kind, look.color, look.pattern, look.motif) for look in looks]
    price = round(sum(_draw_price(thing, rng) for thing in things), 2)
    says = f"{' and '.join(described(*words) for words in both)} {SCENES[scene]}"
    row = _row(f"d{number:05d}", " & ".join(title(*words) for words in both), says, price)
    row |= {"category": "sets", "attributes": {"kind": SET, "scene": scene}, "split": BASE_SPLIT}
    return row, Picture(looks, scene, int(rng.integers(2**31)))


def _draw_scene(rng: np.random.Generator) -> str:
    return str(rng.choice(list(SCENES)))


def _draw_look(thing: Kind, rng: np.random.Generator) -> Look:
    color, pattern = (str(rng.choice(list(words))) for words in (COLORS, PATTERNS))
    motif = str(rng.choice(MOTIFS[1:])) if rng.random() < MOTIF_SHARE else "none"
    return Look(thing.noun, color, pattern, motif, default_accent(color))


def _draw_price(thing: Kind, rng: np.random.Generator) -> float:
    return round(thing.price * float(np.exp(rng.normal(0, PRICE_SPREAD))), 2)


def _row(product_id: str, title: str, caption: str, price: float) -> ProductRow:
    return {
        "product_id": product_id,
        "title": title,
        "caption": caption,
        "category": "",
        "price": price,
        "attributes": {},
        "image": "",
        "image_sha256": "",
        "split": "",
    }


def title(kind: str, color: str, pattern: str, motif: str) -> str:
    """A shop's title: "Blue striped mug, star"."""
    words = [color] + ([pattern] if pattern != "plain" else []) + [kind]
    decoration = f", {motif}" if motif != "none" else ""
    return f"{' '.join(words).capitalize()}{decoration}"
