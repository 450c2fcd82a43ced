"""`kindred prune`: what it prints, and what services that are gone left."""

import json
import os
from pathlib import Path

import pytest

from registry.errors import ConflictError
from registry.removal import Kept, Removal
from registry.spared import KEPT
from services.cli import main
from services.commands import prune_command
from services.commands.prune_command import readable

GONE = 2**22 + 1  # no process has this number


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    """A folder in which nothing was ever registered, and no package brings anything."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.delenv("MILVUS_URI", raising=False)
    monkeypatch.setattr(prune_command, "_brought", list)
    return tmp_path


@pytest.fixture
def copies(home) -> tuple[Path, Path]:
    """What a service that is gone left, and what one that runs has."""
    gone, running = (Path(f"var/serve/{pid}.x") for pid in (GONE, os.getpid()))
    for folder in (gone, running):
        (folder / "student/copy.db").mkdir(parents=True)
        (folder / "student/copy.db/data").write_bytes(b"0" * 5_000)
    return gone, running


def test_a_dry_run_shows_sizes_and_the_sum_and_what_to_type(copies, capsys) -> None:
    assert main(["prune"]) == 0
    header, line, blank, last = capsys.readouterr().out.splitlines()
    assert header.split() == ["what", "size", "which", "why"]
    assert line.split(maxsplit=4) == [
        "copy", "5.0", "kB", f"var/serve/{GONE}.x", "of a process that is gone",
    ]  # fmt: skip
    assert blank == ""
    assert last == "1 thing, 5.0 kB could go; nothing changed: add --yes to remove them"
    assert all(folder.exists() for folder in copies)


@pytest.mark.parametrize("yes", ["--yes", "-y"])
def test_yes_removes_and_tells_each_step(copies, capsys, yes) -> None:
    assert main(["prune", yes]) == 0
    out, steps = capsys.readouterr()
    assert out.splitlines()[-1] == "pruned 1 thing, 5.0 kB"
    assert steps == f"  removed copy var/serve/{GONE}.x\n"
    assert [folder.exists() for folder in copies] == [False, True]
    assert main(["prune"]) == 0
    assert capsys.readouterr().out == "nothing to prune\n"


def test_json_is_for_programs(copies, capsys) -> None:
    assert main(["prune", "--json", "--keep", "1"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {
        "name": "kindred",
        "keep": 1,
        "removed": False,
        "bytes": 5000,
        "going": [
            {
                "kind": "copy",
                "name": f"var/serve/{GONE}.x",
                "bytes": 5000,
                "why": "of a process that is gone",
            }
        ],
        "staying": [],
    }


def test_what_other_packages_bring_is_listed_and_what_they_cannot_read_stays(
    monkeypatch, capsys
) -> None:
    def finds():
        yield Removal("journal", "var/teacher/old.jsonl", None, "no stage", lambda: False)
        yield Kept("var/mine", "in use")

    def breaks():
        raise SystemExit("params.yaml: seed: expected a number")
        yield

    monkeypatch.setattr(prune_command, "_brought", lambda: [finds, breaks])
    assert main(["prune", "--yes"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "stays: var/mine: in use",
        "stays: what the pipeline left: not looked at: params.yaml: seed: expected a number",
        "stays: journal var/teacher/old.jsonl: somebody has begun to use it",
        "nothing was pruned",
    ]


def test_a_negative_keep_is_wrong_usage(capsys) -> None:
    assert main(["prune", "--keep", "-1"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("kindred prune: got --keep -1, expected")


def test_as_many_champions_stay_as_promotion_keeps() -> None:
    from services.commands.registry_verbs import prune

    (keep,) = [option.default for option in prune.params if option.name == "keep"]
    assert keep == KEPT


def test_a_promotion_that_runs_is_a_conflict(monkeypatch, capsys) -> None:
    def busy(*_):
        raise ConflictError("another promotion runs")

    monkeypatch.setattr("registry.pruning.prune", busy)
    assert main(["prune", "--yes"]) == 3
    assert capsys.readouterr().err == "kindred prune: another promotion runs\n"


def test_a_folder_that_cannot_be_removed_is_told(copies, monkeypatch, capsys) -> None:
    def denied(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("registry.removal.rmtree", denied)
    assert main(["prune", "--yes"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"var/serve/{GONE}.x: this user cannot write there" in line


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (99_949, "99.9 kB"), (123_456, "123 kB"),
        (999_499, "999 kB"), (999_999, "1.0 MB"), (3.2e9, "3.2 GB"), (5e15, "5000 TB"), (None, "?"),
    ],
)  # fmt: skip
def test_sizes_are_readable(size, said) -> None:
    assert readable(size) == said
