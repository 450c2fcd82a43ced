"""Which near-duplicates a user's folder holds: reported, and warned about where they do harm."""

import csv
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipelines.ingest.near_duplicates import Near
from retrieval.storage.files import atomic_file
from retrieval.storage.schema import ProductRow, SubjectRow

HEADER = [
    "table",
    "distance",  # of the two hashes, in bits of 256
    "first_id",
    "first_image",  # as the user's table names it
    "first_split",  # of a subject: its role
    "second_id",
    "second_image",
    "second_split",
]

_log = logging.getLogger(__name__)


def near_in_products(
    products: Sequence[ProductRow], near: Sequence[Near], sources: Mapping[str, str]
) -> list[list[str]]:
    """The report's lines for the products; warns of pairs that lie in two splits.

    Args:
        products: With their splits.
        near: Pairs of places in `products`.
        sources: A picture as the rows name it -> its name in the user's folder.
    """
    pictures = [(row["product_id"], sources[row["image"]], row["split"]) for row in products]
    apart = [pair for pair in near if pictures[pair.first][2] != pictures[pair.second][2]]
    if apart:
        _log.warning(
            "%d of %d pairs of near-duplicate products lie in two splits, since the column split"
            " puts them there: what is trained on may be tested on; give both the same, if they"
            " are alike",
            len(apart),
            len(near),
        )
    return _lines("products", near, pictures)


def near_in_subjects(
    subjects: Sequence[SubjectRow], near: Sequence[Near], sources: Mapping[str, str]
) -> list[list[str]]:
    """The report's lines for pairs of a reference and a gallery picture; warns of them.

    Args:
        subjects: Those with a picture.
        near: Pairs of places in `subjects`.
        sources: As in `near_in_products`.
    """
    pictures = [(row["row_id"], sources[row["image"]], row["role"]) for row in subjects]
    shown = [pair for pair in near if pictures[pair.first][2] != pictures[pair.second][2]]
    if shown:
        _log.warning(
            "near-duplicate pairs of a reference and a gallery picture: %d; finding what a concept"
            " was learnt from shows nothing, so remove one of each",
            len(shown),
        )
    return _lines("subjects", shown, pictures)


def _lines(
    table: str, near: Sequence[Near], pictures: Sequence[tuple[str, str, str]]
) -> list[list[str]]:
    return [
        [table, str(pair.distance), *pictures[pair.first], *pictures[pair.second]] for pair in near
    ]


def write_report(path: Path, lines: Sequence[Sequence[str]]) -> None:
    """Write the lines as CSV, atomically; the header alone where there are none."""
    with (
        atomic_file(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows(lines)
