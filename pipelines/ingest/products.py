"""A user's products: products.csv, products.parquet or products.jsonl, checked row by row."""

import logging
import reprlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipelines.ingest.pictures import PictureCopier
from pipelines.ingest.rejects import Checked
from pipelines.run.stage import say
from pipelines.tables.reader import READERS, read_table
from pipelines.tables.rows import Cells
from retrieval.index.collection import text_fault
from retrieval.storage.schema import PRODUCT_SPLITS, ProductRow

REQUIRED = ("product_id", "image")
OPTIONAL = ("title", "caption", "category", "price", "split", "group", "attr.<name>")

_log = logging.getLogger(__name__)


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


def read_products(path: Path, pictures: PictureCopier) -> tuple[Checked[ProductRow], list[str]]:
    """Read and check the products, and copy their pictures.

    Where there is no title, the caption stands for it; a missing caption stays "", for the stage
    `captions`. An id belongs to the first row that has it, kept or not; a picture, and the split of
    a group, to the first row that is kept.

    Returns:
        The rows, and the group of each that is kept, "" for none.

    Raises:
        SystemExit: The table cannot be read, lacks a column, or has no rows.
    """
    table = read_table(path)
    table.expect(REQUIRED, OPTIONAL)
    checked = Checked[ProductRow](table)
    taken: dict[str, int] = {}
    groups: list[str] = []
    splits: dict[str, tuple[str, int]] = {}  # group -> its split, and the row that gave it
    for cells in checked.cells():
        product = read_product(cells)
        identity = product["product_id"]
        cells.claim("product_id", identity, taken)
        note_unindexable(cells, product)
        group, split = cells.text("group"), product["split"]
        _note_other_split(cells, group, split, splits)
        product["image"], product["image_sha256"] = pictures.copy(cells, identity)
        if checked.keep_or_reject(cells, identity, product):
            groups.append(group)
            if group and split:
                splits.setdefault(group, (split, cells.number))
    _report_missing(checked.kept)
    return checked, groups


def _report_missing(products: Sequence[ProductRow]) -> None:
    """Say how many captions there are not."""
    if missing := sum(not row["caption"] for row in products):
        say(f"{missing} of {len(products)} products have no caption: see captions.kind")


def _note_other_split(
    cells: Cells, group: str, split: str, splits: Mapping[str, tuple[str, int]]
) -> None:
    first, number = splits.get(group, (split, 0))
    if split and split != first:
        cells.reasons.append(
            f"split is {split!r}, expected {first!r} as in row {number}, or blank: the rows of"
            f" group {group!r} share one split"
        )


def note_unindexable(cells: Cells, product: ProductRow) -> None:
    """Note what the vector index could not hold, or be asked for: found at the end otherwise."""
    texts = [("product_id", product["product_id"]), ("category", product["category"])]
    for name, value in product["attributes"].items():
        texts += [("the attribute's name", name), (f"attr.{name}", value)]
    for name, text in texts:
        if fault := text_fault(text):
            cells.reasons.append(f"{ascii(name)[1:-1]} {reprlib.repr(text)} {fault}")


def read_product(cells: Cells) -> ProductRow:
    """The row, as yet without its picture; where there is no title, the caption stands for it."""
    caption = cells.text("caption")
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
