from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from pipelines.subjects import lessons as concept_subjects
from pipelines.subjects.lessons import (
    prepare,
    queries_of,
    references_by_concept,
    report_concerns,
    reported_subjects,
    validation_subjects,
)
from retrieval.concepts.teaching import Lesson

TOWER = SimpleNamespace(width=8)


def _reference(name, image="a.jpg", noun="mug"):
    return {"role": "reference", "concepts": [name], "image": image, "noun": noun}


def _query(*names):
    return {"role": "query", "concepts": list(names)}


@pytest.fixture
def photo(tmp_path, monkeypatch):
    """A sound photo in the folder of the subjects' table."""
    monkeypatch.setattr(concept_subjects, "SUBJECTS_FILE", tmp_path / "subjects.parquet")
    Image.new("RGB", (20, 20), "red").save(tmp_path / "a.jpg")
    (tmp_path / "broken.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:200])
    return tmp_path / "a.jpg"


def test_references_are_gathered_in_the_tables_order():
    rows = [_reference("b", "1"), _reference("a", "2"), _reference("b", "3"), _query("a")]
    found = references_by_concept(rows)
    assert {name: [row["image"] for row in some] for name, some in found.items()} == {
        "b": ["1", "3"],
        "a": ["2"],
    }
    assert list(found) == ["b", "a"]


def test_a_concept_without_photos_is_named():
    with pytest.raises(SystemExit, match=r"\['c', 'd'\] are asked for but have no reference"):
        references_by_concept([_reference("a"), _query("a", "d"), _query("c")])


@pytest.mark.parametrize(("count", "spared"), [(12, 4), (5, 1), (3, 1), (2, 0), (0, 0)])
def test_a_third_of_the_subjects_is_for_choosing_and_never_reported(count, spared):
    names = [str(number) for number in range(count)]
    assert validation_subjects(names) == names[:spared]
    assert validation_subjects(names) + reported_subjects(names) == names


def test_queries_that_name_a_subject_of_the_other_part_are_in_neither():
    rows = [_query("a"), _query("a", "b"), _query("b", "c"), _query("c")]
    assert queries_of(rows, ["a", "b"]) == rows[:2]
    assert queries_of(rows, ["c"]) == rows[3:]


def test_a_damaged_photo_among_good_ones_is_named_and_left_out(photo, capsys):
    [lesson] = prepare(
        TOWER, {"fido": [_reference("fido", "broken.jpg"), _reference("fido")]}, "sks"
    )
    assert [picture.size for picture in lesson.photos] == [(20, 20)]
    said = capsys.readouterr().out
    assert "concept fido" in said
    assert "broken.jpg" in said


@pytest.mark.parametrize("image", ["broken.jpg", "gone.jpg"])
def test_a_concept_of_which_no_photo_can_be_read_stops_the_stage(photo, image):
    with pytest.raises(SystemExit, match="concept fido: none of its 1 photos can be read"):
        prepare(TOWER, {"fido": [_reference("fido", image)]}, "sks")


@pytest.mark.parametrize("noun", ["", " ", "m" * 100, "sks mug"])
def test_a_bad_noun_stops_the_stage(photo, noun):
    with pytest.raises(SystemExit, match=r"concept fido: .*noun"):
        prepare(TOWER, {"fido": [_reference("fido", noun=noun)]}, "sks")


def _encoder(*vectors):
    return SimpleNamespace(encode_images=lambda images: np.array(vectors[: len(images)]))


def _lesson(photos):
    start = SimpleNamespace(name="fido")
    return Lesson(start, tuple(Image.new("RGB", (16, 16)) for _ in range(photos)))


def test_one_photo_is_warned_of(capsys):
    report_concerns(_encoder([1.0, 0.0]), [_lesson(1)], 0.0)
    assert "warning: concept fido: one photo only" in capsys.readouterr().out


def test_photos_of_different_things_are_warned_of_by_their_spread(capsys):
    report_concerns(_encoder([1.0, 0.0], [0.0, 1.0]), [_lesson(2)], 0.0)
    assert "very different things" in capsys.readouterr().out
    report_concerns(_encoder([1.0, 0.0], [0.8, 0.6]), [_lesson(2)], 0.0)
    assert capsys.readouterr().out == ""


def test_what_is_alike_depends_on_how_alike_anything_is(capsys):
    """A mean cosine of 0.8 says little where any two pictures have 0.79."""
    report_concerns(_encoder([1.0, 0.0], [0.8, 0.6]), [_lesson(2)], 0.79)
    assert "very different things" in capsys.readouterr().out


def test_the_first_photos_of_a_lesson():
    assert _lesson(5).first(2).photos == _lesson(5).photos[:2]
