"""A user's products: products.csv, products.parquet or products.jsonl, checked row by row."""

from pathlib import Path

from pipelines.ingest.pictures import PictureCopier
from pipelines.ingest.rejects import Checked
from pipelines.tables.reader import READERS, read_table
from pipelines.tables.rows import Cells
from retrieval.storage.schema import PRODUCT_SPLITS, ProductRow

REQUIRED = ("product_id", "image", "title", "caption")
OPTIONAL = ("category", "price", "split", "attr.<name>")


def find_products(folder: Path) -> Path:
    """The one table of products in the folder.

    Raises:
        SystemExit: There is no such folder, or no such table, or several.
    """
    if not folder.is_dir():
        raise SystemExit(f"catalog.folder is {folder}, which is no folder; name one that exists")
    names = [f"products{suffix}" for suffix in READERS]
    found = [folder / name for name in names if (folder / name).is_file()]
    if len(found) != 1:
        got = " and ".join(path.name for path in found) or "none"
        msg = f"{folder}: got {got}; expected exactly one of {', '.join(names)}"
        raise SystemExit(msg)
    return found[0]


def read_products(path: Path, pictures: PictureCopier) -> Checked[ProductRow]:
    """Read and check the products, and copy their pictures.

    A blank title is repaired: it becomes the caption. An id belongs to the first row that has it,
    kept or not; a picture to the first row that is kept.

    Raises:
        SystemExit: The table cannot be read, lacks a column, or has no rows.
    """
    table = read_table(path)
    table.expect(REQUIRED, OPTIONAL)
    checked = Checked[ProductRow](table)
    taken: dict[str, int] = {}
    for cells in checked.cells():
        product = _product(cells)
        identity = product["product_id"]
        cells.claim("product_id", identity, taken)
        product["image"], product["image_sha256"] = pictures.copy(cells, identity)
        checked.keep_or_reject(cells, identity, product)
    return checked


def _product(cells: Cells) -> ProductRow:
    """The row, as yet without its picture."""
    caption = cells.text("caption", required=True)
    return {
        "product_id": cells.text("product_id", required=True),
        "title": cells.text("title") or caption,
        "caption": caption,
        "category": cells.text("category"),
        "price": cells.price(),
        "attributes": cells.attributes(),
        "image": "",
        "image_sha256": "",
        "split": cells.split(PRODUCT_SPLITS),
    }
