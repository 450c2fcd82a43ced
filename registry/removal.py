"""Something that `kindred prune` can take away, whoever made it.

Other packages bring such things too: an entry point in the group `kindred.leftovers` is a function
that yields them.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

DROPPED = ".dropped."  # what a removal calls a folder first: killed, it leaves nothing half there
STALE = 3600.0  # seconds without a write: whoever wrote it is gone


@dataclass(frozen=True)
class Removal:
    """One thing that can go."""

    kind: str  # collection, bundle, version, ...
    name: str  # a path, where there is one
    size: int | None  # bytes; None where a server has it
    why: str
    remove: Callable[[], bool]
    """Take it away; False where somebody uses it by now, and it stays."""


@dataclass(frozen=True)
class Kept:
    """Something that one would expect to go, and why it stays."""

    name: str
    why: str


def bytes_below(path: Path) -> int:
    """How much a file or a folder holds; 0 where it is gone."""
    try:
        if not path.is_dir() or path.is_symlink():
            return path.lstat().st_size
        return sum(entry.lstat().st_size for entry in path.rglob("*") if not entry.is_dir())
    except FileNotFoundError:  # somebody tidies up at the same time
        return 0


def remove_path(path: Path) -> bool:
    """Remove a file or a folder, if it is there.

    Raises:
        OSError: It cannot be removed.
    """
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
    else:
        rmtree(path)
    return True


def remove_whole(folder: Path) -> bool:
    """Remove a folder that is never to be found in half: it is called `.dropped.*` first.

    Raises:
        OSError: It cannot be removed; what is left is called so.
    """
    return remove_path(folder.rename(folder.with_name(f"{DROPPED}{folder.name}.{os.getpid()}")))


def is_stale(path: Path) -> bool:
    """Whether nobody has written to it or below it for an hour."""
    try:
        newest = max(entry.lstat().st_mtime for entry in (path, *path.rglob("*")))
    except FileNotFoundError:  # it changes just now
        return False
    return time.time() - newest > STALE
