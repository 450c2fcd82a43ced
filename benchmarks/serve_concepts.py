"""What personal concepts cost a service: teaching, and searches that each name another concept.

The service runs in a registry of its own, in a temporary folder, as in benchmarks/serve.py.
Concepts are taught from five pictures each, made of products' thumbnails.

    python -m benchmarks.serve_concepts
    python -m benchmarks.serve_concepts --version 3 --requests 500
    python -m benchmarks.serve_concepts --workers 1
"""

import asyncio
import io
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.measured import Rows, markdown
from benchmarks.served import (
    Answer,
    busy_core,
    described,
    forget,
    kindred,
    load,
    noun_of,
    per_second,
    percentile,
    photos_of,
    register_two,
    run_apart,
    serving,
    teach,
    until_served,
)
from registry.bundle import Bundle, Product
from retrieval.concepts.concept import new_concept
from retrieval.concepts.queries import encode_queries
from retrieval.concepts.teaching import Lesson
from retrieval.concepts.teaching import teach as learn
from retrieval.text.tower import TextTower

K = 12
CONCEPTS = 64
CLIENTS = (1, 2, 4, 8, 16, 32, 64)
REPETITIONS = 3
Searches = Sequence[dict[str, Any]]
PLACES = ("{} on a wooden table", "my {} in the garden", "a photo of {}", "{} by a window")
TIMES = ("", " in summer", " in the snow", " at night")
# So many that hardly two texts are equal without their concepts: equal ones are read once.
SCENES = tuple(place + time for time in TIMES for place in PLACES)


def searches_with(names: Sequence[str]) -> list[dict[str, Any]]:
    """A search a concept, in turn in other scenes."""
    return [
        {"query": SCENES[at % len(SCENES)].format(f"{{{name}}}"), "k": K}
        for at, name in enumerate(names)
    ]


def searches_without(products: Sequence[Product], identifier: str) -> list[dict[str, Any]]:
    """The same texts as the model reads them, with no concept switched on."""
    return [
        {"query": SCENES[at % len(SCENES)].format(f"{identifier} {noun_of(product)}"), "k": K}
        for at, product in enumerate(products)
    ]


def things(bundle: Bundle) -> list[Product]:
    """Products to teach as concepts: some of every kind."""
    products = bundle.read_products()
    return [products[at] for at in np.linspace(0, len(products) - 1, CONCEPTS).astype(int)]


def measure_teaching(rows: Rows, url: str, products: Sequence[Product], plain: Searches) -> None:
    """Teach all, alone; then a few more beside searches of others."""
    alone = [teach(url, f"c{at}", product) for at, product in enumerate(products)]
    rows.add("teach a concept, 5 photos, p50", alone, "ms", ("at most", 3000))

    async def beside(teaching: bool) -> tuple[list[Answer], list[float]]:
        done = asyncio.Event()
        loading = asyncio.create_task(load(url, plain, 4, lambda _: done.is_set()))
        times = []
        began = time.perf_counter()
        while len(times) < 8 if teaching else time.perf_counter() - began < 8:
            if teaching:
                times.append(await asyncio.to_thread(teach, url, "extra", products[0]))
                await asyncio.to_thread(forget, url, "extra")
            else:
                await asyncio.sleep(0.1)
        done.set()
        return await loading, times

    times, calm, busy = [], [], []
    for _ in range(REPETITIONS):
        calm.append(percentile(asyncio.run(beside(teaching=False))[0], 99))
        answers, some = asyncio.run(beside(teaching=True))
        busy.append(percentile(answers, 99))
        times += some
    ratios = [high / low for high, low in zip(busy, calm, strict=True)]
    rows.add("teach beside searches of 4 clients, p50", times, "ms", ("at most", 3000))
    rows.add("   searches' p99 without teaching", calm, "ms")
    rows.add("   searches' p99 beside it", busy, "ms")
    rows.add("   ratio", ratios, "", ("at most", 2))


def measure_throughput(rows: Rows, url: str, plain: Searches, count: int) -> None:
    """Requests a second of 32 clients, each with another concept, over the same without."""
    own = searches_with([f"c{at}" for at in range(CONCEPTS)])
    ratios = []
    for _ in range(REPETITIONS):
        without = per_second(url, plain, 32, count)
        ratios.append(per_second(url, own, 32, count) / without)
    rows.add("requests with other concepts over those without, 32 clients", ratios, "",
             ("at least", 0.9))  # fmt: skip


def measure_clients(url: str, count: int) -> None:
    """A table over the number of clients, each request with another concept."""
    own = searches_with([f"c{at}" for at in range(CONCEPTS)])
    table = []
    for clients in CLIENTS:
        enough = max(100, count * min(clients, 8) // 8)
        asyncio.run(load(url, own, clients, lambda answered: answered >= 20))
        began = time.perf_counter()
        answers = asyncio.run(load(url, own, clients, lambda n, most=enough: n >= most))
        rate = len(answers) / (time.perf_counter() - began)
        p50, p99 = (percentile(answers, percent) for percent in (50, 99))
        table.append((str(clients), f"{rate:.0f}", f"{p50:.0f}", f"{p99:.0f}"))
    print(markdown(("clients", "requests a second", "p50, ms", "p99, ms"), table))


def measure_busy_core(rows: Rows, url: str, plain: Searches) -> None:
    """One client's p50 while another process computes on one core."""

    def p50() -> float:
        return percentile(asyncio.run(load(url, plain, 1, lambda n: n >= 150)), 50)

    ratios = []
    for _ in range(REPETITIONS):
        alone = p50()
        with busy_core():
            ratios.append(p50() / alone)
    rows.add("p50 with one core busy, over p50 alone", ratios, "", ("at most", 3))


async def swap_thrice(url: str, searches: Sequence[dict[str, Any]], extra: Product) -> list[Answer]:
    """Answers to 32 clients while the champion changes three times and concepts are taught."""
    done = asyncio.Event()
    loading = asyncio.create_task(load(url, searches, 32, lambda _: done.is_set()))

    async def keep_teaching() -> None:
        while not done.is_set():
            await asyncio.to_thread(teach, url, "beside", extra)
            await asyncio.to_thread(forget, url, "beside")

    teaching = asyncio.create_task(keep_teaching())
    promote = ("promote", "2", "--force", "--reason", "benchmark")
    for verb, version in ((promote, "2"), (("rollback",), "1"), (promote, "2")):
        await asyncio.to_thread(kindred, *verb)
        await until_served(url, version)
    done.set()
    await teaching
    return await loading


def expected_scores(
    bundle: Bundle, products: Sequence[Product], searches: Sequence[dict[str, Any]]
) -> dict[tuple[str, str], dict[str, float]]:
    """The score of every product by version and query, with concepts learned here."""
    tower, teaching = TextTower(bundle.load_encoder()), bundle.read_teaching()
    lessons = []
    for at, product in enumerate(products):
        start = new_concept(f"c{at}", noun_of(product), teaching.identifier, tower.width)
        photos = tuple(Image.open(io.BytesIO(jpeg)).convert("RGB") for jpeg in photos_of(product))
        lessons.append(Lesson(start, photos))
    concepts, _ = learn(tower, lessons, teaching.settings, teaching.pairs)
    queries = [search["query"] for search in searches]
    vectors_QD = encode_queries(tower, queries, [[concept] for concept in concepts])
    scores = {}
    for version, model in (("1", "student"), ("2", "base")):
        catalogue = bundle.read_vectors(model)
        for query, row in zip(queries, vectors_QD @ catalogue.vectors.T, strict=True):
            scores[(version, query)] = dict(zip(catalogue.ids, row.tolist(), strict=True))
    return scores


def count_mixed(answers: Sequence[Answer], scores: dict[tuple[str, str], dict[str, float]]) -> int:
    """Answers whose scores are nearer to the other version's than to that of the one they name.

    Learning a concept amplifies rounding, so scores are compared, not matched.
    """
    mixed = 0
    for answer in answers:
        if answer.status != 200:
            continue
        named = answer.body["model_version"]
        other = "2" if named == "1" else "1"
        query = answer.asked["query"]
        error = {
            version: np.mean(
                [
                    abs(scores[(version, query)][hit["product_id"]] - hit["score"])
                    for hit in answer.body["hits"]
                ]
            )
            for version in (named, other)
        }
        mixed += bool(error[named] > error[other])
    return mixed


def run(bundle: Bundle, requests: int, workers: str) -> bool:
    """Measure, print it, and say whether every promise was kept."""
    rows = Rows()
    register_two(bundle)
    kindred("promote", "1")
    products = things(bundle)
    plain = searches_without(products, bundle.read_teaching().identifier)
    with serving("--workers", workers) as service:
        measure_teaching(rows, service.url, products, plain)
        measure_throughput(rows, service.url, plain, requests)
        measure_clients(service.url, requests)
        measure_busy_core(rows, service.url, plain)
        searches = searches_with([f"c{at}" for at in range(CONCEPTS)])
        answers = asyncio.run(swap_thrice(service.url, searches, products[0]))
        failed = [answer for answer in answers if answer.status != 200]
        versions = sorted({a.body["model_version"] for a in answers if a.status == 200})
        print(f"{len(answers)} requests during three swaps and teaching; versions {versions}")
        rows.add("   p50", [percentile(answers, 50)], "ms")
        rows.add("   p99", [percentile(answers, 99)], "ms")
        rows.add("   failed", [len(failed)], "", ("at most", 0))
        if failed:
            print(f"   the first: {failed[0].status} {failed[0].body}")
        mixed = count_mixed(answers, expected_scores(bundle, products, searches))
        rows.add("   mixed versions", [mixed], "", ("at most", 0))
    return not rows.missed


def main() -> None:
    """Read the arguments, and run in a temporary folder."""
    parser = described(__doc__)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--workers", default="2")
    run_apart(parser, lambda bundle, options: run(bundle, options.requests, options.workers))


if __name__ == "__main__":
    main()
