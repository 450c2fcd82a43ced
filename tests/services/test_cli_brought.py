"""Verbs that other packages bring, found by their entry points: `kindred init`."""

import subprocess
import sys
from importlib.metadata import EntryPoint, PackageNotFoundError
from pathlib import Path
from typing import NoReturn

import pytest

from services import cli
from services.cli import main

INIT = EntryPoint("init", "pipelines.setup.command:init", cli.BROUGHT)
CATALOG = EntryPoint("catalog", "pipelines.sync.command:catalog", cli.BROUGHT)
HEAVY = ("torch", "mlflow", "pandas", "numpy", "pyarrow", "PIL", "pydantic", "yaml")


@pytest.fixture
def brought(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if this tree were installed: what is installed may be an older one."""
    monkeypatch.setattr(cli, "_brought", lambda: {"init": INIT})


def test_it_is_listed_first_with_what_it_does(brought, capsys) -> None:
    assert main(["--help"]) == 0
    verbs = capsys.readouterr().out.split("Commands:\n")[1].splitlines()
    assert verbs[0].split(maxsplit=1) == ["init", "Make a folder of pictures a catalogue."]
    assert verbs[1].split()[0] == "status"


@pytest.mark.parametrize(
    ("arguments", "example"),
    [
        (["--help"], "kindred init photos"),
        (["init", "--help"], "kindred init photos"),
        (["catalog", "--help"], "kindred catalog sync photos"),
        (["catalog", "sync", "-h"], "kindred catalog sync photos --dry-run"),
    ],
)
def test_help_imports_nothing_heavy(arguments: list[str], example: str) -> None:
    code = (
        "import sys\n"
        "from importlib.metadata import EntryPoint\n"
        "from services import cli\n"
        f"found = {[(e.name, e.value, e.group) for e in (INIT, CATALOG)]!r}\n"
        "cli._brought = lambda: {name: EntryPoint(name, *rest) for name, *rest in found}\n"
        "cli.main(sys.argv[1:])\n"
        f"sys.exit(repr([m for m in {HEAVY!r} if m in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert example in done.stdout.split("Examples:")[1]
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["init"], "kindred init: Missing argument 'FOLDER'"),
        (["init", "a", "b"], "kindred init: Got unexpected extra argument (b)"),
        (["init", "a", "--wrote"], "kindred init: No such option '--wrote'"),
        (["init", "a"], "kindred init: params.yaml is missing: run this from the project's top"),
        (["inti"], "kindred: got 'inti', expected one of init, status"),
    ],
)
def test_what_is_wrong_is_one_line(
    arguments: list[str], said: str, brought, capsys, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(said)
    assert line.endswith("--help)")


def test_where_kindred_is_not_installed_its_own_verbs_remain(monkeypatch, capsys) -> None:
    def fail(name: str) -> NoReturn:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.distribution", fail)
    assert main(["init"]) == 2
    assert "got 'init', expected one of status" in capsys.readouterr().err
