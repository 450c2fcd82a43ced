"""Too large, too slow, too many, too late: each has its answer, and nobody else notices."""

import asyncio
import threading
from concurrent.futures import wait
from contextlib import asynccontextmanager

import pytest

from services.http.bodies import DEFAULT, BodyLimits
from services.http.deadlines import HEADER
from services.search.batcher import Batcher, BatchThread
from tests.services.sharing.conftest import teach

SEARCH = {"query": "a mug"}


class Held:
    """Has an engine's searches wait until the test lets them go on."""

    def __init__(self, engine):
        self.go_on, self.begun, self.search = threading.Event(), threading.Event(), engine.search
        engine.search = self

    def __call__(self, queries):
        self.begun.set()
        assert self.go_on.wait(20)
        return self.search(queries)


@pytest.fixture
def held(engine):
    held = Held(engine)
    yield held
    held.go_on.set()


def parts(*sizes, pause=0.0):
    """A body that comes in parts, and how many of them were read."""

    async def body():
        for at, size in enumerate(sizes):
            await asyncio.sleep(pause)
            body.read = at + 1
            yield b" " * size

    body.read = 0
    return body


async def call(app, path, body, headers=()):
    """An application's answer to a body that arrives in parts: status, headers, body."""
    sent, source = [], body()

    async def receive():
        try:
            return {"type": "http.request", "body": await anext(source), "more_body": True}
        except StopAsyncIteration:
            return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    named = [(name.lower().encode(), value.encode()) for name, value in headers]
    scope = {
        "type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "headers": named,
        "query_string": b"", "root_path": "", "scheme": "http", "http_version": "1.1",
        "server": ("test", 80), "client": ("test", 1),
    }  # fmt: skip
    await app(scope, receive, send)
    start, *rest = sent
    return start["status"], dict(start["headers"]), b"".join(one["body"] for one in rest)


async def read_all(scope, receive, send):
    """An application that reads a body, and says how much there was."""
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError
        size, more = size + len(message["body"]), message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(size).encode()})


def test_a_body_that_says_that_it_is_too_large_is_not_read(open_client):
    body = parts(10)
    headers = [("Content-Length", str(DEFAULT + 1)), ("Content-Type", "application/json")]
    app = open_client.app
    status, _, answer = open_client.portal.call(call, app, "/v1/search", body, headers)
    assert (status, body.read) == (413, 0)
    assert b"got a body of 1,000,001 bytes, expected 1,000,000 bytes at most" in answer


def test_a_body_that_turns_out_too_large_is_read_no_further(open_client):
    body = parts(*[300_000] * 9)
    headers = [("Content-Type", "application/json")]
    app = open_client.app
    status, answered, answer = open_client.portal.call(call, app, "/v1/search", body, headers)
    assert (status, body.read) == (413, 4)
    assert answered[b"content-type"] == b"application/problem+json"
    assert answered[b"connection"] == b"close"
    assert b"1,000,000 bytes at most" in answer


@pytest.mark.parametrize(
    ("path", "most"), [("/v1/search", 1), ("/v1/concepts", 101), ("/v1/search/image", 12)]
)
def test_each_route_has_a_limit_of_its_own(path, most):
    limited = BodyLimits(read_all)
    whole = asyncio.run(call(limited, path, parts(*[500_000] * 2 * most)))
    assert (whole[0], whole[2]) == (200, str(most * 1_000_000).encode())
    assert asyncio.run(call(limited, path, parts(*[500_000] * 2 * most, 1)))[0] == 413


def test_a_body_that_drips_is_refused_and_holds_nobody_up():
    limited = BodyLimits(read_all, patience=0.2)

    async def scenario():
        slow = asyncio.create_task(call(limited, "/v1/concepts", parts(*[1] * 50, pause=0.02)))
        await asyncio.sleep(0.05)
        quick = [(await call(limited, "/v1/search", parts(1)))[0] for _ in range(20)]
        assert not slow.done()
        return quick, await slow

    quick, (status, _, answer) = asyncio.run(scenario())
    assert quick == [200] * 20
    assert status == 408
    assert b"in 0.2 s" in answer


def test_a_deadline_that_passes_is_answered_and_the_question_dropped(open_client, held, engine):
    """The one that waits in the queue is never worked on; the others are."""
    with open_client.portal.wrap_async_context_manager(_nothing()):
        first = open_client.portal.start_task_soon(_search, open_client.app, "first", {})
        assert held.begun.wait(10)
        late = open_client.post("/v1/search", json=SEARCH, headers={HEADER: "0.1"})
        third = open_client.portal.start_task_soon(_search, open_client.app, "third", {})
        held.go_on.set()
        wait([first, third], 10)
    assert late.status_code == 504
    assert late.headers["content-type"] == "application/problem+json"
    assert "within 0.1 s" in late.json()["detail"]
    assert (first.result(), third.result()) == (200, 200)
    assert [query.text for query in engine.asked] == ["first", "third"]


@asynccontextmanager
async def _nothing():
    yield


async def _search(app, text, headers):
    import httpx

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return (await client.post("/v1/search", json={"query": text}, headers=headers)).status_code


@pytest.mark.parametrize("given", ["soon", "0", "-1", "nan", "inf", ""])
def test_a_deadline_is_a_number_of_seconds(open_client, given):
    answer = open_client.post("/v1/search", json=SEARCH, headers={HEADER: given})
    assert answer.status_code == 400
    assert HEADER in answer.json()["detail"]


def test_enough_time_changes_nothing(open_client):
    answer = open_client.post("/v1/search", json=SEARCH, headers={HEADER: "1e9"})
    assert answer.status_code == 200


def test_where_too_many_wait_more_are_sent_away(open_client, live, held):
    live.searches = Batcher(BatchThread(), live._search, most_waiting=0)
    answer = open_client.post("/v1/search", json=SEARCH)
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_bad_request_fails_alone(client, ann, bob):
    assert teach(client, ann).status_code == 201
    assert client.post("/v1/search", json={"query": "{none}"}, headers=bob).status_code == 422
    assert client.post("/v1/search", json={"query": "{mug}"}, headers=ann).status_code == 200
