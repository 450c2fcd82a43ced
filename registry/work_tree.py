"""A temporary git work tree of a commit: in `var/reproduce/`, removed whatever happens.

    with work_tree("c0ffee", keep=False, report=print) as tree:
        ... tree.folder is the project as the commit has it ...

What a killed process left is removed by the next one, which says so.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from registry.errors import RefusedError

HOMES = Path("var/reproduce")
_GUARD = Path("var/locks/reproduce.lock")  # while a home is found or swept up
_KEPT = "kept"

Report = Callable[[str], None]


@dataclass(frozen=True)
class WorkTree:
    """The commit's files, and a folder around them for what else belongs to the run."""

    home: Path  # absolute; goes as a whole
    folder: Path  # the project in the tree

    @property
    def tree(self) -> Path:
        """What git calls the work tree: the project may lie deeper."""
        return self.home / "tree"


@contextmanager
def work_tree(commit: str, *, keep: bool, report: Report) -> Iterator[WorkTree]:
    """Check a commit of the working directory's repository out, and remove it at the end.

    Args:
        commit: Which.
        keep: Leave it there instead.
        report: Called with what is worth saying, for people.

    Raises:
        RefusedError: There is no git here, or the repository has no such commit.
    """
    prefix = _git("rev-parse", "--show-prefix").strip()
    require_commit(commit)
    _GUARD.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(_GUARD):
        _sweep(report)
        HOMES.mkdir(parents=True, exist_ok=True)
        home = Path(tempfile.mkdtemp(dir=HOMES.absolute(), prefix=f"{commit[:12]}."))
        held = FileLock(home / "lock", timeout=0)
        held.acquire()
    made = WorkTree(home, home / "tree" / prefix)
    try:
        # Without the hooks: DVC's own would fill the tree with what is to be computed.
        _git(
            "-c", "core.hooksPath=/dev/null", "worktree", "add", "--detach", str(made.tree), commit
        )
        yield made
    finally:
        if keep:
            (home / _KEPT).touch()
        else:
            _remove(home)
        held.release()


def require_commit(commit: str) -> None:
    """See that the repository has a commit.

    Raises:
        RefusedError: It has not, or there is no git here.
    """
    try:
        _git("cat-file", "-e", f"{commit}^{{commit}}")
    except _GitError as error:
        msg = (
            f"got commit {commit}, which the git repository here does not have: fetch it"
            " (`git fetch --all`; of a shallow clone `git fetch --unshallow`), and run this again"
        )
        raise RefusedError(msg) from error


def _sweep(report: Report) -> None:
    """Remove what killed processes left, with what still runs in it."""
    for home in HOMES.absolute().glob("*"):
        if (home / _KEPT).exists():
            continue
        lock = FileLock(home / "lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            continue  # its process is at work
        _end_processes(home)
        _remove(home)
        lock.release()
        report(f"removed {home}, which a reproduction that was killed had left")


def _end_processes(home: Path) -> None:
    """DVC and its stage go on when the process that started them is killed."""
    for process in psutil.process_iter(["cwd"]):
        where = process.info["cwd"]
        if where and Path(where).is_relative_to(home):
            with suppress(psutil.NoSuchProcess):
                process.kill()


def _remove(home: Path) -> None:
    with suppress(RefusedError):  # not made yet, or half gone
        _git("worktree", "remove", "--force", "--force", str(home / "tree"))
    shutil.rmtree(home, ignore_errors=True)


class _GitError(RefusedError):
    """Git said no."""


def _git(*arguments: str) -> str:
    program = shutil.which("git")
    if program is None:
        msg = "got no program git, expected it on the PATH: a version is reproduced from its commit"
        raise RefusedError(msg)
    done = subprocess.run(  # noqa: S603 - no shell, and the commit is checked
        [program, *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        msg = (
            f"git {' '.join(arguments[:2])} failed: {said}; run this in a clone of the repository"
            " that the version was made in"
        )
        raise _GitError(msg)
    return done.stdout
