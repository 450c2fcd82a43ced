"""A big request for vectors lets searches get in between, and is answered by one version."""

import asyncio
import dataclasses
import threading

import numpy as np
import pytest

from services.search.live import EMBEDDED_TOGETHER, Live
from services.search.queries import Vectors
from tests.services.fake_source import FakeSource


class Engine:
    """Notes what it is asked; each slice of vectors waits until the test lets it go on."""

    def __init__(self, version, log):
        self.version, self.log = version, log
        self.go_on = threading.Semaphore(0)

    def embed(self, requests):
        self.log.append([text for texts in requests for text in texts])
        assert self.go_on.acquire(timeout=10)
        return [
            Vectors(self.version, np.array([[float(text)] for text in texts], dtype=np.float32))
            for texts in requests
        ]

    def search(self, queries):
        self.log.append("search")
        return list(queries)


@pytest.fixture
def log():
    return []


@pytest.fixture
def live(version, log):
    live = Live(FakeSource())
    live._engine = Engine(version, log)
    yield live
    live._engine = None
    live.close()


async def until(condition):
    while not condition():
        await asyncio.sleep(0.001)


def test_a_search_waits_for_one_slice_only(live, log):
    texts = [str(number) for number in range(4 * EMBEDDED_TOGETHER - 1)]

    async def scenario():
        big = [asyncio.create_task(live.embed(texts)) for _ in range(3)]
        await until(lambda: len(log) == 1)
        search = asyncio.create_task(live.searches.ask("a query"))
        await asyncio.sleep(0.01)
        live.engine.go_on.release()
        await search
        assert log[1] == "search"
        for _ in range(200):
            live.engine.go_on.release()
        return await asyncio.gather(*big)

    for answer in asyncio.run(asyncio.wait_for(scenario(), 20)):
        assert answer.vectors_ND[:, 0].tolist() == [float(text) for text in texts]
    assert all(len(entry) <= EMBEDDED_TOGETHER for entry in log if entry != "search")


def test_small_requests_that_wait_together_are_encoded_together(live, log):
    async def scenario():
        first = asyncio.create_task(live.embed(["0"]))
        await until(lambda: len(log) == 1)
        others = [asyncio.create_task(live.embed([str(one)])) for one in range(1, 9)]
        await asyncio.sleep(0.01)
        for _ in range(2):
            live.engine.go_on.release()
        return await asyncio.gather(first, *others)

    answers = asyncio.run(asyncio.wait_for(scenario(), 20))
    assert [answer.vectors_ND.tolist() for answer in answers] == [[[n]] for n in range(9)]
    assert [len(entry) for entry in log] == [1, 8]


def test_vectors_of_one_request_are_of_one_version(live, log, version):
    newer = Engine(dataclasses.replace(version, number=4, digest="e" * 64), log)
    texts = [str(number) for number in range(EMBEDDED_TOGETHER + 1)]

    async def scenario():
        asked = asyncio.create_task(live.embed(texts))
        await until(lambda: len(log) == 1)
        before, live._engine = live.engine, newer
        before.go_on.release()
        for _ in range(40):
            newer.go_on.release()
        return await asked

    answer = asyncio.run(asyncio.wait_for(scenario(), 20))
    assert answer.version is newer.version
    assert answer.vectors_ND[:, 0].tolist() == [float(text) for text in texts]
