"""A temporary work tree, in a git repository of its own."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from registry.errors import RefusedError
from registry.work_tree import HOMES, work_tree

ROOT = Path(__file__).parents[2]
HOLD = """
import subprocess, sys
from registry.work_tree import work_tree
with work_tree(sys.argv[1], keep=False, report=print) as tree:
    child = subprocess.Popen(["sleep", "600"], cwd=tree.folder, start_new_session=True)
    print(child.pid, flush=True)
    child.wait()
"""


def git(*arguments):
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def commit(tmp_path, monkeypatch):
    """The first of two commits of a project that lies in a folder of the repository."""
    project = tmp_path / "repository/project"
    project.mkdir(parents=True)
    monkeypatch.chdir(project)
    git("init", "--quiet")
    Path(".gitignore").write_text("/var/\n")
    for content in ("one", "two"):
        Path("file").write_text(content)
        git("add", "--all")
        git("-c", "user.name=t", "-c", "user.email=t@t", "commit", "--quiet", "-m", content)
    return git("rev-parse", "HEAD~1")


def trees():
    return git("worktree", "list", "--porcelain").count("worktree ")


def test_it_holds_the_commit_and_goes(commit):
    hook = Path(git("rev-parse", "--git-path", "hooks")) / "post-checkout"
    hook.write_text("#!/bin/sh\ntouch hooked\n")
    hook.chmod(0o755)
    with work_tree(commit, keep=False, report=print) as tree:
        assert (tree.folder / "file").read_text() == "one"
        assert not (tree.tree / "hooked").exists()
        (tree.folder / "file").write_text("changed")
        assert trees() == 2
    assert trees() == 1
    assert list(HOMES.iterdir()) == []
    assert git("status", "--porcelain") == ""


def test_it_goes_after_an_interrupt(commit):
    with pytest.raises(KeyboardInterrupt), work_tree(commit, keep=False, report=print):
        raise KeyboardInterrupt
    assert trees() == 1
    assert list(HOMES.iterdir()) == []


def test_a_kept_one_stays_also_when_another_is_made(commit):
    with work_tree(commit, keep=True, report=print) as kept:
        pass
    with work_tree(commit, keep=False, report=print):
        assert trees() == 3
    assert (kept.folder / "file").read_text() == "one"
    assert trees() == 2


def test_two_at_once_leave_each_other_alone(commit):
    with work_tree(commit, keep=False, report=print) as one:
        with work_tree(commit, keep=False, report=print) as other:
            assert one.folder != other.folder
        assert (one.folder / "file").exists()


def test_what_a_killed_one_left_is_removed_and_said(commit):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, commit],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    child = psutil.Process(int(holder.stdout.readline()))
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert trees() == 2
    said = []
    with work_tree(commit, keep=False, report=said.append):
        assert trees() == 2
    assert trees() == 1
    assert "killed" in said[0]
    deadline = time.monotonic() + 10
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_commit_that_is_not_here_is_named(commit):
    with (
        pytest.raises(RefusedError, match=r"got commit c0ffee, which .*git fetch --all"),
        work_tree("c0ffee", keep=False, report=print),
    ):
        pass
    assert trees() == 1


def test_without_git_it_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with (
        pytest.raises(RefusedError, match="not a git repository"),
        work_tree("c0ffee", keep=False, report=print),
    ):
        pass
