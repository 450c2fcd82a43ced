"""A user's subjects for personal concepts: subjects.jsonl, checked line by line.

Three kinds of row hang together: a query needs references of its concepts and truths in the
gallery. So references and gallery are settled first, wherever in the file they stand.
"""

import re
from pathlib import Path
from typing import Any

from pipelines.ingest.pictures import PictureShelf
from pipelines.ingest.rejects import Checked
from pipelines.run.stage import progress
from pipelines.tables.reader import read_table
from pipelines.tables.rows import Cells

REQUIRED = ("row_id", "role")
OPTIONAL = ("concepts", "noun", "kind", "text", "image", "truths")
ROLES = ("reference", "gallery", "query")
KINDS = ("concept_only", "context", "multi")

_CONCEPT = re.compile(r"\w[\w .-]{0,62}\w|\w")  # it names a folder
_EMPTY = {"noun": "", "kind": "", "text": "", "image": "", "image_sha256": ""}


def read_subjects(path: Path, shelf: PictureShelf) -> Checked:
    """Read and check the subjects, and take their pictures onto the shelf.

    Raises:
        SystemExit: The file lacks a column in every line, or has no rows.
    """
    table = read_table(path)
    table.expect(REQUIRED, OPTIONAL)
    return _Settling(Checked(table), shelf).settle_all()


class _Settling:
    """The state that rows are checked against: what has been settled before them."""

    def __init__(self, checked: Checked, shelf: PictureShelf) -> None:
        self._checked = checked
        self._shelf = shelf
        self._rows: dict[str, int] = {}  # row_id -> row
        self._nouns: dict[
            str, tuple[str, int]
        ] = {}  # concept -> its noun, and the row that says so
        self._gallery: set[str] = set()  # row_ids that are kept

    def settle_all(self) -> Checked:
        """Settle references, then the gallery, then queries; return all in the file's order."""
        rows = [(cells, self._common(cells)) for cells in self._checked.cells()]
        rows.sort(key=lambda row: ROLES.index(row[1]["role"]) if row[1]["role"] in ROLES else -1)
        settle = {"reference": self._reference, "gallery": self._picture, "query": self._query}
        for cells, record in progress(rows, "checking subjects"):
            settle.get(record["role"], self._stranger)(cells, record)
        self._checked.kept.sort(key=lambda record: self._rows[record["row_id"]])
        self._checked.rejects.sort(key=lambda reject: reject.row)
        return self._checked

    def _common(self, cells: Cells) -> dict[str, Any]:
        identity = cells.text("row_id", required=True)
        cells.claim("row_id", identity, self._rows)
        concepts = cells.texts("concepts")
        for concept in concepts:
            if not _CONCEPT.fullmatch(concept):
                cells.reasons.append(
                    f"concepts holds {concept!r}, expected a name of at most 64 letters, digits,"
                    " spaces, _ . or -, with a letter or digit at either end"
                )
        role = cells.text("role")
        return {"row_id": identity, "role": role, "concepts": concepts, "truths": []} | _EMPTY

    def _settle(self, cells: Cells, record: dict[str, Any]) -> bool:
        return self._checked.settle(cells, record["row_id"], record)

    def _stranger(self, cells: Cells, record: dict[str, Any]) -> None:
        cells.reasons.append(f"role is {record['role']!r}, expected {', '.join(ROLES)}")
        self._settle(cells, record)

    def _reference(self, cells: Cells, record: dict[str, Any]) -> None:
        record["noun"] = noun = cells.text("noun", required=True)
        if len(record["concepts"]) != 1:
            cells.reasons.append(f"concepts is {record['concepts']}, expected one for a reference")
        for concept in record["concepts"]:
            first, row = self._nouns.get(concept, (noun, cells.number))
            if noun != first:
                cells.reasons.append(
                    f"noun is {noun!r}, expected {first!r} as in row {row}: the references of a"
                    " concept share one noun"
                )
        record |= self._shelf.take(cells, record["row_id"])
        if self._settle(cells, record):
            self._nouns.setdefault(record["concepts"][0], (noun, cells.number))

    def _picture(self, cells: Cells, record: dict[str, Any]) -> None:
        record |= self._shelf.take(cells, record["row_id"])
        if self._settle(cells, record):
            self._gallery.add(record["row_id"])

    def _query(self, cells: Cells, record: dict[str, Any]) -> None:
        record["kind"] = cells.text("kind")
        record["text"] = cells.text("text", required=True)
        record["truths"] = cells.texts("truths")
        _note_form(cells, record)
        cells.reasons += [
            f"concept {concept!r} has no reference row that is kept"
            for concept in record["concepts"]
            if concept not in self._nouns
        ]
        cells.reasons += [self._untrue(t) for t in record["truths"] if t not in self._gallery]
        self._settle(cells, record)

    def _untrue(self, truth: str) -> str:
        if truth in self._rows:
            return (
                f"truth {truth!r} is row {self._rows[truth]}, which is rejected or no gallery row"
            )
        return f"truth {truth!r} is no row_id of this file"


def _note_form(cells: Cells, record: dict[str, Any]) -> None:
    """Note what is wrong with a query by itself."""
    kind, stars, concepts = record["kind"], record["text"].count("*"), len(record["concepts"])
    if kind not in KINDS:
        cells.reasons.append(f"kind is {kind!r}, expected {', '.join(KINDS)}")
    elif concepts == 0 or (concepts > 1) != (kind == "multi"):
        expected = "two or more" if kind == "multi" else "one"
        cells.reasons.append(f"concepts is {record['concepts']}, expected {expected} for {kind}")
    if stars != concepts:
        cells.reasons.append(f"text has {stars} *, expected one for each of {concepts} concepts")
    if not record["truths"]:
        cells.reasons.append("truths is empty, expected row_ids of the gallery")
