"""One promotion, rollback, sync or prune at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from registry.errors import ConflictError

LOCK = Path("var/locks/promotion.lock")


@contextmanager
def promotion_lock() -> Iterator[None]:
    """Hold the lock of whatever moves the champion or takes versions away.

    Raises:
        ConflictError: Another process has it.
    """
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(LOCK, timeout=0):
            yield
    except Timeout as error:
        msg = (
            f"another promotion, rollback, sync or prune has {LOCK}; wait until it is done, then"
            " look at `kindred history`"
        )
        raise ConflictError(msg) from error
