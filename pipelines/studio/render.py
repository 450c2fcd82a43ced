"""Draws the pictures of the studio: products of the vocabulary before a scene, as SVG and JPEG.

A product is one file of `artwork/kinds`, dressed in its colours by `artwork/paint.css`; a scene is
one file of `artwork/scenes`. Everything that varies from picture to picture comes from the seed.
"""

import io
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from random import Random
from string import Template
from typing import Final

import resvg_py
from PIL import Image

from pipelines.studio.patterns import ACCENTS, Paint, fabric, paint
from pipelines.studio.vocabulary import COLORS, KINDS, MOTIFS, PATTERNS, SCENES

SIDE: Final = 256  # of the drawing, in its own units
PICTURE_SIDE: Final = 160  # pixels, as wide as a thumbnail; the image tower reads 64
_ARTWORK: Final = Path(__file__).parent / "artwork"
_NOUNS: Final = tuple(kind.noun for kind in KINDS)
_JPEG_QUALITY: Final = 92
_MOTIF_ANCHOR: Final = re.compile(r'<g id="motif" transform="([^"]*)"/>')
_OWN_ID: Final = re.compile(r'(\bid="|\bhref="#|url\(#)')


@dataclass(frozen=True)
class Look:
    """What a product looks like, in words of the vocabulary; `accent` is a colour too."""

    kind: str
    color: str
    pattern: str
    motif: str
    accent: str


@dataclass(frozen=True)
class _Place:
    """Where a product's picture of 200 by 200 goes: its foot's centre, its scale and its tilt."""

    x: float
    y: float
    scale: float
    tilt: float

    def transform(self) -> str:
        return (
            f"translate({self.x:.2f} {self.y:.2f}) scale({self.scale:.4f}) "
            f"translate(-100 -180) rotate({self.tilt:.2f} 100 120)"
        )


def default_accent(color: str) -> str:
    """The colour of handles, laces and trims that goes with a colour, in ordinary products.

    Raises:
        ValueError: `color` is not in the vocabulary.
    """
    _check("color", color, COLORS)
    return ACCENTS[color]


def compose(looks: Sequence[Look], scene: str, seed: int) -> str:
    """The picture as SVG: one product, or two side by side, before a scene.

    Raises:
        ValueError: There are not one or two looks, or a word is not in the vocabulary.
    """
    if len(looks) not in (1, 2):
        msg = f"got {len(looks)} looks, expected 1 or 2: more would be too small to tell apart"
        raise ValueError(msg)
    _check("scene", scene, SCENES)
    for look in looks:
        _check_look(look)
    random = Random(seed)  # noqa: S311 -- repeatable pictures, no secrets
    backdrop = _backdrop(scene, random)
    places = _places(len(looks), random)
    products = "".join(
        _product(name, look, place, random)
        for name, look, place in zip("ab", looks, places, strict=False)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIDE} {SIDE}">'
        f"<style>{_text('materials.css')}</style>{_inner('shading.svg')}{backdrop}{products}</svg>"
    )


def render(looks: Sequence[Look], scene: str, seed: int, side: int = PICTURE_SIDE) -> bytes:
    """The picture as JPEG, `side` pixels wide and high; equal arguments give equal bytes.

    Raises:
        ValueError: There are not one or two looks, or a word is not in the vocabulary.
    """
    drawing = compose(looks, scene, seed)
    png = resvg_py.svg_to_bytes(svg_string=drawing, width=side, height=side, skip_system_fonts=True)
    jpeg = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").save(jpeg, "JPEG", quality=_JPEG_QUALITY)
    return jpeg.getvalue()


def _backdrop(scene: str, random: Random) -> str:
    """The scene, perhaps mirrored, shifted and under a light of another tint."""
    zoom = random.uniform(1.04, 1.14)
    mirror = random.choice((-1, 1))
    shift = random.uniform(-10, 10)
    tint = f"hsl({random.randrange(360)},70%,60%)"
    return (
        f'<g transform="translate({SIDE / 2 + shift:.2f} 190) scale({mirror * zoom:.4f} {zoom:.4f})'
        f' translate({-SIDE / 2:g} -190)">{_inner(f"scenes/{scene}.svg")}</g>'
        f'<rect width="{SIDE}" height="{SIDE}" fill="{tint}" fill-opacity=".06"/>'
    )


def _places(count: int, random: Random) -> list[_Place]:
    """Where the products stand; the sizes leave both of two fully visible."""
    full, centers = (1.22, (128.0,)) if count == 1 else (0.66, (67.0, 189.0))
    room = 8.0 if count == 1 else 2.0
    return [
        _Place(
            x=center + random.uniform(-room, room),
            y=(232 if count == 1 else 224) + random.uniform(-5, 5),
            scale=full * random.uniform(0.86, 1.0),
            tilt=random.triangular(-8, 8),
        )
        for center in centers
    ]


def _product(name: str, look: Look, place: _Place, random: Random) -> str:
    """One product with its style; `name` sets its ids and rules apart from another product's."""
    file = f"kinds/{look.kind.replace(' ', '-')}.svg"
    shades = paint(look.color, look.accent, random)
    woven = fabric(f"{name}-fabric", look.pattern, shades, _weave(file))
    drawing = _OWN_ID.sub(rf"\g<1>{name}-", _inner(file))
    drawing = drawing.replace(f'id="{name}-motif"', 'id="motif"')
    drawing = _MOTIF_ANCHOR.sub(lambda found: _motif(look, found[1]), drawing)
    return (
        f"<style>{_style(name, shades, look)}</style>"
        f"<defs>{woven if look.pattern != 'plain' else ''}</defs>"
        f'<g id="{name}" transform="{place.transform()}">{drawing}</g>'
    )


def _motif(look: Look, transform: str) -> str:
    """The motif at its anchor, on a plain patch where a pattern would run through it."""
    if look.motif == "none":
        return ""
    plain = look.pattern == "plain"
    patch = "" if plain else '<circle class="patch" cx="50" cy="50" r="57"/>'
    size = 1.16 if plain else 1.0  # without a patch the motif takes the patch's room
    glyph = _inner(f"motifs/{look.motif}.svg")
    return f'<g transform="{transform} scale({size}) translate(-50 -50)">{patch}{glyph}</g>'


def _style(name: str, shades: Paint, look: Look) -> str:
    cover = shades.body if look.pattern == "plain" else f"url(#{name}-fabric)"
    adorned, unadorned = ("none", "inline") if look.motif == "none" else ("inline", "none")
    return Template(_text("paint.css")).substitute(
        asdict(shades), at=f"#{name}", fabric=cover, adorned=adorned, unadorned=unadorned
    )


def _weave(file: str) -> str:
    found = re.search(r'data-weave="([^"]*)"', _text(file))
    return found[1] if found else "rotate(0)"


@cache
def _text(file: str) -> str:
    return (_ARTWORK / file).read_text(encoding="utf-8")


@cache
def _inner(file: str) -> str:
    """What stands inside the root element of an SVG file."""
    text = _text(file)
    return text[text.index(">") + 1 : text.rindex("</svg>")]


def _check_look(look: Look) -> None:
    _check("kind", look.kind, _NOUNS)
    _check("color", look.color, COLORS)
    _check("pattern", look.pattern, PATTERNS)
    _check("motif", look.motif, MOTIFS)
    _check("accent", look.accent, COLORS)


def _check(name: str, word: str, words: Sequence[str] | dict[str, str]) -> None:
    if word not in words:
        msg = f"got {name} {word!r}, expected one of: {', '.join(words)}"
        raise ValueError(msg)
