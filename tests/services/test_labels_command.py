import json

import pytest

from retrieval.storage.journal import TEACHERS, Journal
from services.cli import main


def _record(number, cycle, **more):
    return {
        "key": f"{number}/0", "stage": "label", "cycle": cycle, "teacher": "openai:m",
        "persona_id": "p", "raw": "{}", "fault": "", "input_tokens": 1000, "output_tokens": 20,
        "cost_usd": 0.25, "seconds": 1.0, "at": f"2026-11-26T10:00:{number:02d}+00:00",
    } | more  # fmt: skip


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Journal(TEACHERS / "label.jsonl") as journal:
        journal.append([_record(n, "c1") for n in range(3)])
        journal.append([_record(3, "c2", fault="HTTP 400", input_tokens=0, cost_usd=0.0)])
    with Journal(TEACHERS / "tournaments.jsonl") as journal:
        journal.append([_record(4, "", stage="tournaments", teacher="simulated")])
    return tmp_path


def test_cost_sums_up_by_stage_cycle_and_teacher(project, capsys):
    assert main(["labels", "cost", "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)["entries"]
    assert [(e["stage"], e["cycle"], e["teacher"], e["calls"], e["faults"]) for e in entries] == [
        ("label", "c1", "openai:m", 3, 0),
        ("label", "c2", "openai:m", 1, 1),
        ("tournaments", "", "simulated", 1, 0),
    ]
    assert entries[0]["cost_usd"] == pytest.approx(0.75)
    assert (entries[0]["input_tokens"], entries[0]["output_tokens"]) == (3000, 60)
    assert entries[0]["first"] == "2026-11-26T10:00:00+00:00"
    assert entries[0]["last"] == "2026-11-26T10:00:02+00:00"


def test_the_table_ends_in_a_total(project, capsys):
    assert main(["labels", "cost"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:4] == ["stage", "cycle", "teacher", "calls"]
    assert lines[-1].split() == ["total", "5", "1", "4,000", "100", "1.0000"]
    assert len(lines) == 5


def test_it_reads_while_a_stage_writes(project, capsys):
    with Journal(TEACHERS / "label.jsonl") as journal:
        journal.append([_record(9, "c1")])
        (project / TEACHERS / "label.jsonl").open("ab").write(b"0123456789abcdef {half")
        assert main(["labels", "cost", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["entries"][0]["calls"] == 4


def test_before_any_call_it_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["labels", "cost"]) == 0
    assert "No teacher has been asked yet" in capsys.readouterr().out


def test_a_journal_of_something_else_is_refused_in_one_line(project, capsys):
    with Journal(TEACHERS / "other.jsonl") as journal:
        journal.append([{"key": "x"}])
    assert main(["labels", "cost"]) == 1
    error = capsys.readouterr().err
    assert "other.jsonl holds a record without 'stage'" in error
    assert error.count("\n") == 1
