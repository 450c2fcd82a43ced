"""How long a request may take: what its asker says, or what the service does."""

import asyncio
import math

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.http.bodies import PATIENCE
from services.http.problems import problem

HEADER = "X-Request-Timeout"
LONGEST = PATIENCE + 60.0  # seconds, with the request's body


class Deadlines:
    """ASGI middleware that answers 504 when the time is over, and lets nobody work on for it."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; cancel it when its time is over and no answer has begun."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(HEADER)
        seconds = _seconds(given) if given is not None else LONGEST
        if seconds is None:
            detail = f"got {HEADER}: {given}, expected seconds, like 0.5"
            await problem(400, detail)(scope, receive, send)
            return
        started = False

        async def send_in_time(message: Message) -> None:
            nonlocal started
            if not started:
                time.reschedule(None)  # an answer that has begun is sent to its end
            started = True
            await send(message)

        try:
            async with asyncio.timeout(seconds) as time:
                await self._app(scope, receive, send_in_time)
        except TimeoutError:
            if started or not time.expired():
                raise
            detail = f"no answer within {seconds:g} s; ask again, with more time in {HEADER}"
            await problem(504, detail)(scope, receive, send)


def _seconds(given: str) -> float | None:
    try:
        seconds = float(given)
    except ValueError:
        return None
    if not (math.isfinite(seconds) and seconds > 0):
        return None
    return min(seconds, LONGEST)
