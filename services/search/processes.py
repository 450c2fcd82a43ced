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


def sweep(folder: Path) -> None:
    """Remove folders named by processes (`PID.anything`) that are no more."""
    for left in folder.glob("[0-9]*.*"):
        if not runs(int(left.name.partition(".")[0])):
            rmtree(left, ignore_errors=True)
