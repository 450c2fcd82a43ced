import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from retrieval.storage import files

ROOT = Path(__file__).parents[3]


class Stop(Exception):
    pass


def _write_half_and_stop(manager, inside=""):
    with manager as temporary:
        (temporary / inside).write_text("half")
        raise Stop


def test_atomic_file_writes_what_it_is_given(tmp_path):
    path = tmp_path / "deep" / "er" / "a.txt"
    with files.atomic_file(path) as temporary:
        assert temporary.suffix == ".txt"  # libraries choose a format by it
        assert temporary.parent == path.parent  # the same file system: a rename is one step
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_atomic_file_can_be_read_by_others(tmp_path):
    with files.atomic_file(tmp_path / "a") as temporary:
        temporary.write_text("x")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o644


@pytest.mark.parametrize("old", ["old", None])
def test_atomic_file_leaves_all_as_it_was_on_an_error(tmp_path, old):
    path = tmp_path / "a.txt"
    if old:
        path.write_text(old)
    with pytest.raises(Stop):
        _write_half_and_stop(files.atomic_file(path))
    assert [p.read_text() for p in tmp_path.iterdir()] == ([old] if old else [])


def test_atomic_file_replaces_in_one_step(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with path.open() as reader:
        with files.atomic_file(path) as temporary:
            temporary.write_text("new")
        assert reader.read() == "old"  # who had it open reads on undisturbed
    assert path.read_text() == "new"


def test_atomic_folder_takes_the_place_of_the_old_one(tmp_path):
    path = tmp_path / "in" / "model"
    for content in ("one", "two"):
        with files.atomic_folder(path) as temporary:
            assert list(temporary.iterdir()) == []
            (temporary / content).write_text(content)
        assert [p.name for p in path.iterdir()] == [content]  # nothing of the old one is left
    assert list(path.parent.iterdir()) == [path]
    assert stat.S_IMODE(path.stat().st_mode) == 0o755


@pytest.mark.parametrize("old", ["old", None])
def test_atomic_folder_leaves_all_as_it_was_on_an_error(tmp_path, old):
    path = tmp_path / "model"
    if old:
        path.mkdir()
        (path / "a").write_text(old)
    with pytest.raises(Stop):
        _write_half_and_stop(files.atomic_folder(path), "a")
    assert [p.read_text() for p in tmp_path.rglob("*") if p.is_file()] == ([old] if old else [])
    assert len(list(tmp_path.iterdir())) == (1 if old else 0)


WRITER = """
import sys, time
from pathlib import Path
from retrieval.storage.files import atomic_file, atomic_folder
kind, path = sys.argv[1], Path(sys.argv[2])
with (atomic_file if kind == "file" else atomic_folder)(path) as temporary:
    (temporary if kind == "file" else temporary / "a").write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_kill_in_the_middle_leaves_the_old_content(tmp_path, kind):
    path = tmp_path / "a"
    content = path if kind == "file" else path / "a"
    content.parent.mkdir(exist_ok=True)
    content.write_text("old")
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, kind, str(path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout.readline() == b"writing\n"
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert content.read_text() == "old"
    manager = files.atomic_file if kind == "file" else files.atomic_folder
    with manager(path) as temporary:  # and what the kill left behind is in nobody's way
        (temporary if kind == "file" else temporary / "a").write_text("new")
    assert content.read_text() == "new"


def test_json_round_trip(tmp_path):
    content = {"b": [1, 2.5, None, True], "a": {"ü": "€"}}
    files.write_json(tmp_path / "a.json", content)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert files.read_json(tmp_path / "a.json") == content
    assert "€" in text
    assert text.endswith("}\n")
    assert json.loads(text) == content


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_json_that_others_cannot_read_is_refused(tmp_path, value):
    files.write_json(tmp_path / "a.json", {"x": 1})
    with pytest.raises(ValueError, match="JSON compliant"):
        files.write_json(tmp_path / "a.json", {"x": [value]})
    assert files.read_json(tmp_path / "a.json") == {"x": 1}
    assert len(list(tmp_path.iterdir())) == 1


def test_what_is_no_json_is_named(tmp_path):
    (tmp_path / "a.json").write_text('{"x": ')
    with pytest.raises(ValueError, match=r"a\.json is not JSON .*delete it"):
        files.read_json(tmp_path / "a.json")
    with pytest.raises(FileNotFoundError):
        files.read_json(tmp_path / "b.json")


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_sha256_of_a_file_is_sha256_of_its_bytes(tmp_path, size):
    content = bytes(range(256)) * (size // 256 + 1)
    (tmp_path / "a").write_bytes(content[:size])
    assert files.sha256_file(tmp_path / "a") == hashlib.sha256(content[:size]).hexdigest()


def _tree(folder, entries):
    for name, content in entries.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


TREE = {"a.txt": "1", "sub/b.txt": "2", "sub/sub/c.txt": "3"}


def test_a_folder_digest_does_not_depend_on_place_or_order_of_writing(tmp_path):
    here = _tree(tmp_path / "here", TREE)
    there = _tree(tmp_path / "else" / "where", dict(reversed(TREE.items())))
    assert files.sha256_folder(here) == files.sha256_folder(there)


def test_a_folder_digest_is_that_of_the_sorted_list_of_its_files(tmp_path):
    """As `find -type f | sort | xargs sha256sum | sha256sum` has it for such names."""
    names = [f"{(number * 37) % 100:02d}" for number in range(100)]
    folder = _tree(tmp_path / "f", {name: f"content {name}" for name in names})
    lines = [
        f"{hashlib.sha256(f'content {name}'.encode()).hexdigest()}  {name}\n"
        for name in sorted(names)
    ]
    assert files.sha256_folder(folder) == hashlib.sha256("".join(lines).encode()).hexdigest()


@pytest.mark.parametrize(
    "entries",
    [
        {**TREE, "a.txt": "other"},
        {**TREE, "d.txt": ""},
        {"a.txt": "1", "sub/b.txt": "2"},
        {"A.txt": "1", "sub/b.txt": "2", "sub/sub/c.txt": "3"},
        {"a.txt": "1", "sub/b.txt": "2", "sub/c.txt": "3"},
        {"a.txt": "2", "sub/b.txt": "1", "sub/sub/c.txt": "3"},
    ],
)
def test_a_folder_digest_depends_on_every_name_and_content(tmp_path, entries):
    one, other = _tree(tmp_path / "one", TREE), _tree(tmp_path / "other", entries)
    assert files.sha256_folder(one) != files.sha256_folder(other)


def test_a_folder_digest_leaves_out_what_it_is_told_to_at_any_depth(tmp_path):
    plain = _tree(tmp_path / "plain", TREE)
    more = _tree(tmp_path / "more", {**TREE, "SUMS": "x", "sub/SUMS": "y"})
    assert files.sha256_folder(more, frozenset({"SUMS"})) == files.sha256_folder(plain)
    assert files.sha256_folder(more) != files.sha256_folder(plain)
