"""A user's subjects for personal concepts: subjects.jsonl, checked line by line.

Three kinds of row hang together: a query needs references of its concepts and truths in the
gallery. So references and gallery are checked first, wherever in the file they stand.
"""

import re
from pathlib import Path

from pipelines.ingest.pictures import PictureCopier
from pipelines.ingest.rejects import Checked
from pipelines.run.stage import progress
from pipelines.tables.reader import read_table
from pipelines.tables.rows import Cells
from retrieval.storage.schema import SubjectRow

REQUIRED = ("row_id", "role")
OPTIONAL = ("concepts", "noun", "kind", "text", "image", "truths")
ROLES = ("reference", "gallery", "query")
KINDS = ("concept_only", "context", "multi")

_CONCEPT = re.compile(r"\w[\w .-]{0,62}\w|\w")  # it names a folder


def read_subjects(path: Path, pictures: PictureCopier) -> Checked[SubjectRow]:
    """Read and check the subjects, and copy their pictures.

    Raises:
        SystemExit: The file lacks a column in every line, or has no rows.
    """
    table = read_table(path)
    table.expect(REQUIRED, OPTIONAL)
    checker = _Checker(Checked(table), pictures)
    checker.check_all()
    return checker.checked


class _Checker:
    """What rows are checked against: the rows that were kept before them."""

    def __init__(self, checked: Checked[SubjectRow], pictures: PictureCopier) -> None:
        self.checked = checked
        self._pictures = pictures
        self._numbers: dict[str, int] = {}  # row_id -> number of its row
        self._nouns: dict[str, tuple[str, int]] = {}  # concept -> noun, and the row that gave it
        self._gallery: set[str] = set()  # row_ids that are kept

    def check_all(self) -> None:
        """References, then the gallery, then queries; the result is in the file's order."""
        rows = [(cells, self._read_common(cells)) for cells in self.checked.cells()]
        rows.sort(key=lambda row: ROLES.index(row[1]["role"]) if row[1]["role"] in ROLES else -1)
        checks = {
            "reference": self._check_reference,
            "gallery": self._check_gallery,
            "query": self._check_query,
        }
        for cells, row in progress(rows, "checking subjects"):
            checks.get(row["role"], self._reject_role)(cells, row)
        self.checked.kept.sort(key=lambda row: self._numbers[row["row_id"]])
        self.checked.rejects.sort(key=lambda reject: reject.row)

    def _read_common(self, cells: Cells) -> SubjectRow:
        """The row with the columns that rows of every role have."""
        identity = cells.text("row_id", required=True)
        cells.claim("row_id", identity, self._numbers)
        concepts = cells.texts("concepts")
        for concept in concepts:
            if not _CONCEPT.fullmatch(concept):
                cells.reasons.append(
                    f"concepts holds {concept!r}, expected a name of at most 64 letters, digits,"
                    " spaces, _ . or -, with a letter or digit at either end"
                )
        return {
            "row_id": identity,
            "role": cells.text("role"),
            "concepts": concepts,
            "noun": "",
            "kind": "",
            "text": "",
            "image": "",
            "image_sha256": "",
            "truths": [],
        }

    def _keep_or_reject(self, cells: Cells, row: SubjectRow) -> bool:
        return self.checked.keep_or_reject(cells, row["row_id"], row)

    def _reject_role(self, cells: Cells, row: SubjectRow) -> None:
        cells.reasons.append(f"role is {row['role']!r}, expected {', '.join(ROLES)}")
        self._keep_or_reject(cells, row)

    def _check_reference(self, cells: Cells, row: SubjectRow) -> None:
        row["noun"] = noun = cells.text("noun", required=True)
        if len(row["concepts"]) != 1:
            cells.reasons.append(f"concepts is {row['concepts']}, expected one for a reference")
        for concept in row["concepts"]:
            first, number = self._nouns.get(concept, (noun, cells.number))
            if noun != first:
                cells.reasons.append(
                    f"noun is {noun!r}, expected {first!r} as in row {number}: the references of a"
                    " concept share one noun"
                )
        if self._keep_with_picture(cells, row):
            self._nouns.setdefault(row["concepts"][0], (noun, cells.number))

    def _check_gallery(self, cells: Cells, row: SubjectRow) -> None:
        if self._keep_with_picture(cells, row):
            self._gallery.add(row["row_id"])

    def _keep_with_picture(self, cells: Cells, row: SubjectRow) -> bool:
        row["image"], row["image_sha256"] = self._pictures.copy(cells, row["row_id"])
        return self._keep_or_reject(cells, row)

    def _check_query(self, cells: Cells, row: SubjectRow) -> None:
        row["kind"] = cells.text("kind")
        row["text"] = cells.text("text", required=True)
        row["truths"] = cells.texts("truths")
        _note_form(cells, row)
        cells.reasons += [
            f"concept {concept!r} has no reference row that is kept"
            for concept in row["concepts"]
            if concept not in self._nouns
        ]
        cells.reasons += [self._untrue(t) for t in row["truths"] if t not in self._gallery]
        self._keep_or_reject(cells, row)

    def _untrue(self, truth: str) -> str:
        if number := self._numbers.get(truth):
            return f"truth {truth!r} is row {number}, which is rejected or no gallery row"
        return f"truth {truth!r} is no row_id of this file"


def _note_form(cells: Cells, row: SubjectRow) -> None:
    """Note what is wrong with a query by itself."""
    kind, stars, concepts = row["kind"], row["text"].count("*"), len(row["concepts"])
    if kind not in KINDS:
        cells.reasons.append(f"kind is {kind!r}, expected {', '.join(KINDS)}")
    elif concepts == 0 or (concepts > 1) != (kind == "multi"):
        expected = "two or more" if kind == "multi" else "one"
        cells.reasons.append(f"concepts is {row['concepts']}, expected {expected} for {kind}")
    if stars != concepts:
        cells.reasons.append(f"text has {stars} *, expected one for each of {concepts} concepts")
    if not row["truths"]:
        cells.reasons.append("truths is empty, expected row_ids of the gallery")
