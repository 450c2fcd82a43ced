"""The words of the studio: what is drawn, in which colours, with which patterns, where."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Kind:
    """A kind of product: the noun that names it, its shop category and a usual price in euros."""

    noun: str
    category: str
    price: float


KINDS: Final = tuple(
    Kind(*row)
    for row in (
        ("mug", "kitchen", 12),
        ("teapot", "kitchen", 34),
        ("frying pan", "kitchen", 39),
        ("apron", "kitchen", 22),
        ("cutting board", "kitchen", 25),
        ("rolling pin", "kitchen", 16),
        ("watering can", "garden", 28),
        ("flower pot", "garden", 14),
        ("garden glove", "garden", 11),
        ("birdhouse", "garden", 31),
        ("wheelbarrow", "garden", 89),
        ("spade", "garden", 27),
        ("table lamp", "home", 49),
        ("cushion", "home", 24),
        ("vase", "home", 29),
        ("candle", "home", 13),
        ("armchair", "home", 249),
        ("wall clock", "home", 36),
        ("picture frame", "home", 19),
        ("t-shirt", "clothing", 21),
        ("sweater", "clothing", 55),
        ("scarf", "clothing", 26),
        ("beanie", "clothing", 18),
        ("sun hat", "clothing", 27),
        ("sock", "clothing", 8),
        ("sneaker", "clothing", 79),
        ("rain boot", "clothing", 45),
        ("umbrella", "clothing", 23),
        ("backpack", "bags", 65),
        ("tote bag", "bags", 17),
        ("suitcase", "bags", 119),
        ("bicycle", "sports", 399),
        ("skateboard", "sports", 69),
        ("tennis racket", "sports", 85),
        ("surfboard", "sports", 329),
        ("yoga mat", "sports", 33),
        ("dumbbell", "sports", 30),
        ("guitar", "music", 189),
        ("drum", "music", 139),
        ("headphones", "music", 99),
        ("teddy bear", "toys", 25),
        ("kite", "toys", 20),
        ("toy train", "toys", 38),
        ("toy robot", "toys", 35),
        ("tent", "outdoor", 149),
        ("lantern", "outdoor", 32),
        ("water bottle", "outdoor", 19),
        ("camera", "hobby", 279),
        ("telescope", "hobby", 219),
        ("notebook", "hobby", 10),
    )
)

COLORS: Final = {
    "red": "#d8342f",
    "orange": "#f0862a",
    "yellow": "#f4cf3a",
    "green": "#3f9d4f",
    "blue": "#2f67c9",
    "purple": "#7d4bb5",
    "pink": "#f08fb4",
    "brown": "#8a5a36",
    "black": "#2d2d33",
    "white": "#f6f4ee",
}

PATTERNS: Final = ("plain", "striped", "polka-dot", "checked", "zigzag")

MOTIFS: Final = ("none", "star", "heart", "leaf", "flower", "cat", "fish", "moon", "anchor")

SCENES: Final = {  # scene -> how a caption ends
    "studio": "on a plain backdrop",
    "table": "on a wooden table",
    "beach": "on a sandy beach",
    "meadow": "in a green meadow",
    "snow": "in the snow",
    "street": "on a city street",
    "bookshelf": "in front of a bookshelf",
    "night": "under a starry night sky",
}


def caption(kind: str, color: str, pattern: str, motif: str, scene: str) -> str:
    """What a picture shows, read literally: "a blue striped mug with a star on a sandy beach"."""
    return f"{described(kind, color, pattern, motif)} {SCENES[scene]}"


def described(kind: str, color: str, pattern: str, motif: str) -> str:
    """A thing, literally: "a blue striped mug with a star"."""
    words = [color] + ([pattern] if pattern != "plain" else []) + [kind]
    decorated = f" with {_article(motif)} {motif}" if motif != "none" else ""
    return f"{_article(color)} {' '.join(words)}{decorated}"


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"
