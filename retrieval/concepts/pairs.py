"""One picture of two photos side by side: what a query that names two concepts should find.

An image tower that saw single objects puts pictures of two far from both, where no text about
either leads. A concept that is learned from such pictures too leads there when two are named.
"""

from collections.abc import Sequence

from PIL import Image, ImageOps

SIDE = 256  # pixels of the picture
FOOT = 24  # pixels below the two photos: things stand low in a picture


def side_by_side(left: Image.Image, right: Image.Image) -> Image.Image:
    """Two RGB photos at half the width each, the edge rows drawn out to a square above and below.

    Args:
        left: Any size; its middle square is used.
        right: Likewise.
    """
    half = SIDE // 2
    row = Image.new("RGB", (SIDE, half))
    for number, photo in enumerate((left, right)):
        square = ImageOps.fit(photo.convert("RGB"), (half, half), Image.Resampling.LANCZOS)
        row.paste(square, (number * half, 0))
    picture = Image.new("RGB", (SIDE, SIDE))
    sky = SIDE - half - FOOT
    picture.paste(row.crop((0, 0, SIDE, 1)).resize((SIDE, sky)), (0, 0))
    picture.paste(row, (0, sky))
    picture.paste(row.crop((0, half - 1, SIDE, half)).resize((SIDE, FOOT)), (0, sky + half))
    return picture


def pair_up(photos: Sequence[Image.Image], most: int) -> list[Image.Image]:
    """The first two photos side by side, the next two, and so on: `most` pictures at most."""
    pairs = list(zip(photos[::2], photos[1::2], strict=False))[:most]
    return [side_by_side(left, right) for left, right in pairs]
