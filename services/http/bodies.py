"""How large a request's body may be, and how long it may take: judged before anything reads it."""

import asyncio
import time
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.http.problems import problem

MEGABYTE = 1_000_000
DEFAULT = MEGABYTE  # JSON
# By the beginning of a path: ten photos of 10 MB, a picture of 10 MB, and what goes around them.
UPLOADS: Sequence[tuple[str, int]] = (
    ("/v1/concepts", 101 * MEGABYTE),
    ("/v1/search/image", 12 * MEGABYTE),  # a little more than a picture may have: it is told which
)
PATIENCE = 60.0  # seconds for a whole body
_CLOSE = {"Connection": "close"}  # what is left of the body is never read


class BodyLimits:
    """ASGI middleware that refuses bodies: 413 for too large, 408 for too slow.

    A body is passed on as it arrives, so that a slow one holds nothing but its connection.
    """

    def __init__(self, app: ASGIApp, patience: float = PATIENCE) -> None:
        """Wrap an application."""
        self._app = app
        self._patience = patience

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on while its body keeps to the limits."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(scope, receive, send, self._patience)
        announced = Headers(scope=scope).get("content-length", "0")
        if announced.isdecimal() and int(announced) > body.most:
            await body.refuse_size(f"{int(announced):,} bytes")
            return
        try:
            await self._app(scope, body.receive, body.send)
        except Exception:
            if not body.refused:  # else it is about the body that was cut off
                raise


class _Body:
    """One request's body, as it arrives."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, patience: float) -> None:
        self.most = next((n for start, n in UPLOADS if scope["path"].startswith(start)), DEFAULT)
        self.refused = False
        self._scope, self._receive, self._send = scope, receive, send
        self._began, self._patience = time.monotonic(), patience
        self._size, self._complete = 0, False

    async def receive(self) -> Message:
        """The next part of the body; a disconnect once it was refused."""
        if self._complete:
            return await self._receive()
        left = self._began + self._patience - time.monotonic()
        try:
            async with asyncio.timeout(max(left, 0)):
                message = await self._receive()
        except TimeoutError:
            return await self._refuse_time()
        self._size += len(message.get("body", b""))
        if self._size > self.most:
            return await self.refuse_size("more")
        self._complete = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """Pass an answer on, unless another was given."""
        if not self.refused:
            await self._send(message)

    async def refuse_size(self, got: str) -> Message:
        """Answer 413."""
        detail = f"got a body of {got}, expected {self.most:,} bytes at most; send less at once"
        return await self._refuse(413, detail)

    async def _refuse_time(self) -> Message:
        detail = (
            f"got {self._size:,} bytes of the body in {self._patience:g} s, expected all of it;"
            " send less at once, or over a faster connection"
        )
        return await self._refuse(408, detail)

    async def _refuse(self, status: int, detail: str) -> Message:
        if not self.refused:
            await problem(status, detail, _CLOSE)(self._scope, self._receive, self._send)
            self.refused = True
        return {"type": "http.disconnect"}
