"""A published benchmark of personal concepts, whatever files it came in."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SHOWN = 10  # missing files that an error names

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Benchmark:
    """Concepts with their photos, a pool of pictures, and queries.

    `gallery` and `queries` have the keys of `retrieval.storage.schema.SUBJECTS`: a gallery row's
    `concepts` are those in the picture, `image` is its path.
    """

    nouns: dict[str, str]
    photos: dict[str, list[Path]]
    gallery: Rows
    queries: Rows


def picture(path: Path, concepts: Iterable[str]) -> dict[str, Any]:
    """A gallery row; its path is its name."""
    return {"row_id": str(path), "concepts": sorted(concepts), "image": path}


def query(kind: str, text: str, concepts: list[str], truths: Iterable[Path]) -> dict[str, Any]:
    """A query; of a truth that is named twice one counts."""
    named = list(dict.fromkeys(str(path) for path in truths))
    return {"kind": kind, "text": text, "concepts": concepts, "truths": named}


def concept_only_queries(alone: Mapping[str, Sequence[Path]]) -> Rows:
    """Ask for "An image of *" for each concept that the pool shows alone.

    Args:
        alone: Concept -> the pictures that show it and no other concept; may be none.
    """
    return [
        query("concept_only", "An image of *", [name], paths)
        for name, paths in alone.items()
        if paths
    ]


def expect_files(paths: Iterable[Path], origin: str) -> None:
    """Refuse a folder that lacks files, and name them.

    Raises:
        SystemExit: A file is missing.
    """
    missing = [str(path) for path in dict.fromkeys(paths) if not path.is_file()]
    if missing:
        more = f"\n  and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        listed = "\n  ".join(missing[:SHOWN])
        msg = f"{len(missing)} files that {origin} needs are missing:\n  {listed}{more}"
        raise SystemExit(msg)
