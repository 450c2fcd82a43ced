"""Around every request: an id, numbers, a line in the log where it failed or was slow."""

import logging
import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.http.logs import FACTS, Facts, told
from services.http.metrics import Metrics
from services.http.problems import problem

ID = "X-Request-Id"
SLOW = 1.0  # seconds
_SANE = re.compile(r"[A-Za-z0-9._:-]{1,64}", re.ASCII)

_LOG = logging.getLogger(__name__)


class Requests:
    """ASGI middleware that watches requests; it wants `metrics` in the application's state."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and answer 500 where the application fails."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0
        facts = Facts(_id_of(scope))
        token = FACTS.set(facts)

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[ID] = facts.request_id
            await send(message)

        failure: dict[str, object] = {}
        try:
            await self._app(scope, receive, send_with_id)
        except Exception as error:  # noqa: BLE001 -- its asker hears of it
            failure = told(error)
            if status:
                raise ConnectionError("the answer broke off") from None
            detail = "something went wrong in the service; its log says what, by the request's id"
            await problem(500, detail, request_id=facts.request_id)(scope, receive, send_with_id)
        finally:
            seconds = time.perf_counter() - began
            self._note(scope, status, seconds, failure)
            FACTS.reset(token)

    def _note(self, scope: Scope, status: int, seconds: float, failure: dict[str, object]) -> None:
        route, method = _template(scope), _method(scope)
        metrics: Metrics = scope["app"].state.metrics
        metrics.request(route, method, status, seconds)
        if failure or status >= 500 or seconds > SLOW:
            _LOG.log(
                logging.ERROR if failure or status >= 500 else logging.WARNING,
                "failed" if failure or status >= 500 else "slow",
                extra={
                    "method": method,
                    "route": route,  # not the path: it may name a concept
                    "status": status,
                    "seconds": round(seconds, 4),
                    **failure,
                },
            )


def _id_of(scope: Scope) -> str:
    given = Headers(scope=scope).get(ID, "")
    return given if _SANE.fullmatch(given) else uuid.uuid4().hex


def _template(scope: Scope) -> str:
    """The route as the description names it: as many series as there are routes."""
    path: str = getattr(scope.get("route"), "path", "")  # of what this is mounted in, it is empty
    return path or ("/page" if scope["path"].startswith("/page/") else "other")


def _method(scope: Scope) -> str:
    known = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")
    return scope["method"] if scope["method"] in known else "other"
