"""Pictures with structure, which a perceptual hash can tell apart (noise and blanks have none)."""

import io

import numpy as np
from PIL import Image, ImageDraw


def drawing(seed: int, size: tuple[int, int] = (160, 120)) -> Image.Image:
    """Nine random shapes on a plain ground."""
    random = np.random.default_rng(seed)
    picture = Image.new("RGB", size, tuple(random.integers(150, 256, 3).tolist()))
    draw = ImageDraw.Draw(picture)
    for number in range(9):
        left, top = random.uniform(0, 0.8, 2) * size
        width, height = random.uniform(0.1, 0.4, 2) * size
        shape = draw.ellipse if number % 2 else draw.rectangle
        shape((left, top, left + width, top + height), tuple(random.integers(0, 256, 3).tolist()))
    return picture


def as_jpeg(picture: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")
