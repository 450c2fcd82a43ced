"""A Python client of the service, and one for asyncio with the same calls.

with Client("http://127.0.0.1:3000") as client:
    client.teach("my mug", "mug", ["one.jpg", "two.jpg", "three.jpg"])
    for hit in client.search("{my mug} on a beach", k=5).hits:
        print(hit.title, hit.score)
    client.search("a mug", filter_={"price": {"lte": 20}}, mode="hybrid", diversify=0.3)
    client.search(like="mug-17", offset=10)
    client.search_image("mug.jpg")

async with AsyncClient("http://127.0.0.1:3000") as client:
    found = await client.search("a gift for a mother who loves gardening")
"""

import os
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import httpx

from services import calls
from services.calls import Call

DEFAULT_URL = "http://127.0.0.1:3000"
URL = "KINDRED_URL"
KEY = "KINDRED_KEY"

Asked = ParamSpec("Asked")
Answer = TypeVar("Answer")


class ServiceError(Exception):
    """The service refused a request; `status` is HTTP's, the message what to do."""

    def __init__(self, status: int, detail: str) -> None:
        """Keep both."""
        super().__init__(detail)
        self.status = status


def _waiting(
    build: Callable[Asked, Call[Answer]],
) -> Callable[Concatenate["Client", Asked], Answer]:
    """A method that asks a call, and waits for its answer."""

    @wraps(build)
    def ask(self: "Client", /, *args: Asked.args, **kwargs: Asked.kwargs) -> Answer:
        return self._ask(build(*args, **kwargs))

    return ask


def _awaited(
    build: Callable[Asked, Call[Answer]],
) -> Callable[Concatenate["AsyncClient", Asked], Awaitable[Answer]]:
    """A method that asks a call, and whose answer is awaited."""

    @wraps(build)
    async def ask(self: "AsyncClient", /, *args: Asked.args, **kwargs: Asked.kwargs) -> Answer:
        return await self._ask(build(*args, **kwargs))

    return ask


class Client:
    """Talks to one service; keeps its connection until closed. `services.calls` describes it."""

    def __init__(
        self, url: str | None = None, *, key: str | None = None, timeout: float = 30.0
    ) -> None:
        """Connect at the first request.

        Args:
            url: Where the service is; None for what KINDRED_URL says, else this machine.
            key: Whose concepts are meant; None for what KINDRED_KEY says, if anything.
            timeout: Seconds to wait for an answer.

        Raises:
            ValueError: The address is none.
        """
        self._http = httpx.Client(**_settings(url, key), timeout=timeout)

    search = _waiting(calls.search)
    search_image = _waiting(calls.search_image)
    embed = _waiting(calls.embed)
    model = _waiting(calls.model)
    image = _waiting(calls.image)
    concepts = _waiting(calls.concepts)
    concept = _waiting(calls.concept)
    teach = _waiting(calls.teach)
    add_photos = _waiting(calls.add_photos)
    forget = _waiting(calls.forget)

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def _ask(self, call: Call[Answer], *, again: bool = True) -> Answer:
        try:
            response = self._http.request(call.method, call.path, **call.content)
        except httpx.TransportError as error:
            if again and _broke_off(call, error):
                return self._ask(call, again=False)
            raise _no_answer(self._http.base_url, error) from error
        return _read(call, response)


class AsyncClient:
    """`Client` for asyncio: its calls are awaited."""

    def __init__(
        self, url: str | None = None, *, key: str | None = None, timeout: float = 30.0
    ) -> None:
        """Connect at the first request; arguments and errors as `Client`'s."""
        self._http = httpx.AsyncClient(**_settings(url, key), timeout=timeout)

    search = _awaited(calls.search)
    search_image = _awaited(calls.search_image)
    embed = _awaited(calls.embed)
    model = _awaited(calls.model)
    image = _awaited(calls.image)
    concepts = _awaited(calls.concepts)
    concept = _awaited(calls.concept)
    teach = _awaited(calls.teach)
    add_photos = _awaited(calls.add_photos)
    forget = _awaited(calls.forget)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        """Itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        await self.close()

    async def _ask(self, call: Call[Answer], *, again: bool = True) -> Answer:
        try:
            response = await self._http.request(call.method, call.path, **call.content)
        except httpx.TransportError as error:
            if again and _broke_off(call, error):
                return await self._ask(call, again=False)
            raise _no_answer(self._http.base_url, error) from error
        return _read(call, response)


def _settings(url: str | None, key: str | None) -> dict[str, Any]:
    """httpx's, for both clients."""
    address = url or os.environ.get(URL) or DEFAULT_URL
    try:
        parsed = httpx.URL(address)
    except httpx.InvalidURL as error:
        msg = f"got the service's address {address!r}, which is none ({error}); see {URL}"
        raise ValueError(msg) from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        msg = (
            f"got the service's address {address!r}, expected one that begins with http:// or"
            f" https://, like {DEFAULT_URL}; see {URL}"
        )
        raise ValueError(msg)
    secret = key or os.environ.get(KEY)
    return {
        "base_url": parsed,
        "headers": {"Authorization": f"Bearer {secret}"} if secret else {},
    }


def _broke_off(call: Call[Any], error: httpx.TransportError) -> bool:
    """Whether a worker ended before it had answered, and nothing is wrong with asking again."""
    broken = httpx.RemoteProtocolError | httpx.ReadError | httpx.WriteError
    return isinstance(error, broken) and not call.changes


def _no_answer(url: httpx.URL, error: httpx.TransportError) -> ConnectionError:
    address = str(url).rstrip("/")
    msg = f"no answer from {address} ({error}); start the service with `kindred serve`"
    return ConnectionError(msg)


def _read(call: Call[Answer], response: httpx.Response) -> Answer:
    if response.is_error:
        raise ServiceError(response.status_code, _detail(response))
    return call.read(response)


def _detail(response: httpx.Response) -> str:
    try:
        return str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {response.status_code} {response.reason_phrase}"
