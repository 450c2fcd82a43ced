"""Which processes run, and what those that do not have left."""

from pathlib import Path
from shutil import rmtree

import psutil


def runs(pid: int) -> bool:
    """Whether a process runs."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


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
