"""DeepFashion2 (PerVL) by the paper's protocol."""

from collections import Counter

import pytest

from benchmarks.published.perval import read_perval
from pipelines.subjects.measure import encode_kindred
from tests.benchmarks.conftest import CODES, NAMES, SHORT, names_of, queries_of


def test_perval_draws_five_photos_with_a_fixed_seed(perval, tmp_path):
    data = perval()
    drawn = names_of(data.photos["101"])
    assert len(set(drawn)) == 5
    assert set(drawn) < set(CODES["101"])
    assert sorted(drawn) != CODES["101"][:5]  # at random, not the first
    assert names_of(data.photos["202"]) == ["q0.jpg"]  # all where there are no more
    assert read_perval(tmp_path).photos == data.photos
    assert data.nouns == {"101": "dress", "202": "long sleeve top"}


def test_perval_each_photo_is_drawn_about_as_often_as_any_other(perval):
    """Of forty concepts with nine photos each: 22 draws expected of a place, spread by 3.1."""
    blocks = {str(code): [f"p{n}.jpg" for n in range(9)] for code in range(40)}
    data = perval(blocks=blocks, names=[(code, "dress") for code in blocks], short=SHORT[2:])
    drawn = Counter(name for paths in data.photos.values() for name in names_of(paths))
    assert all(9 <= drawn[f"p{n}.jpg"] <= 35 for n in range(9))


def test_perval_the_concept_is_switched_on_once_in_a_caption_that_names_it_twice(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "pipelines.subjects.measure.encode_queries",
        lambda tower, texts, rows: asked.append((texts, rows)),
    )
    query = {"text": "a person wearing * and a person wearing *", "concepts": ["a"]}
    encode_kindred(None, [query], {"a": "A"})
    assert asked == [(["a person wearing {a} and a person wearing {a}"], [["A"]])]


def test_perval_pool_is_what_has_captions_but_no_photo_that_is_learned_from(perval):
    shown = {names_of([row["image"]])[0]: row["concepts"] for row in perval().gallery}
    assert shown == {"g1.jpg": ["101"], "g2.jpg": ["101"], "g3.jpg": ["202"], "g4.jpg": []}


def test_perval_a_person_wears_the_concept(perval):
    data = perval()
    assert queries_of(data, "context") == {
        ("a person wearing * outdoors", "101"): ["g1.jpg"],
        ("photo of a person wearing * behind person wearing *s", "202"): ["g3.jpg"],
    }
    assert queries_of(data, "concept_only") == {
        ("An image of *", "101"): ["g1.jpg", "g2.jpg"],
        ("An image of *", "202"): ["g3.jpg"],
    }


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"short": [("g1.jpg", "a dog", "101")]}, "line 2: caption 'a dog' has no person"),
        ({"short": [("g1.jpg", "", "101")]}, "line 2 is"),
        ({"names": NAMES[:1]}, r"no category for \['202'\]"),
        ({"blocks": {"101": []}}, r"got no photos for \['101'\]"),
        ({"without": ["q0.jpg"]}, "1 files that DeepFashion2 .* are missing"),
    ],
)
def test_perval_what_is_wrong_is_named(perval, change, expected):
    with pytest.raises(SystemExit, match=expected):
        perval(**change)


def test_perval_a_photo_outside_a_block_is_named(perval, tmp_path):
    perval()
    (tmp_path / "test_fsl_train.txt").write_text("stray.jpg\n")
    with pytest.raises(SystemExit, match=r"line 1 is 'stray.jpg', expected a line"):
        read_perval(tmp_path)


def test_perval_other_columns_are_refused(perval, tmp_path):
    perval()
    (tmp_path / "test_captions.csv").write_text("image,caption\na.jpg,b\n")
    with pytest.raises(SystemExit, match=r"got columns .* expected image_name, caption, pair_id"):
        read_perval(tmp_path)


def test_perval_missing_files_are_listed(tmp_path):
    with pytest.raises(SystemExit, match="4 files that DeepFashion2"):
        read_perval(tmp_path)
