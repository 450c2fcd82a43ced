"""Which commit the working tree is at, and whether it holds anything that the commit does not."""

import shutil
import subprocess
from pathlib import Path

from pydantic import BaseModel, ConfigDict

# `dvc repro` itself writes these: they are committed after the run, not before it.
_WRITTEN_BY_THE_RUN = (":(exclude)dvc.lock", ":(exclude)metrics")
# git does not read a repository that another user owns, lest its settings run programs. Whoever
# asks here runs this tree's code already; the one program that these calls would run is not run.
_ALSO_OF_OTHERS = ("-c", "safe.directory=*", "-c", "core.fsmonitor=false")


class GitState(BaseModel):
    """The commit, or why there is none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    commit: str | None
    clean: bool | None  # dvc.lock and metrics/ aside
    note: str


def read_git_state(project: Path) -> GitState:
    """The state of the repository that `project` lies in; without one, a state that says so."""
    commit = git_output(project, "rev-parse", "HEAD")
    if commit is None:
        return GitState(commit=None, clean=None, note="not made in a git repository with a commit")
    changes = git_output(project, "status", "--porcelain", "--", ".", *_WRITTEN_BY_THE_RUN)
    if changes is None:
        return GitState(commit=commit, clean=None, note="git could not compare the tree")
    note = "the tree held changes that the commit does not" if changes else "the tree was clean"
    return GitState(commit=commit, clean=not changes, note=note)


def git_output(project: Path, *arguments: str) -> str | None:
    """What git answers; None where there is no git, no repository or no commit."""
    program = shutil.which("git")
    if program is None:
        return None
    done = subprocess.run(  # noqa: S603 - fixed arguments, no shell
        [program, *_ALSO_OF_OTHERS, "-C", str(project), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() if done.returncode == 0 else None
