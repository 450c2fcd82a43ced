"""The personas that the student serves worst, with pictures: what was wanted, and what came."""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.run.paths import PERSONAS_FILE, PRODUCTS_FILE, WORST_FILE
from retrieval.storage.files import read_json
from retrieval.storage.schema import PERSONAS, PRODUCTS, read_rows

SIDE = 176  # pixels of a thumbnail's longer side; shown at half of it on sharp screens
JPEG_QUALITY = 80


@dataclass(frozen=True)
class Shown:
    """A product as the page shows it."""

    title: str
    caption: str
    picture: str | None  # a data URI; None where the file is missing


@dataclass(frozen=True)
class Worst:
    """A persona, the teacher's choice and the student's first products."""

    text: str
    percentile: float
    base_percentile: float
    rank: int  # of the teacher's choice in the student's ranking, 1 = first
    wants: tuple[tuple[str, float], ...]  # the truth behind the text, heaviest first; may be empty
    wanted: Shown
    came: tuple[Shown, ...]


def read_worst(candidates: int) -> list[Worst]:
    """The personas of `reports/worst.json`, in its order; none without the file.

    Args:
        candidates: How many products were ranked.
    """
    if not WORST_FILE.is_file():
        return []
    products = {row["product_id"]: row for row in read_rows(PRODUCTS_FILE, PRODUCTS)}
    wants = {row["persona_id"]: row["wants"] for row in read_rows(PERSONAS_FILE, PERSONAS)}
    return [
        Worst(
            text=row["text"],
            percentile=row["percentile"],
            base_percentile=row["base_percentile"],
            rank=round(candidates - row["percentile"] * (candidates - 1)),
            wants=_heaviest(wants.get(row["persona_id"], {})),
            wanted=_show(products[row["winner"]]),
            came=tuple(_show(products[product]) for product in row["top"]),
        )
        for row in read_json(WORST_FILE)
    ]


def _heaviest(wants: Mapping[str, float]) -> tuple[tuple[str, float], ...]:
    values = [(want.partition("=")[2], weight) for want, weight in wants.items()]
    return tuple(sorted(values, key=lambda each: -each[1]))


def _show(product: Mapping[str, Any]) -> Shown:
    path = PRODUCTS_FILE.parent / product["image"]
    caption = product["caption"] or product["title"]
    return Shown(product["title"], caption, thumbnail(path) if path.is_file() else None)


def thumbnail(path: Path) -> str:
    """A small JPEG of the picture at `path`, as a data URI."""
    from PIL import Image

    with Image.open(path) as image:
        small = image.convert("RGB")
    small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
