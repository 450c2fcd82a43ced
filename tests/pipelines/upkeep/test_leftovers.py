"""What the pipeline left that no later run reads: journals, checkpoints, a half bundle."""

import os
import shutil
from pathlib import Path

import pytest
from filelock import FileLock

from pipelines import register
from pipelines.sync import run
from pipelines.training import state
from pipelines.upkeep import leftovers
from pipelines.upkeep.leftovers import find_leftovers, read_stages

ROOT = Path(__file__).parents[3]
DIGEST = "0123456789abcdef"


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: str, age: float = 0.0) -> Path:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("content")
    os.utime(file, (1e9 - age, 1e9 - age))
    return file


def found() -> dict[str, str]:
    return {one.name: one.why for one in find_leftovers()}


def test_the_paths_are_those_of_the_stages():
    assert leftovers.CHECKPOINTS == state.CHECKPOINTS
    assert leftovers.REGISTERING == register.WORK
    assert leftovers.SYNCING == run.WORK
    assert run.LOCK == leftovers.LOCKS / "sync.lock"


def test_stages_are_named_as_dvc_names_them(project):
    stages = read_stages()
    assert {"catalog", "label@c1", "distill@c1", "register"} <= stages
    assert "distill" not in stages


def test_a_journal_stays_as_long_as_a_stage_reads_it(project):
    for name in ("label", "tournaments", "captions", "personas"):
        write(f"var/teacher/{name}.jsonl")
    old = write("var/teacher/rank.jsonl")
    assert found() == {str(old): "dvc.yaml has no stage rank that reads it"}
    (one,) = find_leftovers()
    with FileLock("var/teacher/rank.jsonl.lock"):
        assert not one.remove()
    assert old.exists()
    assert one.remove()
    assert not old.exists()


def test_of_checkpoints_the_last_of_a_stage_that_was_killed_stays(project):
    write(f"var/checkpoints/distill@c1-{DIGEST}.pt")
    older = write(f"var/checkpoints/distill@c1-{DIGEST[::-1]}.pt", age=60)
    gone = write(f"var/checkpoints/distill@c99-{DIGEST}.pt")
    over = write(f"var/checkpoints/distill@c2-{DIGEST}.pt")
    write("data/runs/c2.json")
    assert found() == {
        str(older): "there is a newer one of distill@c1",
        str(over): "distill@c2 has ended since",
        str(gone): "dvc.yaml has no stage distill@c99",
    }


def test_a_half_bundle_goes_unless_it_is_being_registered(project):
    write("var/register/bundle/metrics.json")
    (one,) = find_leftovers()
    assert (one.kind, one.size) == ("leftover", 7)
    Path("var/locks").mkdir()
    with FileLock("var/locks/register.lock"):
        assert not one.remove()
    assert one.remove()
    assert not Path("var/register").exists()


def test_without_a_pipeline_nothing_says_what_is_needed(project):
    write("var/teacher/rank.jsonl")
    Path("dvc.yaml").unlink()
    assert found() == {}


@pytest.mark.parametrize("content", ["stages: [", "", "vars: []"])
def test_a_broken_pipeline_is_told_in_a_line(project, content):
    Path("dvc.yaml").write_text(content)
    with pytest.raises(ValueError, match=r"dvc\.yaml cannot be read") as error:
        found()
    assert "\n" not in str(error.value)
