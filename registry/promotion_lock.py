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
    with sole(LOCK, "promotion, rollback, sync or prune"):
        yield


@contextmanager
def sole(lock: Path, what: str) -> Iterator[None]:
    """Hold a lock that only one process of a kind has, or say that another one does.

    Raises:
        ConflictError: Another process has it.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(lock, timeout=0):
            yield
    except Timeout as error:
        msg = f"another {what} has {lock}; wait until it is done, then look at `kindred history`"
        raise ConflictError(msg) from error
