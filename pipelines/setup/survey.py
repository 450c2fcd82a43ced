"""What a folder holds: pictures, and what its tables say of them. Nothing is written into it."""

import tempfile
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from pipelines.ingest.near_duplicates import find_near, hash_pictures
from pipelines.ingest.personas import read_personas
from pipelines.ingest.pictures import PictureCopier, PictureLimits
from pipelines.ingest.products import (
    OPTIONAL,
    REQUIRED,
    find_products,
    note_unindexable,
    read_product,
)
from pipelines.ingest.subjects import read_subjects
from pipelines.run.stage import progress
from pipelines.setup.files import Files, find_files, table_from_names
from pipelines.tables.reader import READERS, Table, read_table
from pipelines.tables.rows import Cells, Row
from retrieval.storage.schema import PersonaRow, SubjectRow

PERSONAS, SUBJECTS = "personas.jsonl", "subjects.jsonl"


@dataclass(frozen=True)
class Product:
    """What a row says of a product whose picture can be used."""

    row: Row
    image: str  # as the row names it
    title: str
    caption: str
    category: str
    priced: bool
    attributes: dict[str, str]
    split: str


@dataclass
class Found:
    """What `kindred init` found in a folder."""

    folder: Path
    files: Files
    table: Path | None  # of products; None: file names make one
    rows: int = 0
    products: list[Product] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)  # "name: reason"
    repeats: list[str] = field(default_factory=list)  # "name = name": one picture twice
    near: list[str] = field(default_factory=list)  # "name ~ name": nearly so
    faults: list[str] = field(default_factory=list)  # "row 3 ('id'): reason"
    unnamed: int = 0  # pictures that no row names
    personas: list[PersonaRow] = field(default_factory=list)
    persona_faults: list[str] = field(default_factory=list)
    subjects: list[SubjectRow] = field(default_factory=list)
    subject_faults: list[str] = field(default_factory=list)

    @property
    def captions(self) -> Counter[str]:
        """How often each caption comes."""
        return Counter(product.caption for product in self.products if product.caption)

    @property
    def attributes(self) -> Counter[str]:
        """How many products have each attribute."""
        return Counter(name for product in self.products for name in product.attributes)

    @property
    def facts(self) -> set[str]:
        """The "attribute=value" that some product has."""
        return {f"{k}={v}" for product in self.products for k, v in product.attributes.items()}


def look(folder: Path, limits: PictureLimits) -> Found:
    """Look at a folder as the stage `catalog` will: the same reader, the same checks.

    Args:
        folder: The user's folder.
        limits: Of pictures (`catalog.max_megapixels`, `catalog.max_side`).

    Raises:
        SystemExit: A table cannot be read, or lacks a column.
    """
    files = find_files(folder)
    path = _products_table(folder)
    found = Found(folder, files, path)
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        # Pillow warns of what max_megapixels decides here; the reject says it better.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        copies = Path(scratch)
        shown = _look_at_subjects(found, PictureCopier(folder, copies / "subjects", limits))
        pictures = [name for name in files.pictures if path or name not in shown]
        table = read_table(path) if path else table_from_names(pictures)
        if path:
            table.expect(REQUIRED, OPTIONAL)
        _look_at_products(found, table, PictureCopier(folder, copies / "images", limits), copies)
    named = {_alike(str(row.values.get("image")), folder) for row in table.rows}
    named |= {_alike(name, folder) for name in shown}
    found.unnamed = sum(_alike(name, folder) not in named for name in files.pictures)
    _look_at_personas(found)
    return found


def _alike(name: str, folder: Path) -> str:
    """A picture's name in one form: tables have other slashes, another case, the folder's name."""
    slashed = unicodedata.normalize("NFC", name).casefold().replace("\\", "/")
    return slashed.removeprefix("./").removeprefix(f"{folder.name.casefold()}/")


def _products_table(folder: Path) -> Path | None:
    tables = [name for suffix in READERS if (folder / (name := f"products{suffix}")).is_file()]
    return find_products(folder) if tables else None


def _look_at_products(found: Found, table: Table, copier: PictureCopier, scratch: Path) -> None:
    found.rows = len(table.rows)
    names: dict[int, str] = {}  # row -> its picture
    copies: list[Path] = []
    taken: dict[str, int] = {}
    for row in progress(table.rows, "looking at pictures"):
        product = _read(found, row, taken)
        if not product:
            continue
        names[row.number] = product.image
        picture = Cells(Row(row.number, {"image": product.image}))
        copy, _ = copier.copy(picture, str(row.number))
        if copy:
            found.products.append(product)
            copies.append(scratch / copy)
        elif row.number in copier.repeats:
            found.repeats.append(f"{product.image} = {names[copier.repeats[row.number]]}")
        else:
            reason = "; ".join(picture.reasons).removeprefix(f"image {product.image!r} ")
            found.unreadable.append(f"{product.image}: {reason}")
    found.unreadable += [
        f"{name}: its name is no UTF-8; rename it" for name in found.files.unnameable
    ]
    near = find_near(hash_pictures(copies))
    images = [product.image for product in found.products]
    found.near = [f"{images[pair.first]} ~ {images[pair.second]}" for pair in near]


def _read(found: Found, row: Row, taken: dict[str, int]) -> Product | None:
    """The row without its picture; None where something else speaks against it, which is noted."""
    cells = Cells(row)
    read = read_product(cells)
    identity = read["product_id"]
    cells.claim("product_id", identity, taken)
    note_unindexable(cells, read)
    product = Product(
        row=row,
        image=cells.text("image", required=True),
        title=cells.text("title"),
        caption=read["caption"],
        category=read["category"],
        priced=read["price"] == read["price"],  # not NaN
        attributes=read["attributes"],
        split=read["split"],
    )
    reasons = [row.fault] if row.fault else list(dict.fromkeys(cells.reasons))
    if reasons:
        found.faults.append(f"row {row.number} ({identity!r}): {'; '.join(reasons)}")
        return None
    return product


def _look_at_personas(found: Found) -> None:
    path = found.folder / PERSONAS
    if path.is_file():
        checked = read_personas(path)
        found.personas = checked.kept
        found.persona_faults = [
            f"row {one.row} ({one.id!r}): {one.reason}" for one in checked.rejects
        ]


def _look_at_subjects(found: Found, copier: PictureCopier) -> set[str]:
    """The pictures that subjects name: they are no products."""
    path = found.folder / SUBJECTS
    if not path.is_file():
        return set()
    checked = read_subjects(path, copier)
    found.subjects = checked.kept
    found.subject_faults = [f"row {one.row} ({one.id!r}): {one.reason}" for one in checked.rejects]
    return {str(row.values.get("image")) for row in checked.table.rows}


def wanting(personas: Sequence[PersonaRow], facts: set[str]) -> Iterator[PersonaRow]:
    """The personas who want something that some product has."""
    return (persona for persona in personas if facts & persona["wants"].keys())
