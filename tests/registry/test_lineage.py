import subprocess
from pathlib import Path

import pytest

from registry.dvc_lock import upstream_stages
from registry.git_state import read_git_state
from registry.lineage import Lineage, package_versions

LOCK = """\
schema: '2.0'
stages:
  base:
    cmd: python -m pipelines.base
    deps:
    - {path: data/catalog, hash: md5, md5: aa.dir, size: 3, nfiles: 2}
    params:
      params.yaml:
        base.epochs: 16
    outs:
    - {path: models/cycles/c0, hash: md5, md5: bb.dir, size: 3, nfiles: 2}
    - {path: data/runs/c0.json, hash: md5, md5: RUN, size: 3}
  catalog:
    cmd: python -m pipelines.catalog
    outs:
    - {path: data/catalog, hash: md5, md5: aa.dir, size: 3, nfiles: 2}
  distill@c9:
    cmd: python -m pipelines.distill c9
    deps:
    - {path: models/cycles/c0, hash: md5, md5: bb.dir, size: 3, nfiles: 2}
    outs:
    - {path: models/cycles/c9, hash: md5, md5: dd.dir, size: 3, nfiles: 2}
  select:
    cmd: python -m pipelines.select
    deps:
    - {path: models/cycles, hash: md5, md5: ee.dir, size: 6, nfiles: 4}
    outs:
    - {path: models/student, hash: md5, md5: dd.dir, size: 3, nfiles: 2}
  register:
    cmd: python -m pipelines.register
    deps:
    - {path: models/student, hash: md5, md5: bb.dir, size: 3, nfiles: 2}
    outs:
    - {path: models/registered.json, hash: md5, md5: cc, size: 3}
"""


def collect(project: Path) -> Lineage:
    stages = upstream_stages(project / "dvc.lock", ["models/cycles/c0"], [])
    return Lineage(
        git=read_git_state(project),
        stages=stages,
        teacher={"kind": "simulated"},
        prompts=None,
        runs={},
        parent=None,
        packages=package_versions(),
        python="3.11.7",
    )


def test_upstream_stages_are_found_by_what_they_made(tmp_path: Path) -> None:
    lock = tmp_path / "dvc.lock"
    lock.write_text(LOCK)
    stages = upstream_stages(lock, ["models/cycles/c0/model/open_clip_config.json"], [])
    assert list(stages) == ["base", "catalog"]
    assert stages["base"].deps == {"data/catalog": "aa.dir"}
    assert stages["base"].params == {"params.yaml": {"base.epochs": 16}}


@pytest.mark.parametrize("cycles", [[], ["c9"]])
def test_of_a_folder_of_all_cycles_those_count_that_there_are(
    tmp_path: Path, cycles: list[str]
) -> None:
    """DVC keeps a cycle in its lock that was taken out of the parameters."""
    lock = tmp_path / "dvc.lock"
    lock.write_text(LOCK)
    stages = upstream_stages(lock, ["models/student"], cycles)
    assert set(stages) == {"base", "catalog", "select", *(f"distill@{name}" for name in cycles)}


def test_a_broken_lock_is_named(tmp_path: Path) -> None:
    lock = tmp_path / "dvc.lock"
    lock.write_text("stages: [1, 2]")
    with pytest.raises(ValueError, match=r"dvc.lock: got .* run `dvc repro` again"):
        upstream_stages(lock, ["models/cycles/c0"], [])


def test_works_without_git_and_without_dvc(tmp_path: Path) -> None:
    lineage = collect(tmp_path)
    assert (lineage.git.commit, lineage.git.clean) == (None, None)
    assert "not made in a git repository" in lineage.git.note
    assert lineage.stages == {}
    assert lineage.packages["torch"]


def test_run_ids_in_the_lock_are_no_content(tmp_path: Path) -> None:
    contents = []
    for run in ("run1", "run2"):
        (tmp_path / "dvc.lock").write_text(LOCK.replace("RUN", run))
        lineage = collect(tmp_path)
        assert lineage.stages["base"].outs["data/runs/c0.json"] == run
        contents.append(lineage.content())
    assert contents[0] == contents[1]


def test_what_the_run_writes_does_not_dirty_the_tree(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True)

    (tmp_path / "metrics").mkdir()
    (tmp_path / "code.py").write_text("1")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    (tmp_path / "dvc.lock").write_text(LOCK)
    (tmp_path / "metrics" / "evaluate.json").write_text("{}")
    state = read_git_state(tmp_path)
    assert len(state.commit or "") == 40
    assert state.clean is True
    (tmp_path / "code.py").write_text("2")
    assert read_git_state(tmp_path).clean is False


def test_the_commit_of_a_tree_that_another_user_owns_is_known(tmp_path, monkeypatch) -> None:
    """`git` itself refuses to read it."""
    for arguments in (["init", "-q"], ["commit", "--allow-empty", "-qm", "first"]):
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    asked = ["git", "rev-parse", "HEAD"]
    assert subprocess.run(asked, cwd=tmp_path, check=False, capture_output=True).returncode == 128
    state = read_git_state(tmp_path)
    assert len(state.commit or "") == 40
    assert state.clean is True
