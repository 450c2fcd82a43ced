"""Which files of a folder are pictures, and the table that their names make."""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipelines.run.stage import progress
from pipelines.tables.reader import Table
from pipelines.tables.rows import Row
from retrieval.images import FORMATS
from retrieval.storage.files import atomic_file

TABLE = "products.csv"
COLUMNS = ("product_id", "image", "title", "caption", "category")

# What a folder of a catalogue holds beside pictures, by name or suffix: nothing to wonder at.
_TABLES = frozenset({".csv", ".parquet", ".jsonl", ".json", ".md"})
# Telephones write them; whether they can be read shows when they are opened.
_FROM_TELEPHONES = frozenset({".heic", ".heif"})


@dataclass(frozen=True)
class Files:
    """A folder's files, by their paths inside it in POSIX form; hidden ones do not count."""

    pictures: list[str]
    unnameable: list[str]  # pictures whose names are no UTF-8: no table can hold them
    others: Counter[str]  # suffix -> how many files that are neither pictures nor tables


def find_files(folder: Path) -> Files:
    """Look through the folder and everything below it."""
    suffixes = _picture_suffixes()
    files = Files([], [], Counter())
    for path in progress(sorted(folder.rglob("*")), "looking for pictures"):
        inside = path.relative_to(folder)
        if any(part.startswith(".") for part in inside.parts) or not path.is_file():
            continue
        suffix = path.suffix.lower()
        if suffix not in suffixes:
            files.others.update([] if suffix in _TABLES else [suffix or "no suffix"])
        elif _is_utf8(name := inside.as_posix()):
            files.pictures.append(name)
        else:
            files.unnameable.append(name.encode(errors="backslashreplace").decode())
    return files


def _picture_suffixes() -> frozenset[str]:
    from PIL import Image

    known = {suffix for suffix, name in Image.registered_extensions().items() if name in FORMATS}
    return frozenset(known) | _FROM_TELEPHONES


def _is_utf8(name: str) -> bool:
    return name == name.encode(errors="replace").decode()


def table_from_names(pictures: Sequence[str]) -> Table:
    """The table of products that file and folder names make, a row a picture.

    An id is the file's name without its suffix where these differ, else with the folders, else with
    the suffix too. A category is the folder, below the one that holds all pictures.
    """
    ids = _ids(pictures)
    folders = [PurePosixPath(name).parent.parts for name in pictures]
    shared = _shared(folders)
    rows = [
        Row(number, dict(zip(COLUMNS, (id_, name, "", "", "/".join(parts[shared:])), strict=True)))
        for number, (id_, name, parts) in enumerate(zip(ids, pictures, folders, strict=True), 1)
    ]
    return Table(TABLE, list(COLUMNS), rows)


def _ids(pictures: Sequence[str]) -> list[str]:
    paths = [PurePosixPath(name) for name in pictures]
    for ids in ([path.stem for path in paths], [str(path.with_suffix("")) for path in paths]):
        if len(set(ids)) == len(ids):
            return ids
    return list(pictures)


def _shared(folders: Sequence[tuple[str, ...]]) -> int:
    """How many folders, from the top, all pictures lie in."""
    levels = zip(*folders, strict=False)
    return next(
        (n for n, level in enumerate(levels) if len(set(level)) > 1),
        min(map(len, folders), default=0),
    )


def write_table(folder: Path, rows: Sequence[Row]) -> Path:
    """Write the folder's products.csv, atomically.

    Raises:
        FileExistsError: There is one, which is never overwritten.
    """
    path = folder / TABLE
    if path.exists():
        msg = f"{path} exists"
        raise FileExistsError(msg)
    with (
        atomic_file(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(row.values for row in rows)
    return path
