import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from retrieval.storage.journal import Journal, read_journal


def _write(path, *keys, **more):
    with Journal(path) as journal:
        journal.append([{"key": key, **more} for key in keys])


def test_what_was_appended_is_there_at_the_next_opening(tmp_path):
    path = tmp_path / "deep/journal.jsonl"
    text = "Grüße \ud800 \n \U0001f4f7"
    _write(path, "a", "b", text=text)
    _write(path, "c")
    with Journal(path) as journal:
        assert (len(journal), journal.damaged) == (3, 0)
        assert journal.get("a") == {"key": "a", "text": text}
        assert journal.get("d") is None
    assert [record["key"] for record in read_journal(path)] == ["a", "b", "c"]


def test_the_last_record_of_a_key_counts(tmp_path):
    path = tmp_path / "j"
    _write(path, "a", n=1)
    _write(path, "a", n=2)
    with Journal(path) as journal:
        assert journal.get("a") == {"key": "a", "n": 2}


def test_a_line_cut_off_anywhere_is_dropped_and_the_rest_goes_on(tmp_path):
    whole = tmp_path / "whole"
    _write(whole, "a", "b")
    data = whole.read_bytes()
    first = data.index(b"\n") + 1
    for cut in range(first, len(data)):
        path = tmp_path / f"cut{cut}"
        path.write_bytes(data[:cut])
        assert [record["key"] for record in read_journal(path)] == ["a"]
        _write(path, "c")
        with Journal(path) as journal:
            assert journal.damaged == 0
        assert [record["key"] for record in read_journal(path)] == ["a", "c"]


def test_any_damaged_byte_makes_its_record_missing_and_no_other(tmp_path):
    whole = tmp_path / "whole"
    _write(whole, "a", "b", "c", text="x")
    lines = whole.read_bytes().splitlines(keepends=True)
    for at in range(len(lines[1]) - 1):
        bad = bytearray(lines[1])
        bad[at] ^= 1
        if bad[at] == ord("\n"):
            continue
        path = tmp_path / "bad"
        path.write_bytes(lines[0] + bytes(bad) + lines[2])
        with Journal(path) as journal:
            found = (journal.get("a"), journal.get("b"), journal.get("c"), journal.damaged)
        assert found == ({"key": "a", "text": "x"}, None, {"key": "c", "text": "x"}, 1)


def test_two_at_once_are_refused(tmp_path):
    path = tmp_path / "j"
    with Journal(path), pytest.raises(BlockingIOError, match="in use by another process"):
        Journal(path).__enter__()
    _write(path, "a")  # free again


def test_what_is_no_json_is_refused_and_nothing_of_it_is_written(tmp_path):
    path = tmp_path / "j"
    with Journal(path) as journal:
        for bad in (float("nan"), {1, 2}):
            with pytest.raises((ValueError, TypeError)):
                journal.append([{"key": "a"}, {"key": "b", "x": bad}])
        assert len(journal) == 0
    assert path.read_bytes() == b""
    with pytest.raises(ValueError, match="is not open"):
        journal.append([{"key": "a"}])


_WRITER = """
import sys
from pathlib import Path
from retrieval.storage.journal import Journal
with Journal(Path(sys.argv[1])) as journal:
    number = len(journal)
    while True:
        journal.append([{"key": str(number), "text": "x" * 3000}])
        print(number, flush=True)
        number += 1
"""


def test_every_acknowledged_record_survives_sigkill(tmp_path):
    path = tmp_path / "j"
    for seconds in (0.05, 0.11, 0.23):
        writer = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True,
            cwd=Path(__file__).parents[3], env={**os.environ, "PYTHONPATH": "."},
        )  # fmt: skip
        acknowledged = [writer.stdout.readline()]
        time.sleep(seconds)
        writer.send_signal(signal.SIGKILL)
        acknowledged += writer.stdout.read().splitlines()
        writer.wait()
        numbers = [int(line) for line in acknowledged if line.strip()]
        with Journal(path) as journal:
            assert journal.damaged == 0
            assert all(journal.get(str(number)) for number in numbers)
    records = [json.dumps(record) for record in read_journal(path)]
    assert len(records) == len(set(records))
