"""Whether a service's memory stays flat: mixed load for some minutes, memory every ten seconds.

Searches by text, by concepts and by filters, concepts taught and forgotten, pictures fetched. The
service runs in a registry of its own, in a temporary folder. Memory is the proportional set size of
the service's processes: what is shared counts once.

    python -m benchmarks.serve_memory                # 20 minutes
    python -m benchmarks.serve_memory --minutes 5
"""

import asyncio
import statistics
import time
from collections.abc import Sequence
from typing import Any

import aiohttp

from benchmarks.measured import Rows
from benchmarks.served import (
    Answer,
    Service,
    described,
    forget,
    kindred,
    load,
    register_two,
    resident_bytes,
    run_apart,
    serving,
    teach,
)
from registry.bundle import Bundle, Product

CLIENTS = 8
WARM = 120.0  # seconds that do not count
EVERY = 10.0
ROUND = 500  # searches


def mixed_searches(bundle: Bundle, products: Sequence[Product]) -> list[dict[str, Any]]:
    """Searches of all kinds."""
    texts = [query.text for query in bundle.read_queries()][:200]
    searches: list[dict[str, Any]] = []
    for at, text in enumerate(texts):
        searches.append({"query": text, "k": 12 + at % 40})
        searches.append({"query": f"{{kept}} {text[:80]}"})
        category = products[at % len(products)].category
        searches.append({"query": text, "filter": {"category": [category]}})
    return searches


class MixedLoad:
    """Everything that a service is asked for, at once, until time is up."""

    def __init__(self, service: Service, bundle: Bundle, seconds: float) -> None:
        """Prepare it."""
        self._service = service
        self._products = bundle.read_products()[:50]
        self._searches = mixed_searches(bundle, self._products)
        self._seconds = seconds
        self._began = 0.0
        self.memory: list[tuple[float, int]] = []  # seconds, bytes
        self.taught = 0
        self.failed: list[Answer] = []

    async def run(self) -> None:
        """Run it."""
        await asyncio.to_thread(teach, self._service.url, "kept", self._products[0])
        self._began = time.perf_counter()
        await asyncio.gather(self._search(), self._teach(), self._look())

    def _elapsed(self) -> float:
        return time.perf_counter() - self._began

    def _over(self) -> bool:
        return self._elapsed() > self._seconds

    async def _search(self) -> None:
        def enough(answered: int) -> bool:
            return answered >= ROUND or self._over()

        while not self._over():  # in rounds: answers must not fill this process's memory
            answers = await load(self._service.url, self._searches, CLIENTS, enough)
            self.failed += [answer for answer in answers if answer.status != 200]

    async def _teach(self) -> None:
        while not self._over():
            product = self._products[self.taught % len(self._products)]
            await asyncio.to_thread(teach, self._service.url, "passing", product)
            await asyncio.to_thread(forget, self._service.url, "passing")
            self.taught += 1
            await asyncio.sleep(1)

    async def _look(self) -> None:
        async with aiohttp.ClientSession(self._service.url) as session:
            while not self._over():
                for product in self._products:
                    async with session.get(f"/images/{product.product_id}") as response:
                        await response.read()
                self.memory.append((self._elapsed(), resident_bytes(self._service.pid)))
                await asyncio.sleep(EVERY)


def run(bundle: Bundle, minutes: float) -> bool:
    """Measure, print it, and say whether memory stayed flat."""
    register_two(bundle)
    kindred("promote", "1")
    with serving() as service:
        mixed = MixedLoad(service, bundle, 60 * minutes)
        asyncio.run(mixed.run())
    memory, failed = mixed.memory, mixed.failed
    for seconds, size in memory[:: max(1, len(memory) // 20)]:
        print(f"{seconds / 60:6.1f} min {size / 2**20:8.0f} MiB")
    warm = [size for seconds, size in memory if seconds >= WARM]
    tenth = max(1, len(warm) // 10)
    first, last = (statistics.median(part) for part in (warm[:tenth], warm[-tenth:]))
    rows = Rows()
    rows.add("concepts taught and forgotten meanwhile", [mixed.taught])
    rows.add("failed requests", [len(failed)], "", ("at most", 0))
    if failed:
        print(f"   the first: {failed[0].status} {failed[0].body}")
    rows.add("memory at the end over that after two minutes", [last / first], "", ("at most", 1.05))
    return not rows.missed


def main() -> None:
    """Read the arguments, and run in a temporary folder."""
    parser = described(__doc__)
    parser.add_argument("--minutes", type=float, default=20.0)
    run_apart(parser, lambda bundle, options: run(bundle, options.minutes))


if __name__ == "__main__":
    main()
