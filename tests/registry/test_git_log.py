import subprocess
from pathlib import Path

import pytest

from registry.git_log import commits_between, find_commit


@pytest.fixture
def repository(tmp_path: Path) -> list[str]:
    """Three commits in a row, named one, two, three; their digests."""
    git(tmp_path, "init", "-q")
    digests = []
    for subject in ("one", "two", "three"):
        git(tmp_path, "commit", "-q", "--allow-empty", "-m", subject)
        digests.append(git(tmp_path, "rev-parse", "HEAD"))
    return digests


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_commits_between_two(tmp_path: Path, repository: list[str]) -> None:
    first, _, last = repository
    forth, back = commits_between(tmp_path, first, last), commits_between(tmp_path, last, first)
    assert [one.subject for one in forth.added] == ["three", "two"]
    assert [one.subject for one in back.removed] == ["three", "two"]
    assert (forth.removed, back.added, forth.fault) == ([], [], "")


def test_a_commit_that_is_elsewhere_is_named(tmp_path: Path, repository: list[str]) -> None:
    found = commits_between(tmp_path, "c0ffee" * 7, repository[0])
    assert found.fault.startswith("the repository here has no commit c0ffeec0ffee")
    assert (found.added, found.removed) == ((), ())


def test_versions_that_were_made_without_git(tmp_path: Path) -> None:
    assert "not made in a git repository" in commits_between(tmp_path, None, "c0ffee").fault


def test_a_folder_that_is_no_repository(tmp_path: Path) -> None:
    assert find_commit(tmp_path, "c0ffee") is None
