"""DeepFashion2 for personal concepts, as the PerVL annotations have it: 50 garments.

PATH/{split}_fsl_train.txt                 photos: "<folder>/<code>:", names, a blank line
PATH/train_coarse_grained_names.csv        unique_pair_ids, pair_id_categories: the nouns
PATH/{split}_captions.csv                  image_name, caption, pair_id: the pool
PATH/shortened_deepfashion2_captions.csv   likewise: the queries, as published
PATH/train/image/                          DeepFashion2's own pictures
    -> Benchmark

As published: five of a concept's 7 to 14 photos are drawn at random with seed 123, and every
"person" of a caption becomes "person wearing *". Which five the authors' draw gave is not known;
ours goes through the concepts in the file's order with Python's own generator.
"""

import csv
from pathlib import Path
from random import Random

from benchmarks.published.data import (
    Benchmark,
    concept_only_queries,
    expect_files,
    picture,
    query,
)

NAMES = ("unique_pair_ids", "pair_id_categories")
CAPTIONS = ("image_name", "caption", "pair_id")
SHORTENED = "shortened_deepfashion2_captions.csv"
PHOTOS = 5  # of each concept, as published
SEED = 123  # likewise
WHO = "person"  # of a caption, who wears the concept

Captions = list[dict[str, str]]


def read_perval(folder: Path, split: str = "test", photos: int = PHOTOS) -> Benchmark:
    """Read the annotations and check that every picture is there.

    Args:
        folder: Where the annotations and DeepFashion2's `train/` lie.
        split: Whose concepts: `test` or `validation`.
        photos: How many of a concept's photos to learn from; all where there are no more.

    Raises:
        SystemExit: A file is missing or a row is malformed; both are named.
    """
    blocks, names = folder / f"{split}_fsl_train.txt", folder / "train_coarse_grained_names.csv"
    pool, shortened = folder / f"{split}_captions.csv", folder / SHORTENED
    expect_files([blocks, names, pool, shortened], "DeepFashion2 (PerVL)")
    draw = Random(SEED)  # noqa: S311 -- a repeatable draw, no secret
    codes = {
        code: draw.sample(some, min(photos, len(some))) for code, some in _blocks(blocks).items()
    }
    categories = {row[NAMES[0]]: row[NAMES[1]].strip() for row in _table(names, NAMES)}
    if unnamed := [code for code in codes if not categories.get(code)]:
        msg = f"{names}: no category for {unnamed}, which {blocks} has photos of"
        raise SystemExit(msg)
    learned = {code: [_find(folder, name) for name in some] for code, some in codes.items()}
    seen = {path for some in learned.values() for path in some}
    shown: dict[Path, set[str]] = {}
    for row in _table(pool, CAPTIONS):
        if (path := _find(folder, row["image_name"])) not in seen:
            shown.setdefault(path, set()).update({row["pair_id"]} & set(codes))
    gallery = [picture(path, concepts) for path, concepts in shown.items()]
    expect_files([*seen, *shown], "DeepFashion2 (PerVL)")
    alone = {code: [row["image"] for row in gallery if row["concepts"] == [code]] for code in codes}
    queries = concept_only_queries(alone)
    for number, row in enumerate(_table(shortened, CAPTIONS), start=2):
        path = _find(folder, row["image_name"])
        if row["pair_id"] in codes and path in shown:  # the file holds both splits
            queries.append(_context(row, path, f"{shortened}: line {number}"))
    return Benchmark({code: categories[code] for code in codes}, learned, gallery, queries)


def _context(row: dict[str, str], path: Path, place: str) -> dict[str, object]:
    """Read "A person on a beach" as "A person wearing * on a beach", each person in it."""
    if WHO not in row["caption"]:
        msg = f"{place}: caption {row['caption']!r} has no person, who would be wearing the concept"
        raise SystemExit(msg)
    text = row["caption"].replace(WHO, f"{WHO} wearing *")
    return query("context", text, [row["pair_id"]], [path])


def _blocks(file: Path) -> dict[str, list[str]]:
    """The photos of each concept, by its code."""
    photos: dict[str, list[str]] = {}
    code: str | None = None
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        text = line.strip()
        if not text:
            code = None
        elif text.endswith(":"):
            code = text[:-1].rsplit("/", maxsplit=1)[-1]
            photos.setdefault(code, [])
        elif code is None:
            msg = f"{file}: line {number} is {text!r}, expected a line <folder>/<code>: before it"
            raise SystemExit(msg)
        elif text not in photos[code]:
            photos[code].append(text)
    if empty := [code for code, some in photos.items() if not some] or not photos:
        msg = f"{file}: got no photos for {empty if photos else 'any concept'}, expected some"
        raise SystemExit(msg)
    return photos


def _table(file: Path, columns: tuple[str, ...]) -> Captions:
    with file.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream)
        missing = [column for column in columns if column not in (reader.fieldnames or ())]
        if missing:
            msg = f"{file}: got columns {reader.fieldnames}, expected {', '.join(columns)}"
            raise SystemExit(msg)
        rows = list(reader)
    for number, row in enumerate(rows, start=2):
        if not all((row[column] or "").strip() for column in columns):
            msg = f"{file}: line {number} is {dict(row)}, expected {', '.join(columns)}"
            raise SystemExit(msg)
    return rows


def _find(folder: Path, name: str) -> Path:
    """A picture by a name with or without its folder."""
    here = folder / name
    return here if here.is_file() else folder / "train" / "image" / Path(name).name
