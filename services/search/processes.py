"""Which processes run, what they tell each other, and what those that do not run have left."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from shutil import rmtree

import psutil

PARENT = "KINDRED_PARENT"  # the process whose workers a service's are


def parent() -> int:
    """The process that started this worker, also where it has gone meanwhile."""
    return int(os.environ.get(PARENT) or os.getppid())


def runs(pid: int) -> bool:
    """Whether a process runs."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


class Notices:
    """What the workers of one service tell each other: a file a worker, named by its process."""

    def __init__(
        self, folder: Path, pid: int | None = None, still: Callable[[int], bool] = runs
    ) -> None:
        """Use a folder that the workers share; `tell` makes it.

        Args:
            folder: Of one service.
            pid: Of this worker, where it is another one's.
            still: Whether a process runs.
        """
        self._folder = folder
        self._own = folder / str(pid or os.getpid())
        self._still = still

    def tell(self, text: str) -> None:
        """Have the others read this, and no longer what was told before."""
        self._folder.mkdir(parents=True, exist_ok=True)
        draft = self._own.with_suffix(".draft")
        draft.write_text(text, encoding="utf-8")
        draft.replace(self._own)

    def read(self) -> list[str]:
        """What each of the others that run told last."""
        found = []
        for path in self._folder.glob("[0-9]*"):
            if path == self._own or path.suffix or not self._still(int(path.name)):
                continue
            with suppress(FileNotFoundError):
                found.append(path.read_text(encoding="utf-8"))
        return found

    def leave(self) -> None:
        """Be no worker any more."""
        self._own.unlink(missing_ok=True)


def left_behind(folder: Path) -> list[Path]:
    """Folders named by processes (`PID.anything`) that are no more."""
    return [
        left
        for left in sorted(folder.glob("[0-9]*.*"))
        if not runs(int(left.name.partition(".")[0]))
    ]


def sweep(folder: Path) -> None:
    """Remove what they left."""
    for left in left_behind(folder):
        rmtree(left, ignore_errors=True)
