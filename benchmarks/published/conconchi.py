"""ConCon-Chi in its published form: 20 concepts, 4,008 pictures, scenes in words.

PATH/data/annotations/{train,test}.json, PATH/data/images/... -> Benchmark

A row: {"LABEL": "* on a table", "CONCEPTS": [3], "GTS": ["a.jpg"], "ADDITIONAL GTS": ["b.jpg"],
"KIND": ..., "ENV": ...}. Each * is the next concept. As the paper's evaluation has it (arXiv
2506.10182):

- The pool is the ground truths (GTS) of all test rows, once each. Rows of KIND "negative" are no
  queries; their pictures are in the pool and keep their concepts.
- Additional ground truths count where they are in the pool. They may be training pictures: those
  are dropped, so that they neither enlarge the pool nor count as never found.
- Concept-only queries search the pictures of exactly one concept: of rows that have one. Of a
  picture in several rows each row counts by itself, not their concepts together.
"""

from pathlib import Path
from typing import Any

from benchmarks.published.data import (
    Benchmark,
    concept_only_queries,
    expect_files,
    picture,
    query,
)
from retrieval.storage.files import read_json

NEGATIVE = "negative"
_LISTS = {"CONCEPTS": int, "GTS": str}

Rows = list[dict[str, Any]]


def read_conconchi(folder: Path, noun: str) -> Benchmark:
    """Read the annotations and check that every picture is there.

    Args:
        folder: What the published archive unpacks to.
        noun: What each concept is called besides its identifier; the annotations have no nouns.

    Raises:
        SystemExit: A file is missing or a row is malformed; both are named.
    """
    images, annotations = folder / "data" / "images", folder / "data" / "annotations"
    files = [annotations / f"{part}.json" for part in ("train", "test")]
    expect_files(files, "ConCon-Chi")
    train, test = (_read(file) for file in files)
    photos: dict[str, list[Path]] = {}
    for number, row in enumerate(train):
        if len(row["CONCEPTS"]) != 1:
            msg = f"{files[0]}: row {number} has concepts {row['CONCEPTS']}, expected one"
            raise SystemExit(msg)
        known = photos.setdefault(_name(row["CONCEPTS"][0]), [])
        known += [path for name in row["GTS"] if (path := images / name) not in known]
    gallery = _gallery(test, images)
    pool = {row["image"] for row in gallery}
    queries = _queries(test, images, pool, set(photos), files[1])
    expect_files([*(path for some in photos.values() for path in some), *pool], "ConCon-Chi")
    alone = {name: _alone(test, images, name) for name in photos}
    queries = [*concept_only_queries(alone), *queries]
    return Benchmark(dict.fromkeys(photos, noun), photos, gallery, queries)


def _gallery(test: Rows, images: Path) -> Rows:
    """The pool. Of a picture's rows one with a single concept says what it shows, else the first.

    That decides whether concept-only queries search it.
    """
    shown: dict[Path, list[int]] = {}
    for row in test:
        for name in row["GTS"]:
            concepts = shown.setdefault(images / name, row["CONCEPTS"])
            if len(concepts) != 1 == len(row["CONCEPTS"]):
                shown[images / name] = row["CONCEPTS"]
    return [picture(path, map(_name, concepts)) for path, concepts in shown.items()]


def _alone(test: Rows, images: Path, concept: str) -> list[Path]:
    """The pictures of rows that have this concept and no other."""
    return [
        images / name
        for row in test
        if [_name(number) for number in row["CONCEPTS"]] == [concept]
        for name in row["GTS"]
    ]


def _queries(test: Rows, images: Path, pool: set[Path], known: set[str], file: Path) -> Rows:
    queries = []
    for number, row in enumerate(test):
        if row["KIND"] == NEGATIVE:
            continue
        concepts = [_name(concept) for concept in row["CONCEPTS"]]
        if row["LABEL"].count("*") != len(concepts) or not concepts:
            msg = (
                f"{file}: row {number} has label {row['LABEL']!r} and concepts {row['CONCEPTS']},"
                " expected a * for each concept"
            )
            raise SystemExit(msg)
        if unknown := sorted(set(concepts) - known):
            msg = f"{file}: row {number} asks for {unknown}, of which train.json has no photo"
            raise SystemExit(msg)
        named = [images / name for name in (*row["GTS"], *row["ADDITIONAL GTS"])]
        truths = [path for path in named if path in pool]
        kind = "context" if len(concepts) == 1 else "multi"
        queries.append(query(kind, row["LABEL"], concepts, truths))
    return queries


def _read(file: Path) -> Rows:
    try:
        content = read_json(file)
    except ValueError as error:
        raise SystemExit(str(error)) from error
    rows = content.get("data") if isinstance(content, dict) else None
    if not isinstance(rows, list) or not rows:
        msg = f'{file}: got no rows, expected {{"data": [row, ...]}}'
        raise SystemExit(msg)
    return [_check(row, f"{file}: row {number}") for number, row in enumerate(rows)]


def _check(row: Any, place: str) -> dict[str, Any]:
    """A row with what is optional filled in."""
    if not isinstance(row, dict):
        msg = f"{place} is {row!r}, expected an object"
        raise SystemExit(msg)
    full = {"LABEL": "*", "KIND": "", "ADDITIONAL GTS": [], **row}
    for key, kind in {**_LISTS, "ADDITIONAL GTS": str}.items():
        values = full.get(key)
        if not isinstance(values, list) or not all(isinstance(value, kind) for value in values):
            msg = f"{place}: {key} is {values!r}, expected a list of {kind.__name__}"
            raise SystemExit(msg)
    if not isinstance(full["LABEL"], str) or not full["GTS"]:
        msg = f"{place}: LABEL is {full['LABEL']!r} and GTS {full['GTS']!r}, expected both"
        raise SystemExit(msg)
    return full


def _name(concept: int) -> str:
    return f"concept-{concept}"
