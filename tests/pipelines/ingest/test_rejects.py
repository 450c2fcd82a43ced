"""The report of rejects, and their limit."""

import csv
from pathlib import Path

import pytest

from pipelines.ingest.rejects import Reject, hold_rejects, write_rejects


def test_rejects_are_written_and_an_empty_report_has_its_header(tmp_path: Path) -> None:
    path = tmp_path / "reports" / "catalog_rejects.csv"
    write_rejects(path, [])
    assert path.read_text() == "file,row,id,reason\n"
    write_rejects(path, [Reject("products.csv", 3, 'a,"\ud800', "one; two")])
    with path.open(newline="") as file:
        assert list(csv.reader(file))[1] == ["products.csv", "3", 'a,"\\ud800', "one; two"]


def test_the_limit_on_rejects_is_held_for_each_file() -> None:
    rejects = [Reject("products.csv", row, f"id{row}", "a reason") for row in range(1, 8)]
    hold_rejects(rejects, {"products.csv": 350, "personas.jsonl": 3}, 0.02)  # 2 % exactly
    hold_rejects([], {"products.csv": 1}, 0)
    with pytest.raises(SystemExit) as stop:
        hold_rejects(rejects, {"products.csv": 349, "personas.jsonl": 10_000}, 0.02)
    message = str(stop.value)
    assert "products.csv: 7 of 349 rows rejected (2.01%)" in message
    assert "row 1 ('id1'): a reason" in message
    assert "and 2 more" in message
    assert "catalog.max_reject_fraction: 0.02" in message
    assert "reports/catalog_rejects.csv" in message
    assert "personas" not in message
