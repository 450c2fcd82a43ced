import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from services.cli import main

HEAVY = ("torch", "mlflow", "pandas", "numpy", "pyarrow", "PIL", "pydantic")


@pytest.mark.parametrize("arguments", [["--help"], ["search", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys, services.cli\n"
        "try: services.cli.main(sys.argv[1:])\n"
        f"except SystemExit: sys.exit(repr([m for m in {HEAVY!r} if m in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert "examples:" in done.stdout
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "required: VERB"),
        (["frobnicate"], "invalid choice: 'frobnicate'"),
        (["search"], "required: text"),
        (["search", "x", "-k", "many"], "invalid int value: 'many'"),
    ],
)
def test_wrong_usage_is_one_line(arguments: list[str], said: str, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["x", "-k", "0"], 2, "got -k 0, expected 1 at least"),
        (["x", "-k", "-3"], 2, "got -k -3, expected 1 at least"),
        (["  "], 2, "got a blank text"),
        (["x", "--grid", "none/out.png"], 2, "none is missing or not writable"),
        (["x", "--grid", "out.jpg"], 2, "expected the name of a .png file"),
        (["x", "--concept", "tom"], 2, "got --concept 'tom', expected one of: rex"),
        (["x", "--version", "7"], 2, "got version '7' of kindred, expected one of 3, challenger"),
    ],
)
def test_wrong_arguments_are_one_line(
    arguments: list[str], code: int, said: str, registered, capsys, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["search", *arguments, "--offline"]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("kindred search: ")
    assert said in line


def test_without_a_service_it_says_so(capsys) -> None:
    assert main(["search", "x"]) == 4
    assert "add --offline" in capsys.readouterr().err


def test_search_prints_the_best_first(registered, capsys) -> None:
    assert main(["search", "something red and a red hat, or blue", "-k", "2", "--offline"]) == 0
    heading, first, second = capsys.readouterr().out.splitlines()
    assert heading.startswith("kindred version 3 (challenger): something red")
    assert first.split() == ["1", "0.894", *row_title("red"), "-", "p0"]
    assert second.split() == ["2", "0.447", *row_title("blue"), "11.50", "p2"]


def row_title(colour: str) -> list[str]:
    return f"A {colour} mug with a title that is too long for one line of a card".split()


def test_search_as_json(registered, capsys) -> None:
    assert main(["search", "red", "-k", "99", "--offline", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["query"], answer["model_version"]) == ("red", "3")
    assert len(answer["hits"]) == 5
    assert answer["hits"][0]["product_id"] == "p0"
    assert answer["hits"][0]["price"] is None


def test_search_writes_the_sheet(registered, tmp_path: Path, capsys) -> None:
    target = tmp_path / "found.png"
    assert main(["search", "red", "--offline", "--grid", str(target)]) == 0
    assert f"pictures: {target}" in capsys.readouterr().out
    assert Image.open(target).format == "PNG"


def test_status(registered, capsys) -> None:
    assert main(["status"]) == 0
    out = capsys.readouterr().out
    (row,) = [line for line in out.splitlines() if line.startswith("3 ")]
    words = ["3", "challenger", "passed", "failed", "95.6", "%", "-", "-", "-", "2026-01-02"]
    assert row.split()[:-1] == words
    assert "No version is champion yet" in out


def test_status_as_json(registered, capsys) -> None:
    assert main(["status", "--json"]) == 0
    (version,) = json.loads(capsys.readouterr().out)["versions"]
    assert (version["version"], version["verdicts"]["retrieval"]) == (3, "failed")


def test_nothing_registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    assert main(["status"]) == 0
    assert "No version of kindred is registered" in capsys.readouterr().out
    assert main(["search", "x", "--offline"]) == 1
    assert "run `make repro`" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert main(["status"]) == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert "check MLFLOW_TRACKING_URI" in line
