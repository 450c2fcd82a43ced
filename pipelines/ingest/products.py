"""A user's products: products.csv, products.parquet or products.jsonl, checked row by row."""

import logging
import re
import reprlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

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

    A missing title is made of the caption, or else of the picture's file name; how many are is
    said. A missing caption stays "". An id belongs to the first row that has it,
    kept or not; a picture, and the split of a group, to the first row that is kept.

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
    titles: dict[str, str] = {}  # product -> what its title was made of
    splits: dict[str, tuple[str, int]] = {}  # group -> its split, and the row that gave it
    for cells in checked.cells():
        product = _product(cells)
        identity = product["product_id"]
        product["title"], titles[identity] = _title(cells, product["caption"])
        cells.claim("product_id", identity, taken)
        _note_unindexable(cells, product)
        group, split = cells.text("group"), product["split"]
        _note_other_split(cells, group, split, splits)
        product["image"], product["image_sha256"] = pictures.copy(cells, identity)
        if checked.keep_or_reject(cells, identity, product):
            groups.append(group)
            if group and split:
                splits.setdefault(group, (split, cells.number))
    _report_made(checked.kept, titles)
    return checked, groups


def _report_made(products: Sequence[ProductRow], titles: Mapping[str, str]) -> None:
    """Say what the titles were made of, and how many captions there are not."""
    made = Counter(titles[row["product_id"]] for row in products)
    for source in ("caption", "file name"):
        if made[source]:
            say(f"titles made of the {source}, since none is given: {made[source]}")
    missing = sum(not row["caption"] for row in products)
    if missing:
        _log.warning(
            "%d of %d products have no caption; the base model and literal search read captions",
            missing,
            len(products),
        )


def _note_other_split(
    cells: Cells, group: str, split: str, splits: Mapping[str, tuple[str, int]]
) -> None:
    first, number = splits.get(group, (split, 0))
    if split and split != first:
        cells.reasons.append(
            f"split is {split!r}, expected {first!r} as in row {number}, or blank: the rows of"
            f" group {group!r} share one split"
        )


def _note_unindexable(cells: Cells, product: ProductRow) -> None:
    """Note what the vector index could not hold, or be asked for: found at the end otherwise."""
    texts = [("product_id", product["product_id"]), ("category", product["category"])]
    for name, value in product["attributes"].items():
        texts += [("the attribute's name", name), (f"attr.{name}", value)]
    for name, text in texts:
        if fault := text_fault(text):
            cells.reasons.append(f"{ascii(name)[1:-1]} {reprlib.repr(text)} {fault}")


def _title(cells: Cells, caption: str) -> tuple[str, str]:
    """The title, and what it is made of: title, caption or file name."""
    if title := cells.text("title"):
        return title, "title"
    if caption:
        return caption, "caption"
    stem = PurePosixPath(cells.text("image").replace("\\", "/")).stem
    return " ".join(re.split(r"[\s_-]+", stem)).strip() or stem, "file name"


def _product(cells: Cells) -> ProductRow:
    """The row, as yet without its title and picture."""
    return {
        "product_id": cells.text("product_id", required=True),
        "title": "",
        "caption": cells.text("caption"),
        "category": cells.text("category"),
        "price": cells.price(),
        "attributes": cells.attributes(),
        "image": "",
        "image_sha256": "",
        "split": cells.split(PRODUCT_SPLITS),
    }
