"""The key of a checkpoint: what a killed cycle goes on from, and what it starts anew for."""

import shutil

import pytest
import yaml

from pipelines import distill
from pipelines.distill import checkpoint_key
from pipelines.run.code import ROOT

INPUTS = {"data/labels/c1/rankings.parquet": "0" * 64}
SETTINGS = {"seed": 0}


@pytest.fixture
def tree(tmp_path):
    """A copy of the code, to change."""
    for package in ("pipelines", "retrieval", "registry", "validation"):
        shutil.copytree(
            ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    return tmp_path


def key(tree):
    return checkpoint_key(INPUTS, SETTINGS, tree)


def append(path):
    path.write_text(path.read_text(encoding="utf-8") + "\nADDED = 1\n", encoding="utf-8")


def test_equal_inputs_settings_and_code_give_an_equal_key(tree):
    assert key(tree) == key(ROOT)


@pytest.mark.parametrize(
    ("inputs", "settings"), [({**INPUTS, "more": "1" * 64}, SETTINGS), (INPUTS, {"seed": 1})]
)
def test_other_inputs_or_settings_change_the_key(inputs, settings):
    assert checkpoint_key(inputs, settings) != checkpoint_key(INPUTS, SETTINGS)


@pytest.mark.parametrize(
    "file",
    [
        "pipelines/training/losses.py",
        "pipelines/run/params.py",
        "retrieval/storage/vectors.py",
        "validation/limits.py",
    ],
)
def test_code_of_any_package_that_training_reaches_changes_the_key(tree, file):
    before = key(tree)
    append(tree / file)
    assert key(tree) != before


def test_files_of_one_name_in_two_folders_both_count(tree):
    """Two files that change places: by name alone nothing would have changed."""
    first, second = tree / "retrieval/captions.py", tree / "pipelines/training/captions.py"
    second.write_text("ADDED = 1\n", encoding="utf-8")
    with (tree / "pipelines/training/losses.py").open("a", encoding="utf-8") as file:
        file.write("\nimport pipelines.training.captions\nimport retrieval.captions\n")
    keys = {key(tree)}
    for path in (first, second):
        append(path)
        keys.add(key(tree))
    assert len(keys) == 3


@pytest.mark.parametrize(
    "file",
    [
        "pipelines/evaluation/page/page.html",
        "pipelines/pages/scale.py",
        "pipelines/concepts.py",
        "pipelines/label.py",
    ],
)
def test_what_training_does_not_reach_keeps_the_key(tree, file):
    assert (tree / file).is_file()
    before = key(tree)
    append(tree / file)
    assert key(tree) == before


def test_the_stage_trains_and_stops_by_the_recipe(tmp_path, monkeypatch):
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["distill"] |= {"recipe": "published", "patience": 1, "train": "map"}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(distill, "make_repeatable", lambda *_: None)
    went = []
    monkeypatch.setattr(distill, "distil", lambda params, cycle, team: went.append(params.distill))
    distill.main("c1")
    assert [(one.train, one.labels, one.patience) for one in went] == [("whole", "own", 5)]
