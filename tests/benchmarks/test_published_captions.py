"""Captions of a benchmark's pictures, from JSON Lines."""

import json
from pathlib import Path

import pytest

from benchmarks.published.captions import read_captions

PICTURES = [Path("data/images/a.jpg"), Path("data/images/b.jpg"), Path("data/more/a.jpg")]
LINES = [
    {"image": "b.jpg", "caption": " A box. "},
    {"image": "more/a.jpg", "caption": "A cup."},
    {"image": "data/images/a.jpg", "caption": "A mug.", "model": "some-vlm"},
    {"image": "z.jpg", "caption": "Not searched."},
]


def _file(tmp_path, lines):
    file = tmp_path / "captions.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    file.write_text("\n".join(texts) + "\n\n")
    return file


def test_each_picture_gets_its_own_by_as_much_of_its_path_as_is_needed(tmp_path):
    assert read_captions(_file(tmp_path, LINES), PICTURES) == ["A mug.", "A box.", "A cup."]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (LINES[:2], r"no caption for 1 of 3 pictures .*\n  data/images/a.jpg"),
        ([*LINES, LINES[0]], "line 5: picture b.jpg has a caption already"),
        ([{"image": "a.jpg", "caption": "A mug."}], "picture a.jpg may be any of 2"),
        (["a mug"], "line 1 is no JSON"),
        (["[1]"], 'line 1 is .1., expected {"image": "...", "caption": "..."}'),
        ([{"image": "a.jpg", "caption": " "}], "line 1 is .*expected"),
        ([{"image": "a.jpg"}], "line 1 is .*expected"),
        ([{"image": 3, "caption": "A mug."}], "line 1 is .*expected"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, lines, expected):
    with pytest.raises(SystemExit, match=expected):
        read_captions(_file(tmp_path, lines), PICTURES)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(SystemExit, match=r"none.jsonl: cannot be read"):
        read_captions(tmp_path / "none.jsonl", PICTURES)
    (tmp_path / "latin.jsonl").write_bytes(b'{"image": "a.jpg", "caption": "caf\xe9"}')
    with pytest.raises(SystemExit, match=r"latin.jsonl: cannot be read"):
        read_captions(tmp_path / "latin.jsonl", PICTURES)
