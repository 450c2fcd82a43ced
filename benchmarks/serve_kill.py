"""What `kill -9` of a worker costs: searches that fail, and seconds until there are answers again.

Eight clients ask 26 searches each, one after the other, and a worker is killed after 48 answers:
once by plain HTTP, where what was on its way is lost, and once by `services.client`, which asks
again. What is promised is promised of two workers, which `kindred serve` has by default. The
service runs in a registry of its own, in a temporary folder.

    python -m benchmarks.serve_kill
    python -m benchmarks.serve_kill --version 3 --repetitions 3
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import psutil

from benchmarks.measured import Rows
from benchmarks.served import PATIENCE, Service, ask, described, kindred, run_apart, serving
from registry.bundle import Bundle
from registry.store import register_bundle
from services.client import AsyncClient, ServiceError
from services.search.live import PRIVATE

CLIENTS, EACH = 8, 26
BEFORE = 48  # answers
USUAL = 2
WORKERS = (USUAL, 1)
# Half of what was measured first: 8 of 208 failed, and there was no answer for 14 s.
MOST_FAILED, MOST_SECONDS = ("at most", 4.0), ("at most", 7.0)

Search = Callable[[str], Awaitable[bool]]  # whether it was answered
Searching = Callable[[str], AbstractAsyncContextManager[Search]]


@asynccontextmanager
async def plain(url: str) -> AsyncIterator[Search]:
    """A client that asks once."""
    async with aiohttp.ClientSession(url, timeout=aiohttp.ClientTimeout(PATIENCE)) as session:

        async def search(text: str) -> bool:
            return (await ask(session, {"query": text})).status == 200

        yield search


@asynccontextmanager
async def ours(url: str) -> AsyncIterator[Search]:
    """A client of `services.client`."""
    async with AsyncClient(url, timeout=PATIENCE) as client:

        async def search(text: str) -> bool:
            try:
                await client.search(text)
            except (ServiceError, ConnectionError):
                return False
            return True

        yield search


@dataclass
class Killed:
    """What became of the searches beside which a worker was killed."""

    answered: list[float] = field(default_factory=list)  # when, seconds since 1970
    failed: int = 0
    at: float = 0.0
    ready: float = 0.0  # when the worker in its place was

    @property
    def silence(self) -> float:
        """Seconds from the kill to the first answer after it."""
        return min(when for when in self.answered if when > self.at) - self.at


def when_ready(service: Service) -> dict[int, float]:
    """Since when each worker that runs has been ready, by its process."""
    told = PRIVATE / f"{service.pid}.peers"
    workers = [child.pid for child in psutil.Process(service.pid).children()]
    return {pid: (told / str(pid)).stat().st_mtime for pid in workers if (told / str(pid)).exists()}


async def kill_beside(
    service: Service, searching: Searching, texts: Sequence[str], workers: int
) -> Killed:
    """Search from all clients, kill a worker meanwhile, and wait for the one in its place."""
    run = Killed()

    async def client(number: int) -> None:
        async with searching(service.url) as search:
            for at in range(EACH):
                if await search(texts[(number + at * CLIENTS) % len(texts)]):
                    run.answered.append(time.time())
                else:
                    run.failed += 1

    async def kill() -> None:
        while len(run.answered) < BEFORE:
            await asyncio.sleep(0.002)
        run.at = time.time()
        psutil.Process(victim).kill()

    before = when_ready(service)
    victim = min(before)
    await asyncio.gather(kill(), *(client(number) for number in range(CLIENTS)))
    while not (new := when_ready(service).keys() - before.keys()):
        await asyncio.sleep(0.05)
    (worker,) = new
    run.ready = when_ready(service)[worker]
    assert len(when_ready(service)) == workers
    return run


def measure(rows: Rows, texts: Sequence[str], workers: int, repetitions: int) -> None:
    """The rows of a service of so many workers."""
    with serving("--workers", str(workers)) as service:
        while len(when_ready(service)) < workers:
            time.sleep(0.05)
        for name, searching in (("plain HTTP", plain), ("services.client", ours)):
            runs = [
                asyncio.run(kill_beside(service, searching, texts, workers))
                for _ in range(repetitions)
            ]
            print(f"{workers} worker(s), {name}, {CLIENTS * EACH} searches")
            failed, silence = (MOST_FAILED, MOST_SECONDS) if workers == USUAL else (None, None)
            rows.add("   failed", [run.failed for run in runs], "", failed)
            rows.add("   first answer after", [run.silence for run in runs], "s", silence)
            rows.add("   another worker ready after", [run.ready - run.at for run in runs], "s")


def run(bundle: Bundle, repetitions: int) -> bool:
    """Measure, print it, and say whether every promise was kept."""
    rows = Rows()
    register_bundle(bundle.folder, "kindred")
    kindred("promote", "1")
    texts = [query.text for query in bundle.read_queries()][:200]
    for workers in WORKERS:
        measure(rows, texts, workers, repetitions)
    return not rows.missed


def main() -> None:
    """Read the arguments, and run in a temporary folder."""
    parser = described(__doc__)
    parser.add_argument("--repetitions", type=int, default=5)
    run_apart(parser, lambda bundle, options: run(bundle, options.repetitions))


if __name__ == "__main__":
    main()
