"""Groups as a person would judge them: the wish, and the pictures in the teacher's order."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont, ImageOps

from retrieval.storage.files import atomic_file

_SIDE, _GAP, _MARGIN = 176, 16, 28  # pixels: a picture, between two, around the page
_TEXT, _SMALL = 20, 15  # pixels: the wish; captions
_LINE = 1.3  # line height over font size
_TITLE_LINES = 2
_PAPER, _INK, _QUIET = (255, 255, 255), (25, 28, 33), (105, 110, 118)
_BEST, _PLACE, _FAULT = (20, 110, 70), (60, 65, 75), (176, 32, 32)
_MISSING, _RULE = (222, 224, 227), (214, 217, 221)

Font = ImageFont.ImageFont | ImageFont.FreeTypeFont
Color = tuple[int, int, int]


@dataclass(frozen=True)
class Example:
    """One group and what it takes to draw it."""

    group_id: str
    text: str  # the persona's
    presented: Sequence[str]
    ranking: Sequence[str]  # best first; empty: the teacher gave no label
    titles: Mapping[str, str]  # by product_id
    pictures: Mapping[str, Path]  # likewise; the file may be missing

    @property
    def order(self) -> Sequence[str]:
        """The products from left to right: as ranked, or as presented where there is no label."""
        return self.ranking or self.presented


def pick_groups(rankings: Sequence[Mapping[str, Any]], count: int, seed: int) -> list[Any]:
    """One row at random from each of `count` equal parts of the table, in the table's order."""
    rng = random.Random(seed)  # noqa: S311 - picks examples, guards nothing
    parts = min(count, len(rankings))
    edges = [len(rankings) * part // parts for part in range(parts + 1)] if parts else []
    return [rankings[rng.randrange(start, end)] for start, end in pairwise(edges)]


def draw_examples(examples: Sequence[Example], path: Path) -> None:
    """Write the groups below each other as one PNG; equal groups give equal bytes."""
    rows = [_draw_example(example, _page_width(examples)) for example in examples]
    height = sum(row.height for row in rows) + 2 * _MARGIN
    page = Image.new("RGB", (_page_width(examples), height), _PAPER)
    top = _MARGIN
    for row in rows:
        page.paste(row, (0, top))
        top += row.height
    with atomic_file(path) as temporary:
        page.save(temporary, "PNG", optimize=True)


def _page_width(examples: Sequence[Example]) -> int:
    columns = max([5, *(len(example.order) for example in examples)])
    return 2 * _MARGIN + columns * _SIDE + (columns - 1) * _GAP


def _draw_example(example: Example, width: int) -> Image.Image:
    lines = _wrap(example.text, _font(_TEXT), width - 2 * _MARGIN)
    below_text = round(_TEXT * _LINE * len(lines)) + round(_SMALL * _LINE) + 12
    captions = round(_SMALL * _LINE * (1 + _TITLE_LINES)) + 8
    row = Image.new("RGB", (width, below_text + _SIDE + captions + 44), _PAPER)
    pen = ImageDraw.Draw(row)
    for number, line in enumerate(lines):
        pen.text((_MARGIN, round(number * _TEXT * _LINE)), line, _INK, _font(_TEXT))
    _draw_heading(pen, example, below_text - round(_SMALL * _LINE) - 6)
    for place, product in enumerate(example.order, start=1):
        left = _MARGIN + (place - 1) * (_SIDE + _GAP)
        row.paste(_picture(example.pictures.get(product)), (left, below_text))
        _draw_captions(pen, example, place, (left, below_text))
    pen.line([(_MARGIN, row.height - 24), (width - _MARGIN, row.height - 24)], _RULE, 1)
    return row


def _draw_heading(pen: ImageDraw.ImageDraw, example: Example, top: int) -> None:
    if example.ranking:
        heading, color = f"{example.group_id}: the teacher's order, best first", _QUIET
    else:
        heading, color = f"{example.group_id}: NO LABEL; pictures as presented", _FAULT
    pen.text((_MARGIN, top), heading, color, _font(_SMALL))


def _draw_captions(
    pen: ImageDraw.ImageDraw, example: Example, place: int, corner: tuple[int, int]
) -> None:
    """The place on the picture; under it where it was presented, and its title."""
    left, top = corner
    product = example.order[place - 1]
    if example.ranking:
        pen.rectangle([left, top, left + 34, top + 30], _BEST if place == 1 else _PLACE)
        pen.text((left + 17, top + 15), str(place), _PAPER, _font(_TEXT), anchor="mm")
    under, step = top + _SIDE + 6, round(_SMALL * _LINE)
    shown = _ordinal(example.presented, product)
    pen.text((left, under), shown, _QUIET, _font(_SMALL))
    lines = _wrap(example.titles.get(product) or product, _font(_SMALL), _SIDE)
    if len(lines) > _TITLE_LINES:
        lines = [
            *lines[: _TITLE_LINES - 1],
            _shorten(lines[_TITLE_LINES - 1], _font(_SMALL), _SIDE),
        ]
    for number, line in enumerate(lines, start=1):
        pen.text((left, under + number * step), line, _INK, _font(_SMALL))


def _ordinal(presented: Sequence[str], product: str) -> str:
    if product not in presented:
        return "not presented"
    return f"presented as number {list(presented).index(product) + 1}"


def _picture(path: Path | None) -> Image.Image:
    """The whole picture in a square; a grey one where it is missing or broken."""
    square = Image.new("RGB", (_SIDE, _SIDE), _MISSING)
    try:
        if path is None:
            raise FileNotFoundError
        with Image.open(path) as opened:
            fitted = ImageOps.contain(opened.convert("RGB"), (_SIDE, _SIDE))
    except OSError:
        pen = ImageDraw.Draw(square)
        pen.text((_SIDE // 2, _SIDE // 2), "no picture", _QUIET, _font(_SMALL), anchor="mm")
        return square
    square.paste(fitted, ((_SIDE - fitted.width) // 2, (_SIDE - fitted.height) // 2))
    return square


def _font(size: int) -> Font:
    return ImageFont.load_default(size)  # part of Pillow: the same on every machine


def _wrap(text: str, font: Font, width: int) -> list[str]:
    """Lines no wider than `width`; a word that is wider is cut."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word if font.getlength(word) <= width else _shorten(word, font, width))
    return lines


def _shorten(text: str, font: Font, width: int) -> str:
    while text and font.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text.rstrip()}…"
