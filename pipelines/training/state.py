"""What training hands on: from a cycle to the next, and from a killed run to the one after it."""

import io
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from filelock import FileLock, Timeout

from retrieval.storage.files import atomic_file

CHECKPOINTS = Path("var/checkpoints")
FIRST_AFTER = 1.0  # seconds
COSTS = 25  # between two checkpoints lies so many times what one takes: 4 % of the time at most

State = dict[str, Any]  # tensors, numbers, and lists and mappings of them


def write_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write a state, atomically; equal states give equal bytes."""
    content = io.BytesIO()  # torch.save writes the name of a file into it
    torch.save(dict(state), content)
    with atomic_file(path) as temporary:
        temporary.write_bytes(content.getvalue())


def read_state(path: Path) -> State:
    """Read a state, onto the CPU.

    Raises:
        FileNotFoundError: There is no such file.
    """
    state: State = torch.load(path, map_location="cpu", weights_only=True)
    return state


class Checkpoint:
    """A stage's last checkpoint, for a run of the same inputs and settings. Use it as a context."""

    def __init__(self, stage: str, digest: str) -> None:
        """Nothing is opened or made before the context is entered.

        Args:
            stage: The stage's name.
            digest: Of all that the result depends on, in hexadecimal.
        """
        self._stage = stage
        self._path = CHECKPOINTS / f"{stage}-{digest[:16]}.pt"
        self._lock = FileLock(CHECKPOINTS / f"{stage}.lock")
        self._written = time.monotonic()
        self._pause = FIRST_AFTER

    def __enter__(self) -> "Checkpoint":
        """Lock the stage's checkpoints.

        Raises:
            BlockingIOError: Another process has them.
        """
        CHECKPOINTS.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            msg = f"{self._lock.lock_file} is held by another process; wait for it, or end it"
            raise BlockingIOError(msg) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Unlock; a checkpoint stays until `remove`."""
        self._lock.release()

    def read(self) -> State | None:
        """What a killed run left, if it had the same inputs and settings."""
        return read_state(self._path) if self._path.exists() else None

    def due(self) -> bool:
        """Whether it is time for the next one."""
        return time.monotonic() - self._written >= self._pause

    def write(self, state: Mapping[str, Any]) -> None:
        """Put a checkpoint in the place of the last one."""
        start = time.monotonic()
        write_state(self._path, state)
        self._written = time.monotonic()
        self._pause = max(FIRST_AFTER, COSTS * (self._written - start))

    def remove(self) -> None:
        """Remove all checkpoints of the stage: its outputs are there."""
        for path in CHECKPOINTS.glob(f"{self._stage}-*.pt"):
            path.unlink()
