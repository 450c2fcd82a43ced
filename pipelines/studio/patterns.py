"""The colours and the fabric of a product: from words of the vocabulary to SVG and CSS."""

import colorsys
from dataclasses import dataclass
from random import Random
from typing import Final

from pipelines.studio.vocabulary import COLORS

ACCENTS: Final = {  # what goes with a colour in ordinary products
    "red": "white",
    "orange": "brown",
    "yellow": "brown",
    "green": "yellow",
    "blue": "white",
    "purple": "pink",
    "pink": "white",
    "brown": "orange",
    "black": "white",
    "white": "blue",
}
_CREAM: Final = "#fff6e0"
_NAVY: Final = "#1f2b50"
_COMPANIONS: Final = {  # the second shade of a pattern; cream where a colour has none here
    "yellow": "#c2921c",
    "white": "#aeb6c6",
    "pink": "#fff4f6",
    "orange": "#fff0d4",
}
_LIGHT: Final = frozenset({"yellow", "white", "pink", "orange"})  # these take navy motifs

# pattern -> its tile's width and height, and what the tile draws in its second shade. Parts repeat
# every 24 to 28 units of a picture of 200, so that they survive a view of 64 pixels. Nothing but
# an edge between two shades meets a tile's border: the renderer may leave a hairline there.
_TILES: Final = {
    "plain": (24, 24, ""),
    "striped": (240, 24, '<path d="M-9 7 H249 V16 H-9 Z"/>'),
    "polka-dot": (28, 28, '<circle cx="7" cy="7" r="5.4"/><circle cx="21" cy="21" r="5.4"/>'),
    "checked": (
        26,
        26,
        '<path d="M-9 14 H35 V35 H-9 Z" fill-opacity=".46"/>'
        '<path d="M14 -9 V35 H35 V-9 Z" fill-opacity=".54"/>',
    ),
    "zigzag": (
        240,
        24,
        '<path d="M-12 18 l12 -12 l12 12'
        + " l12 -12 l12 12" * 10
        + '" fill="none" stroke-width="7"/>',
    ),
}


@dataclass(frozen=True)
class Paint:
    """The shades that one product is drawn in, each "#rrggbb"."""

    body: str
    deep: str
    light: str
    edge: str
    companion: str
    accent: str
    accent_edge: str
    mark: str
    mark_edge: str


def mix(color: str, other: str, share: float) -> str:
    """The colour that lies `share` of the way from `color` to `other`."""
    pairs = zip(_channels(color), _channels(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def paint(color: str, accent: str, random: Random) -> Paint:
    """The shades of a product of a colour, a little different each time, never another colour's."""
    body = _vary(COLORS[color], random)
    mark, mark_edge = (_NAVY, _CREAM) if color in _LIGHT else (_CREAM, _NAVY)
    return Paint(
        body=body,
        deep=mix(body, "#17101c", 0.34),
        light=mix(body, "#ffffff", 0.2),
        edge=_edge(color, body),
        companion=_COMPANIONS.get(color, _CREAM),
        accent=COLORS[accent],
        accent_edge=_edge(accent, COLORS[accent]),
        mark=mark,
        mark_edge=mark_edge,
    )


def fabric(name: str, pattern: str, shades: Paint, weave: str) -> str:
    """The SVG pattern element `name`: what the product's surface is covered with.

    Args:
        name: The element's id.
        pattern: A pattern of the vocabulary.
        shades: The product's colours.
        weave: How the tile is turned or scaled to suit the shape, an SVG transform.
    """
    width, height, drawing = _TILES[pattern]
    return (
        f'<pattern id="{name}" width="{width}" height="{height}" patternUnits="userSpaceOnUse" '
        f'patternTransform="{weave}">'
        f'<rect x="-9" y="-9" width="{width + 18}" height="{height + 18}" fill="{shades.body}"/>'
        f'<g fill="{shades.companion}" stroke="{shades.companion}" stroke-width="0">{drawing}</g>'
        f"</pattern>"
    )


def _edge(color: str, body: str) -> str:
    """The outline: darker than the body; lighter on black, which has nothing darker."""
    return mix(body, "#a9acbd", 0.5) if color == "black" else mix(body, "#1a1220", 0.5)


def _vary(color: str, random: Random) -> str:
    """Shift hue and lightness by what the eye takes for light, not for another colour."""
    hue, light, full = colorsys.rgb_to_hls(*(value / 255 for value in _channels(color)))
    hue = (hue + random.uniform(-0.009, 0.009)) % 1.0
    light = min(max(light + random.uniform(-0.022, 0.022), 0.0), 1.0)
    return "#" + "".join(f"{round(v * 255):02x}" for v in colorsys.hls_to_rgb(hue, light, full))


def _channels(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)
