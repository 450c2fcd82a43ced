"""Equal, within rounding, or not: by what a file holds."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from registry.rounding import compare_files, worst
from retrieval.storage.vectors import write_vectors


def as_json(path, number):
    path.write_text(json.dumps({"n": 3, "deep": [{"share": number}, "a"]}))


def as_csv(path, number):
    path.write_text(f"step,loss\n0,{number!r}\n")


def as_parquet(path, number):
    vectors = np.array([[1, 0], [number, np.sqrt(1 - number**2)]], dtype=np.float32)
    write_vectors(path, ["p1", "p2"], vectors)


def as_safetensors(path, number):
    save_file({"weight": np.array([number, 1], dtype=np.float32)}, path)


@pytest.mark.parametrize(
    ("suffix", "write"),
    [("json", as_json), ("csv", as_csv), ("parquet", as_parquet), ("safetensors", as_safetensors)],
)
def test_numbers_are_compared_as_numbers(tmp_path, suffix, write):
    was = tmp_path / f"was.{suffix}"
    write(was, 0.5)
    for number, likeness in ((0.5, "equal"), (0.500002, "rounding"), (0.5003, "differs")):
        now = tmp_path / f"now.{suffix}"
        write(now, number)
        assert compare_files(was, now) == likeness


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ({"a": 0.1}, {"a": 0.1, "b": 1}),
        ({"a": [0.1]}, {"a": [0.1, 0.1]}),
        ({"a": "x"}, {"a": "y"}),
        ({"a": 1000.0}, {"a": 1000.1}),
        ({"a": None}, {"a": 0.0}),
    ],
)
def test_what_is_no_rounding_differs(tmp_path, was, now):
    for name, content in (("was", was), ("now", now)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    assert compare_files(tmp_path / "was.json", tmp_path / "now.json") == "differs"


def test_other_files_are_equal_or_not(tmp_path):
    for name, content in (("was", b"0.5"), ("now", b"0.5000001")):
        (tmp_path / f"{name}.pt").write_bytes(content)
        (tmp_path / f"{name}.json").write_bytes(b"{" + content)
    assert compare_files(tmp_path / "was.pt", tmp_path / "now.pt") == "differs"
    assert compare_files(tmp_path / "was.json", tmp_path / "now.json") == "differs"


def test_the_whole_is_as_good_as_its_worst_part():
    assert worst(["equal", "differs", "rounding"]) == "differs"
    assert worst(["equal", "rounding"]) == "rounding"
    assert worst([]) == "equal"
