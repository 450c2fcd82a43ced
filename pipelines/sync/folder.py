"""A folder's products beside those that are served: read as the stage `catalog` reads them.

Personas and subjects are not read: a sync trains nothing.
"""

import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from pipelines.ingest.picture_files import PictureFiles
from pipelines.ingest.pictures import PictureLimits
from pipelines.ingest.products import find_products, read_products
from pipelines.ingest.rejects import Reject
from pipelines.sync.pictures import SeenPictures
from pipelines.sync.seen import look_at
from pipelines.tables.reader import read_table
from pipelines.tables.rows import Cells
from registry.bundle import Product
from registry.revision import Difference, compare_catalogues, split_of
from retrieval.images import PictureError
from retrieval.storage.files import sha256_file
from retrieval.storage.journal import Journal
from retrieval.storage.schema import ProductRow


@dataclass(frozen=True)
class Found:
    """What a folder holds, beside what is served."""

    products: list[Product]  # without a thumbnail where the picture is another one
    pictures: dict[str, Path]  # of all of them
    difference: Difference  # from what is served
    rejects: list[Reject]
    rows: dict[str, int]  # the table's name -> its rows, rejected ones included
    table_sha256: str


@dataclass(frozen=True)
class Known:
    """Products by id: as they are served, and as the version was trained with them."""

    served: Mapping[str, Product]
    trained: Mapping[str, Product]

    def pictures(self) -> set[tuple[str, str]]:
        """Products' ids with the digests of their pictures."""
        products = [*self.served.values(), *self.trained.values()]
        return {(product.product_id, product.image_sha256) for product in products}

    def same_picture(self, row: ProductRow) -> Product | None:
        """The product with this very picture, as it is served, else as it was."""
        for known in (self.served, self.trained):
            product = known.get(row["product_id"])
            if product and product.image_sha256 == row["image_sha256"]:
                return product
        return None


def read_catalogue(
    folder: Path, known: Known, limits: PictureLimits, journal: Journal, threads: int
) -> Found:
    """Read the folder's table and look at its pictures.

    Args:
        folder: With products.csv, products.parquet or products.jsonl, and the pictures.
        known: What is served, and what was trained with.
        limits: What is refused, and what is scaled down.
        journal: What files became; open.
        threads: How many files are read at once.

    Raises:
        SystemExit: The table is missing, cannot be read, lacks a column, or has no rows.
    """
    table = find_products(folder)
    with warnings.catch_warnings(), tempfile.TemporaryDirectory(prefix="kindred.") as nowhere:
        # Pillow warns of what max_megapixels decides; the reject says it better.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        seen = look_at(_named_files(folder, table), limits, journal, threads)
        pictures = SeenPictures(folder, Path(nowhere), limits, seen, known.pictures())
        checked, _ = read_products(table, pictures)
    products = [_product(row, known) for row in checked.kept]
    return Found(
        products=products,
        pictures={row["product_id"]: Path(row["image"]) for row in checked.kept},
        difference=compare_catalogues([*known.served.values()], products),
        rejects=checked.rejects,
        rows={checked.table.file: len(checked.table.rows)},
        table_sha256=sha256_file(table),
    )


def _named_files(folder: Path, table: Path) -> list[Path]:
    """The files that the table names and that are there, each once."""
    files = PictureFiles(folder)
    found: dict[Path, None] = {}
    for row in read_table(table).rows:
        try:
            found[files.find(Cells(row).text("image"))] = None
        except PictureError:  # the reject will say it
            continue
    return list(found)


def _product(row: ProductRow, known: Known) -> Product:
    """The row as a bundle holds it; what it leaves blank is as it was where the picture is.

    So a caption that a model wrote stays. Else the title stands for it; no model is asked.
    """
    same = known.same_picture(row)
    caption = row["caption"] or (same.caption if same else "") or row["title"]
    title = row["title"] or (same.title if same else "") or caption
    return Product(
        product_id=row["product_id"],
        title=title,
        caption=caption,
        category=row["category"],
        price=row["price"],
        attributes=row["attributes"],
        image_sha256=row["image_sha256"],
        split=split_of(row["product_id"], row["image_sha256"], known.trained),
        thumbnail=same.thumbnail if same else b"",
    )


def with_thumbnails(products: Sequence[Product], made: Mapping[str, bytes]) -> list[Product]:
    """The products, with the thumbnails of those that had none."""
    return [
        replace(product, thumbnail=made[product.product_id])
        if product.product_id in made
        else product
        for product in products
    ]
