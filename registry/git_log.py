"""What the project's git repository knows of commits that versions were made at."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from registry.git_state import git_output

_FIELDS = "%H%x1f%cs%x1f%s"  # digest, day, subject


@dataclass(frozen=True)
class Commit:
    """One commit."""

    commit: str
    day: str
    subject: str


@dataclass(frozen=True)
class CommitsBetween:
    """What stands between two commits, newest first; or why nothing can be said."""

    added: Sequence[Commit] = ()  # reached from the second alone
    removed: Sequence[Commit] = ()  # reached from the first alone
    fault: str = ""


def find_commit(project: Path, commit: str) -> Commit | None:
    """A commit; None where the repository has it not, or there is none."""
    found = _log(project, "-1", commit)
    return found[0] if found else None


def commits_between(project: Path, first: str | None, second: str | None) -> CommitsBetween:
    """The commits that one side has and the other has not."""
    if first is None or second is None:
        return CommitsBetween(fault="a version was not made in a git repository with a commit")
    lacking = [one for one in (first, second) if find_commit(project, one) is None]
    if lacking:
        short = " nor ".join(one[:12] for one in lacking)
        fault = f"the repository here has no commit {short}: run it in one that has, or `git fetch`"
        return CommitsBetween(fault=fault)
    return CommitsBetween(
        added=_log(project, f"{first}..{second}") or [],
        removed=_log(project, f"{second}..{first}") or [],
    )


def _log(project: Path, *what: str) -> list[Commit] | None:
    """Commits as git lists them; None where it cannot."""
    said = git_output(project, "log", f"--format={_FIELDS}", *what, "--")
    if said is None:
        return None
    return [Commit(*line.split("\x1f", 2)) for line in said.splitlines()]
