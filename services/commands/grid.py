"""A contact sheet of what a search found: the query as heading, a card for each hit."""

import io
import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from retrieval.storage.files import atomic_file
from services.commands.hits import Hit

COLUMNS = 5
PICTURE = 160  # pixels, the side of a card's picture: as bundles carry them by default
CARD = (PICTURE, PICTURE + 80)
GAP = 20
HEADING = 44  # height of a heading's line
HEADING_LINES = 2
_PAPER = "#f6f4ef"
_WHITE = "#ffffff"
_INK = "#22252b"
_FAINT = "#7b7f87"
_ACCENT = "#b4532a"

_Font = ImageFont.ImageFont | ImageFont.FreeTypeFont


def draw_grid(query: str, hits: Sequence[Hit]) -> Image.Image:
    """Draw the sheet: as wide as five cards (fewer for fewer hits), as high as it takes."""
    columns = max(min(COLUMNS, len(hits)), 2)
    width = GAP + columns * (CARD[0] + GAP)
    font = ImageFont.load_default(size=28)
    heading = _wrap(query, font, width - 2 * GAP, HEADING_LINES)
    top = GAP + len(heading) * HEADING + GAP // 2
    rows = max(math.ceil(len(hits) / columns), 1)
    sheet = Image.new("RGB", (width, top + rows * (CARD[1] + GAP)), _PAPER)
    pen = ImageDraw.Draw(sheet)
    for number, line in enumerate(heading):
        pen.text((GAP, GAP + number * HEADING), line, _INK, font)
    for number, hit in enumerate(hits):
        row, column = divmod(number, columns)
        left = GAP + column * (CARD[0] + GAP)
        sheet.paste(_card(hit), (left, top + row * (CARD[1] + GAP)))
    return sheet


def save_grid(sheet: Image.Image, path: Path) -> None:
    """Write the sheet as PNG, whole or not at all.

    Raises:
        OSError: It cannot be written there.
    """
    with atomic_file(path) as temporary:
        sheet.save(temporary, "PNG")


def _card(hit: Hit) -> Image.Image:
    card = Image.new("RGB", CARD, _WHITE)
    with Image.open(io.BytesIO(hit.thumbnail)) as stored:
        side = (PICTURE, PICTURE)
        picture = ImageOps.pad(stored.convert("RGB"), side, Image.Resampling.LANCZOS, _WHITE)
    card.paste(picture, (0, 0))
    pen = ImageDraw.Draw(card)
    title, small = ImageFont.load_default(size=14), ImageFont.load_default(size=13)
    for number, line in enumerate(_wrap(f"{hit.rank}. {hit.title}", title, PICTURE - 16, 2)):
        pen.text((8, PICTURE + 8 + 19 * number), line, _INK, title)
    price = "" if math.isnan(hit.price) else f"{hit.price:.2f}"
    pen.text((8, PICTURE + 54), price, _ACCENT, small)
    pen.text((PICTURE - 8, PICTURE + 54), f"{hit.score:.3f}", _FAINT, small, anchor="ra")
    return card


def _wrap(text: str, font: _Font, width: int, most: int) -> list[str]:
    """Break a text into lines of `width` pixels; what is past `most` lines ends in an ellipsis."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    kept = lines[:most]
    if len(lines) > most:
        kept[-1] += " ..."
    return [_cut(line, font, width) for line in kept]


def _cut(line: str, font: _Font, width: int) -> str:
    if font.getlength(line) <= width:
        return line
    kept = line.removesuffix(" ...")
    while kept and font.getlength(f"{kept} ...") > width:
        kept = kept[:-1]
    return f"{kept.rstrip()} ..."
