"""Subjects of a user's folder: rows that hang together."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pipelines.ingest.folder import FolderCatalog
from retrieval.storage.files import sha256_file
from retrieval.storage.schema import SUBJECTS, write_rows

SUBJECT_ROWS: list[dict[str, Any]] = [
    {
        "row_id": "q1",
        "role": "query",
        "kind": "context",
        "concepts": ["mug"],
        "text": "* by the sea",
        "truths": ["g1"],
    },
    {
        "row_id": "r1",
        "role": "reference",
        "concepts": ["mug"],
        "noun": "mug",
        "image": "photos/1.png",
    },
    {
        "row_id": "r2",
        "role": "reference",
        "concepts": ["mug"],
        "noun": "mug",
        "image": "photos/2.png",
    },
    {
        "row_id": "r3",
        "role": "reference",
        "concepts": ["rex"],
        "noun": "dog",
        "image": "photos/3.png",
    },
    {"row_id": "g1", "role": "gallery", "concepts": ["mug"], "image": "photos/4.png"},
    {"row_id": "g2", "role": "gallery", "concepts": ["mug", "rex"], "image": "photos/5.png"},
    {"row_id": "g3", "role": "gallery", "image": "photos/6.png"},
    {
        "row_id": "q2",
        "role": "query",
        "kind": "multi",
        "concepts": ["mug", "rex"],
        "text": "* next to *",
        "truths": ["g2"],
    },
    {
        "row_id": "q3",
        "role": "query",
        "kind": "concept_only",
        "concepts": ["mug"],
        "text": "*",
        "truths": ["g1", "g2"],
    },
]


def read_subjects(folder: Any, changes: Mapping[str, Mapping[str, Any]]) -> FolderCatalog:
    """Read the subjects with some rows changed."""
    rows = [row | changes.get(row["row_id"], {}) for row in SUBJECT_ROWS]
    folder.write("subjects.jsonl", rows)
    return folder.read_products(folder.product(1))


def test_subjects_are_read_in_the_files_order(folder: Any, tmp_path: Path) -> None:
    catalog = read_subjects(folder, {})
    assert catalog.rejects == []
    assert [row["row_id"] for row in catalog.subjects] == [row["row_id"] for row in SUBJECT_ROWS]
    write_rows(tmp_path / "subjects.parquet", catalog.subjects, SUBJECTS)
    query, reference = catalog.subjects[:2]
    assert (query["text"], query["truths"], query["image"]) == ("* by the sea", ["g1"], "")
    assert reference["noun"] == "mug"
    assert reference["image"].startswith("subjects/")
    copy = folder.out / reference["image"]
    assert sha256_file(copy) == reference["image_sha256"]


def test_without_subjects_there_is_no_folder_for_them(folder: Any) -> None:
    catalog = folder.read_products(folder.product(1))
    assert catalog.subjects == []
    assert not (folder.out / "subjects").exists()


@pytest.mark.parametrize(
    ("row", "changes", "expected"),
    [
        ("g3", {"role": "distractor"}, {"g3": "role is 'distractor', expected reference, gallery"}),
        ("g3", {"role": None}, {"g3": "role is '', expected"}),
        ("g3", {"row_id": ""}, {"": "row_id is missing or blank"}),
        ("g3", {"row_id": "g1"}, {"g1": "row_id 'g1' is already that of row 5"}),
        ("g3", {"concepts": "mug"}, {"g3": "concepts is 'mug', expected a list"}),
        ("g3", {"concepts": ["mug", "mug"]}, {"g3": "none twice"}),
        ("g3", {"concepts": [""]}, {"g3": "no blank entry"}),
        ("g3", {"concepts": [["mug"]]}, {"g3": "an entry of concepts is ['mug'] (list)"}),
        ("g3", {"concepts": ["../mug"]}, {"g3": "concepts holds '../mug', expected a name"}),
        ("g3", {"image": None}, {"g3": "image is missing or blank"}),
        ("g3", {"image": "../x.png"}, {"g3": "leaves "}),
        ("g3", {"image": "photos/1.png"}, {"g3": "shows the same as row 2's"}),
        ("r2", {"noun": "cup"}, {"r2": "noun is 'cup', expected 'mug' as in row 2"}),
        ("r2", {"noun": ""}, {"r2": "noun is missing or blank"}),
        ("r2", {"concepts": []}, {"r2": "concepts is [], expected one for a reference"}),
        ("r2", {"image": "none.png"}, {"r2": "does not exist"}),
        (
            "r3",
            {"image": "none.png"},
            {"r3": "does not exist", "q2": "concept 'rex' has no reference row that is kept"},
        ),
        (
            "g1",
            {"image": "none.png"},
            {
                "q1": "truth 'g1' is row 5, which is rejected",
                "g1": "does not exist",
                "q3": "truth 'g1' is row 5",
            },
        ),
        ("q1", {"truths": ["g9"]}, {"q1": "truth 'g9' is no row_id of this file"}),
        ("q1", {"truths": ["r1"]}, {"q1": "truth 'r1' is row 2, which is rejected or no gallery"}),
        ("q1", {"truths": []}, {"q1": "truths is empty"}),
        ("q1", {"kind": "scene"}, {"q1": "kind is 'scene', expected concept_only, context, multi"}),
        ("q1", {"text": ""}, {"q1": "text is missing or blank"}),
        ("q1", {"text": "by the sea"}, {"q1": "text has 0 *, expected one for each of 1 concepts"}),
        ("q1", {"text": "* and *"}, {"q1": "text has 2 *, expected one for each of 1 concepts"}),
        ("q1", {"concepts": []}, {"q1": "concepts is [], expected one for context"}),
        ("q1", {"kind": "multi"}, {"q1": "concepts is ['mug'], expected two or more for multi"}),
        ("q2", {"kind": "context"}, {"q2": "expected one for context"}),
    ],
)
def test_a_faulty_subject_takes_along_what_depends_on_it(
    folder: Any, row: str, changes: dict[str, Any], expected: dict[str, str]
) -> None:
    catalog = read_subjects(folder, {row: changes})
    found = {reject.id: reject.reason for reject in catalog.rejects}
    assert list(found) == list(expected)
    for identity, reason in expected.items():
        assert reason in found[identity]
    assert len(catalog.subjects) + len(catalog.rejects) == len(SUBJECT_ROWS)
    assert [reject.row for reject in catalog.rejects] == sorted(r.row for r in catalog.rejects)
