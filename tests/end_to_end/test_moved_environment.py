"""`make install` in a tree that is moved and copied afterwards, with two packages of the lock."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
INSTALLED = ("setuptools", "uv")
PROJECT = """\
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "kindred"
version = "0.1.0"
scripts = { kindred = "services.cli:main" }
[tool.setuptools.packages.find]
include = ["services"]
"""


@pytest.fixture
def tree(tmp_path):
    tree = tmp_path / "a tree"
    (tree / "services").mkdir(parents=True)
    (tree / "services/__init__.py").touch()
    (tree / "services/cli.py").write_text("def main():\n    print(__file__)\n")
    (tree / "pyproject.toml").write_text(PROJECT)
    shutil.copy(ROOT / "Makefile", tree)
    lock = (ROOT / "requirements.lock").read_text().splitlines(keepends=True)
    kept, on = [], False
    for line in lock:
        if not line[0].isspace():
            on = line.startswith(tuple(f"{name}==" for name in INSTALLED))
        kept += [line] if on else []
    (tree / "requirements.lock").write_text("".join(kept))
    _install(tree)
    return tree


def _environment():
    """Without what says that this is a test of Kindred's, or a part of another make."""
    ours = {"PYTHONPATH", "MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
    return {key: value for key, value in os.environ.items() if key not in ours}


def _install(tree):
    done = subprocess.run(
        ["make", "install"],
        cwd=tree,
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _runs_its_own_code(tree):
    script = tree / ".venv/bin/kindred"
    done = subprocess.run(
        [script], cwd="/", env=_environment(), capture_output=True, text=True, check=True
    )
    assert Path(done.stdout.strip()) == tree / "services/cli.py"


def test_a_tree_that_moves_or_is_copied_runs_its_own_code_and_is_mended(tree, tmp_path):
    _runs_its_own_code(tree)
    assert _install(tree).strip() == "make: Nothing to be done for 'install'."
    moved = tree.rename(tmp_path / "moved ü")
    shutil.copytree(moved, tmp_path / "copy", symlinks=True)
    for place in (moved, tmp_path / "copy"):
        _runs_its_own_code(place)
        _install(place)
        _runs_its_own_code(place)
        activate = '. .venv/bin/activate && command -v kindred && printf %s "$VIRTUAL_ENV"'
        done = subprocess.run(
            ["bash", "-c", activate], cwd=place, capture_output=True, text=True, check=True
        )
        assert done.stdout.split("\n") == [f"{place}/.venv/bin/kindred", f"{place}/.venv"]
        assert _install(place).strip() == "make: Nothing to be done for 'install'."


def test_an_environment_of_before_is_made_anew_where_its_scripts_are_of_another_place(
    tree, tmp_path
):
    config = tree / ".venv/pyvenv.cfg"
    config.write_text(config.read_text().replace("relocatable = true\n", ""))
    (tree / ".venv/bin/dvc").write_text(f"#!{tree}/.venv/bin/python\n")
    (tree / ".venv/.installed").write_text("")
    _install(tree)
    assert (tree / ".venv/bin/dvc").exists()  # it is in its place: left as it is
    moved = tree.rename(tmp_path / "moved")
    _install(moved)
    assert not (moved / ".venv/bin/dvc").exists()
    _runs_its_own_code(moved)
