"""Connections shared out between the workers of one service.

A client keeps its connection, and with it its worker, for as long as it likes. Of connections that
come at once one worker may take all, and one that starts in the place of a killed one finds
everybody with the others. So a worker that is asked by more than its share ends some connections
with their answer (`Connection: close`): their clients connect again, and who is idle takes them.
"""

import asyncio
import math
import time
from collections.abc import Sequence
from contextlib import suppress

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.search.processes import Notices

EVERY = 0.1  # seconds between two counts
WINDOW = 0.5  # seconds for which a connection counts after an answer

Connection = tuple[str, int]  # host and port of the client


class Shares:
    """How many connections ask this worker, and how many too many they are."""

    def __init__(self, notices: Notices) -> None:
        """Begin to count; the workers tell each other in `notices`."""
        self._notices = notices
        self._told: int | None = None
        self._asked: dict[Connection, float] = {}  # when the last answer ended; none yet: infinite
        self._excess = 0

    def begin(self, connection: Connection) -> bool:
        """A request begins; whether its connection is to end with the answer."""
        if self._excess:
            self._excess -= 1
            self._asked.pop(connection, None)
            return True
        self._asked[connection] = math.inf
        return False

    def end(self, connection: Connection) -> None:
        """It was answered."""
        if connection in self._asked:
            self._asked[connection] = time.monotonic()

    async def watch(self) -> None:
        """Compare with the others until cancelled."""
        while True:
            await asyncio.sleep(EVERY)
            with suppress(OSError):  # a full disk: it is as it was
                self.compare()

    def compare(self) -> None:
        """Tell the others how many connections ask here, and find out how many are too many."""
        since = time.monotonic() - WINDOW
        self._asked = {one: when for one, when in self._asked.items() if when > since}
        own = len(self._asked)
        if own != self._told:
            self._notices.tell(str(own))
            self._told = own
        others = [int(text) for text in self._notices.read()] if own > 1 else []
        self._excess = excess(own, others)


def excess(own: int, others: Sequence[int]) -> int:
    """How many connections a worker has beyond its share, rounded up, of its and the others'."""
    share = -(-(own + sum(others)) // (1 + len(others)))
    return max(0, own - share)


class Balance:
    """ASGI middleware that ends the connections to be given up; it wants `shares` in the state."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on; the server closes a connection whose answer says so."""
        if scope["type"] != "http" or not scope.get("client"):  # a socket in the file system
            await self._app(scope, receive, send)
            return
        shares: Shares = scope["app"].state.shares
        connection = tuple(scope["client"])
        ends = shares.begin(connection)

        async def send_and_end(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        try:
            await self._app(scope, receive, send_and_end if ends else send)
        finally:
            shares.end(connection)
