import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import NoReturn

import pytest
from PIL import Image

from registry.errors import ConflictError, RefusedError, UnknownVersionError, UnreachableError
from registry.history import Change
from services.cli import main
from services.commands.errors import Exit

HEAVY = ("torch", "mlflow", "pandas", "numpy", "pyarrow", "PIL", "pydantic")
VERBS = (
    ["status"], ["promote"], ["rollback"], ["history"], ["labels"], ["labels", "cost"], ["serve"],
    ["search"], ["concepts"], ["concepts", "add"], ["concepts", "list"], ["concepts", "show"],
    ["concepts", "rm"], ["lineage"], ["diff"], ["prune"],
)  # fmt: skip


@pytest.mark.parametrize("verb", [[], *VERBS])
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_shows_examples_and_imports_nothing_heavy(verb: list[str], option: str) -> None:
    code = (
        "import sys, services.cli\n"
        "services.cli.main(sys.argv[1:])\n"
        f"sys.exit(repr([m for m in {HEAVY!r} if m in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *verb, option], capture_output=True, text=True, check=False
    )
    assert f"Usage: {' '.join(['kindred', *verb])} " in done.stdout
    assert "Examples:" in done.stdout
    assert f"kindred {' '.join(verb)}" in done.stdout.split("Examples:")[1]
    assert done.stderr.strip() == "[]"


def test_exit_codes_are_documented_once(capsys) -> None:
    assert main(["--help"]) == 0
    listed = capsys.readouterr().out.split("Exit codes:")[1]
    for code in (*Exit, 130, 141):
        assert re.search(rf"^ +{int(code)}  ", listed, re.MULTILINE), code
    for verb in VERBS:
        main([*verb, "--help"])
        assert "xit code" not in capsys.readouterr().out


def test_the_version_of_the_package(capsys) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"kindred {metadata.version('kindred')}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "kindred: got nothing, expected one of status, promote"),
        (["frobnicate"], "kindred: got 'frobnicate', expected one of status, promote"),
        (["--frob"], "kindred: No such option '--frob' (see kindred --help)"),
        (["labels"], "kindred labels: got nothing, expected one of cost"),
        (["labels", "price"], "kindred labels: got 'price', expected one of cost"),
        (["search", "x", "y"], "kindred search: Got unexpected extra argument (y)"),
        (["search", "x", "-k", "many"], "'-k': 'many' is not a valid integer"),
        (["promote", "--reason"], "kindred promote: Option '--reason' requires an argument"),
    ],
)
def test_wrong_usage_is_one_line(
    arguments: list[str], said: str, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.cli._brought", dict)  # verbs of other packages come first
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert line.endswith("--help)")


def test_an_interrupted_verb_ends_without_a_traceback(monkeypatch, capsys) -> None:
    def interrupt(name: str) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr("services.commands.status.list_versions", interrupt)
    assert main(["status"]) == 130
    assert capsys.readouterr().err.strip() == ""


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["x", "-k", "0"], 2, "got -k 0, expected 1 at least"),
        (["x", "-k", "-3"], 2, "got -k -3, expected 1 at least"),
        (["  "], 2, "got a blank text"),
        (["x", "--grid", "none/out.png"], 2, "none is missing or not writable"),
        (["x", "--grid", "out.jpg"], 2, "expected the name of a .png file"),
        (["x", "--concept", "tom"], 2, "got --concept 'tom', expected one of: rex"),
        ([], 2, "got 0 of TEXT, --image and --like, expected one of them"),
        (["x", "--like", "p1"], 2, "got 2 of TEXT, --image and --like, expected one of them"),
        (["--image", "x.jpg"], 2, "got --image with --offline, which searches by a text alone"),
        (["x", "--mode", "hybrid"], 2, "got --mode with --offline"),
        (["x", "--category", "mug"], 2, "got --category with --offline"),
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


def test_without_a_service_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setenv("KINDRED_URL", "http://127.0.0.1:9")
    assert main(["search", "x"]) == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert "no answer from http://127.0.0.1:9" in line
    assert "start the service with `kindred serve`, or add --offline" in line


@pytest.mark.parametrize(
    "url", ["127.0.0.1:3000", "localhost:3000", "ftp://x", "http://", "http://a:b"]
)
def test_what_is_wrong_with_the_services_address_is_told(url, monkeypatch, capsys) -> None:
    monkeypatch.setenv("KINDRED_URL", url)
    for verb in (["search", "x"], ["concepts", "list"]):
        assert main(verb) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert f"got the service's address {url!r}" in line
        assert "KINDRED_URL" in line
        assert "kindred serve" not in line


def test_search_prints_the_best_first(registered, capsys) -> None:
    assert main(["search", "something red and a red hat, or blue", "-k", "2", "--offline"]) == 0
    heading, first, second = capsys.readouterr().out.splitlines()
    assert heading.startswith("kindred version 3 (challenger): something red")
    assert first.split() == ["1", "0.894", *row_title("red"), "-", "p0"]
    assert second.split() == ["2", "0.447", *row_title("blue"), "11.50", "p2"]


def test_search_says_what_the_model_cannot_read(registered, capsys) -> None:
    cut = "The text is cut: it has 22 tokens, and the model reads 16."
    assert main(["search", " ".join(["red"] * 20), "-k", "1", "--offline"]) == 0
    _, note, first = capsys.readouterr().out.splitlines()
    assert note == f"note: {cut}"
    assert first.endswith("p0")
    assert main(["search", " ".join(["red"] * 20), "--offline", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["warnings"] == [cut]


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
    words = ["3", "challenger", "passed", "failed", "95.6", "%", *"-----", "2026-01-02"]
    assert row.split()[:-1] == words
    assert "No version is champion yet" in out


def test_a_reader_that_has_enough_ends_it_without_a_word() -> None:
    """As in `kindred status | head -1`."""
    code = (
        "import sys\n"
        "from services import cli\n"
        "from services.commands import status\n"
        "status.read_status = lambda name, as_json: 'a line\\n' * 50_000\n"
        "sys.exit(cli.main(['status']))\n"
    )
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, check=False
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


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


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["promote", "--force"], 2, 'expected why: --force --reason "..."'),
        (["promote", "--force", "--reason", "  "], 2, "got --force without --reason"),
        (["promote", "--reason", "x"], 2, "got --reason without --force"),
        (["promote", "7"], 2, "got version '7' of kindred, expected one of 3, challenger"),
        (["promote"], 1, "the gate labels never judged it"),
        (["rollback"], 1, "run `kindred promote`"),
        (["serve"], 1, "run `kindred promote`"),
        (["serve", "--version", "7"], 2, "expected one of 3, challenger"),
        (["serve", "--host", "0.0.0.0"], 2, "kindred keys add"),
        (["serve", "--port", "70000"], 2, "expected 1 to 65535"),
        (["search", "x", "--version", "3"], 2, "got --version without --offline"),
        (["search", "--image", "none.jpg"], 2, "got --image none.jpg, which cannot be read"),
        (["search", "--like", "p1", "--mode", "keyword"], 2, 'got mode "keyword" with like'),
    ],
)
def test_what_a_verb_refuses_is_one_line_with_its_code(
    arguments: list[str], code: int, said: str, registered, bundle, capsys, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("BENTOML_HOME", "BENTOML_DO_NOT_TRACK"):  # serve sets them
        monkeypatch.setenv(name, os.environ.get(name, ""))
    monkeypatch.setattr("registry.promotion.read_history", lambda name: [])
    monkeypatch.setattr("registry.promotion.fetch_bundle", lambda version: bundle)
    assert main(arguments) == code
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"kindred {arguments[0]}: ")
    assert said in line


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConflictError("another one runs"), 3),
        (RefusedError("not good enough"), 1),
        (UnreachableError("no MLflow"), 4),
        (ConnectionError("no Milvus"), 4),
        (UnknownVersionError("no such"), 2),
    ],
)
def test_every_kind_of_failure_has_its_exit_code(
    error: Exception, code: int, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("registry.promotion.promote", fail)
    monkeypatch.setattr("registry.promotion.rollback", fail)
    for verb in ("promote", "rollback"):
        assert main([verb]) == code
        assert capsys.readouterr().err == f"kindred {verb}: {error}\n"


def test_history_tells_who_did_what_and_where_rollback_leads(
    registered, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    began = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    first = Change("r1", "promote", "kindred", None, 2, "d", "done", "", "", "ann", began)
    second = replace(first, before=2, after=3, reason="a demo", overridden="gate failed")
    monkeypatch.setattr(
        "services.commands.history_command.read_history", lambda name: [first, second]
    )
    found = [
        replace(registered, number=3, aliases=("champion",)),
        replace(registered, number=2, aliases=()),
    ]
    monkeypatch.setattr("services.commands.history_command.list_versions", lambda name: found)
    assert main(["history"]) == 0
    _, newest, oldest, _, last = capsys.readouterr().out.splitlines()
    assert newest.split()[2:6] == ["promote", "2", "3", "done"]
    assert newest.endswith("ann  a demo (over: gate failed)")
    assert oldest.split()[2:6] == ["promote", "-", "2", "done"]
    assert last == "champion: version 3; `kindred rollback` goes to version 2"
    assert main(["history", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["champions"] == [2, 3]
