"""The workers of one service, of which each opens the next version: they swap at the same time.

A folder holds a file a worker, named by its process: which version it has or is opening, since it
looked at the registry at what time.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from services.search.processes import runs

PATIENCE = 60.0  # seconds; then a worker swaps without those that hang
_PAUSE = 0.05

State = Literal["opening", "ready", "failed"]


@dataclass(frozen=True)
class _Told:
    """What a worker said last."""

    digest: str
    state: str
    looked: float


class Peers:
    """This worker among those of its service."""

    def __init__(
        self, folder: Path, pid: int | None = None, still: Callable[[int], bool] = runs
    ) -> None:
        """Use a folder that the workers share; `announce` makes it.

        Args:
            folder: Of one service.
            pid: Of this worker, where it is another one's.
            still: Whether a process runs.
        """
        self._folder = folder
        self._own = folder / str(pid or os.getpid())
        self._still = still

    def announce(self, digest: str, state: State, looked: float) -> None:
        """Tell the others about a version, and forget what was told before.

        Args:
            digest: The version's.
            state: What it is in here.
            looked: When the registry was asked (seconds since 1970).
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        draft = self._own.with_suffix(".draft")
        draft.write_text(f"{digest} {state} {looked!r}", encoding="utf-8")
        draft.replace(self._own)

    def wait_for(self, digest: str, looked: float, patience: float = PATIENCE) -> bool:
        """Wait until every worker that runs has a version ready, or could not open it.

        Returns:
            False where another one has found a later version: look again.
        """
        end = time.monotonic() + patience
        while time.monotonic() < end:
            others = self._others()
            if any(other.digest != digest and other.looked > looked for other in others):
                return False
            if all(
                other.state == "failed" or (other.digest, other.state) == (digest, "ready")
                for other in others
            ):
                return True
            time.sleep(_PAUSE)
        return True

    def leave(self) -> None:
        """Be no worker any more."""
        self._own.unlink(missing_ok=True)

    def _others(self) -> list[_Told]:
        found = []
        for path in self._folder.glob("[0-9]*"):
            if path == self._own or path.suffix or not self._still(int(path.name)):
                continue
            try:
                digest, state, looked = path.read_text(encoding="utf-8").split()
            except FileNotFoundError:
                continue
            found.append(_Told(digest, state, float(looked)))
        return found
