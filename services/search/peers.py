"""The workers of one service, of which each opens the next version: they swap at the same time.

Each tells the others which version it has or is opening, since it looked at the registry at what
time, and when it said so. When all have it they swap `NOTICE` after the last one said so: by then
each has heard of that.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from services.search.processes import Notices, runs

PATIENCE = 60.0  # seconds; then a worker swaps without those that hang
NOTICE = 0.15  # seconds
_PAUSE = 0.05

State = Literal["opening", "ready", "failed"]


@dataclass(frozen=True)
class _Told:
    """What a worker said last."""

    digest: str
    state: str
    looked: float
    said: float  # seconds since 1970


class Peers:
    """This worker among those of its service."""

    def __init__(
        self, folder: Path, pid: int | None = None, still: Callable[[int], bool] = runs
    ) -> None:
        """As `Notices`."""
        self._notices = Notices(folder, pid, still)
        self._said = 0.0

    def announce(self, digest: str, state: State, looked: float) -> None:
        """Tell the others about a version, and forget what was told before.

        Args:
            digest: The version's.
            state: What it is in here.
            looked: When the registry was asked (seconds since 1970).
        """
        self._said = time.time()
        self._notices.tell(f"{digest} {state} {looked!r} {self._said!r}")

    def wait_for(self, digest: str, looked: float, patience: float = PATIENCE) -> bool:
        """Wait until every worker that runs has a version ready, or could not open it.

        It returns in all of them at the same time.

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
                if others:
                    last = max(self._said, *(other.said for other in others))
                    time.sleep(min(max(0.0, last + NOTICE - time.time()), NOTICE))
                return True
            time.sleep(_PAUSE)
        return True

    def leave(self) -> None:
        """Be no worker any more."""
        self._notices.leave()

    def _others(self) -> list[_Told]:
        told = (text.split() for text in self._notices.read())
        return [
            _Told(digest, state, float(looked), float(said)) for digest, state, looked, said in told
        ]
