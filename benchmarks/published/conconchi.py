"""ConCon-Chi in its published form: 20 concepts, 4,008 pictures, scenes in words.

PATH/data/annotations/{train,test}.json, PATH/data/images/... -> Benchmark

A row: {"LABEL": "* on a table", "CONCEPTS": [3], "GTS": ["a.jpg"], "ADDITIONAL GTS": ["b.jpg"],
"KIND": ..., "ENV": ...}. Each * is the next concept. Additional ground truths count like the
others; rows of KIND "negative" are no queries, their pictures stay in the pool.
"""

from collections import defaultdict
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
    queries = _queries(test, images, set(photos), files[1])
    expect_files([path for some in photos.values() for path in some], "ConCon-Chi")
    expect_files([row["image"] for row in gallery], "ConCon-Chi")
    queries = [*concept_only_queries(photos, gallery), *queries]
    return Benchmark(dict.fromkeys(photos, noun), photos, gallery, queries)


def _gallery(test: Rows, images: Path) -> Rows:
    """Every picture of the test rows once; what any row says is in it counts."""
    shown: dict[Path, set[str]] = defaultdict(set)
    for row in test:
        concepts = [] if row["KIND"] == NEGATIVE else row["CONCEPTS"]
        for name in (*row["GTS"], *row["ADDITIONAL GTS"]):
            shown[images / name] |= {_name(concept) for concept in concepts}
    return [picture(path, concepts) for path, concepts in shown.items()]


def _queries(test: Rows, images: Path, known: set[str], file: Path) -> Rows:
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
        truths = [images / name for name in (*row["GTS"], *row["ADDITIONAL GTS"])]
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
