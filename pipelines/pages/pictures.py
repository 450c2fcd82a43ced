"""Products as pages show them, their pictures inside the page."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from retrieval.images import jpeg_bytes

SIDE = 176  # pixels of a thumbnail's longer side; shown at half of it on sharp screens
JPEG_QUALITY = 80


@dataclass(frozen=True)
class Shown:
    """A product as a page shows it."""

    title: str
    caption: str
    picture: str | None  # a data URI; None where the file is missing or broken


def show(product: Mapping[str, Any], catalogue: Path) -> Shown:
    """A row of the table of products, whose pictures lie below `catalogue`."""
    caption = product["caption"] or product["title"] or product["product_id"]
    return Shown(product["title"], caption, thumbnail(catalogue / product["image"]))


def thumbnail(path: Path) -> str | None:
    """A small JPEG of the picture at `path`, as a data URI; None without such a picture."""
    try:
        with Image.open(path) as image:
            small = image.convert("RGB")
    except OSError:
        return None
    jpeg = jpeg_bytes(small, SIDE, JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")
