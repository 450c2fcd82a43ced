"""Products' pictures as teachers are shown them: small, and for a server JPEGs in data URLs."""

import base64
import math
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from PIL import Image

from pipelines.labelling.teachers.protocol import TeacherError
from retrieval.images import PictureError, jpeg_bytes, open_picture
from retrieval.storage.schema import ProductRow

JPEG_QUALITY = 90
CACHED = 256  # pictures; about 30 kB each at 336 pixels: one is shown many times over


class Pictures:
    """The pictures of the products, by product id."""

    def __init__(self, folder: Path, side: int, products: Iterable[ProductRow]) -> None:
        """Note where the pictures are; none is opened yet.

        Args:
            folder: What the products' `image` is relative to.
            side: Pixels that the longer side has at most.
            products: Rows of the products table.
        """
        self._folder = folder
        self._side = side
        self._rows = {product["product_id"]: product for product in products}
        self._encoded = lru_cache(CACHED)(self._encode)

    def sha256(self, product_id: str) -> str:
        """Digest of the picture's file, as the products table has it."""
        return self._rows[product_id]["image_sha256"]

    def data_url(self, product_id: str) -> str:
        """The picture, scaled down, without metadata.

        Raises:
            TeacherError: The file is missing or damaged.
        """
        return self._encoded(product_id)

    def image(self, product_id: str) -> Image.Image:
        """The picture, scaled down, for a model in this process.

        Raises:
            TeacherError: The file is missing or damaged.
        """
        path = self._folder / self._rows[product_id]["image"]
        try:
            picture = open_picture(path, math.inf)  # the catalogue has looked at their size
        except PictureError as error:
            msg = (
                f"the picture {path} of product {product_id} {error}, so the teacher cannot be"
                " shown it; make the catalogue again with `dvc repro catalog`"
            )
            raise TeacherError(msg) from error
        picture.thumbnail((self._side, self._side), Image.Resampling.LANCZOS)  # never enlarges
        return picture

    def _encode(self, product_id: str) -> str:
        jpeg = jpeg_bytes(self.image(product_id), self._side, JPEG_QUALITY)
        return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
