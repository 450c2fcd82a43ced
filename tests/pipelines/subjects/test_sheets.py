import numpy as np
import pytest
from PIL import Image, ImageColor

from pipelines.subjects import sheets as concept_sheets
from pipelines.subjects.sheets import CELL, FIRST, HIT, SCENES, draw_sheet, search_scenes
from retrieval.concepts.concept import new_concept


def _query(text, *truths, kind="context", concepts=("fido",)):
    row = {"role": "query", "kind": kind, "text": text, "truths": list(truths)}
    return row | {"concepts": list(concepts)}


GALLERY = [{"row_id": f"g{n}", "image": f"{n}.jpg", "concepts": []} for n in range(7)]


@pytest.fixture
def found(monkeypatch, tmp_path):
    monkeypatch.setattr(concept_sheets, "SUBJECTS_FILE", tmp_path / "subjects.parquet")
    monkeypatch.setattr(
        concept_sheets,
        "encode_kindred",
        lambda tower, queries, concepts: np.eye(7)[[2] * len(queries)],
    )
    subjects = [
        _query("an image of *", "g1", kind="concept_only"),
        _query("* on a sofa", "g2", "g0"),
        _query("* and *", "g1", concepts=("fido", "rex"), kind="multi"),
        *[_query(f"* in scene {n}", "g5") for n in range(SCENES)],
    ]
    concept = new_concept("fido", "dog", "sks", 4)
    return search_scenes(None, concept, subjects, GALLERY, np.eye(7)), tmp_path


def test_the_first_scenes_of_a_concept_are_searched(found):
    searches, folder = found
    assert len(searches) == SCENES
    words, pictures = searches[0]
    assert words == "my dog on a sofa"
    assert len(pictures) == FIRST
    # The second picture scores best; equal ones keep the gallery's order.
    assert pictures[:3] == [
        (folder / "2.jpg", True),
        (folder / "0.jpg", True),
        (folder / "1.jpg", False),
    ]


def test_right_answers_are_framed_and_wrong_ones_are_not(tmp_path):
    Image.new("RGB", (60, 40), "navy").save(tmp_path / "p.png")
    path = tmp_path / "p.png"
    counts = []
    for right in (0, 1, 2):
        searches = [("my dog on a sofa", [(path, number < right) for number in range(2)])]
        draw_sheet("fido", [Image.new("RGB", (30, 30), "red")], searches, tmp_path / "s.png")
        with Image.open(tmp_path / "s.png") as sheet:
            green = np.asarray(sheet.convert("RGB")) == ImageColor.getrgb(HIT)
        counts.append(int(green.all(axis=-1).sum()))
    assert counts[0] == 0
    assert counts[2] == 2 * counts[1] > 8 * CELL


def test_a_sheet_without_searches_shows_the_photos(tmp_path):
    draw_sheet("fido", [Image.new("RGB", (30, 30), "red")], [], tmp_path / "s.png")
    with Image.open(tmp_path / "s.png") as sheet:
        red = (np.asarray(sheet.convert("RGB")) == (255, 0, 0)).all(axis=-1)
    assert red.sum() == CELL * CELL
