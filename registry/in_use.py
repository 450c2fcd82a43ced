"""Which bundles some process of this machine reads now, so that nobody takes them away.

Who has a bundle holds a shared lock on a file beside it, as long as the `Bundle` lives or until the
process ends, however it ends; who wants to remove it asks for the same lock alone. The files stay:
a lock on a file that was removed would guard nothing.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Hold:
    """A bundle in use, until this is forgotten; making it waits for who removes the bundle now."""

    def __init__(self, cache: Path, digest: str) -> None:
        """Take the lock; the folder of the bundles is there.

        Where nobody can write, nobody can remove either, and there is nothing to lock.
        """
        try:
            self._handle = _open(cache, digest)
        except OSError as error:
            if error.errno not in (errno.EROFS, errno.EACCES):
                raise
        else:
            fcntl.flock(self._handle, fcntl.LOCK_SH)

    def __del__(self) -> None:
        """Give it back."""
        if hasattr(self, "_handle"):
            os.close(self._handle)


@contextmanager
def alone(cache: Path, digest: str) -> Iterator[bool]:
    """Keep everybody from a bundle and its collections, for as long as the context lasts.

    Yields:
        False where somebody uses it: then it must stay.
    """
    cache.mkdir(parents=True, exist_ok=True)
    handle = _open(cache, digest)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        free = False
    else:
        free = True
    try:
        yield free
    finally:
        os.close(handle)


def is_used(cache: Path, digest: str) -> bool:
    """Whether a process uses it now; asking makes no file."""
    if not (cache / _name(digest)).exists():
        return False
    with alone(cache, digest) as free:
        return not free


def _open(cache: Path, digest: str) -> int:
    """For reading is enough to lock it, also where another user made it."""
    return os.open(cache / _name(digest), os.O_RDONLY | os.O_CREAT, 0o644)


def _name(digest: str) -> str:
    return f".{digest}.used"
