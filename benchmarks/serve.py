"""What serving costs over bare encoding and searching, and what a swap costs its clients.

The service runs in a registry of its own, in a temporary folder, with two versions: the one given,
and the same with student and base exchanged, whose answers differ. Load comes from this process, on
loopback. Nothing of the project changes.

    python -m benchmarks.serve                  # the challenger, or the champion
    python -m benchmarks.serve --version 3 --repetitions 5
    python -m benchmarks.serve --latency-only
"""

import asyncio
import http.client
import json
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks.measured import Rows
from benchmarks.served import (
    Answer,
    described,
    kindred,
    load,
    register_two,
    run_apart,
    serving,
    until_served,
)
from registry.bundle import Bundle
from registry.catalogue_index import ensure_collections
from retrieval.concepts.queries import encode_queries
from retrieval.encoder import Encoder
from retrieval.index.collection import Collection
from retrieval.index.exact import ExactIndex
from retrieval.index.store import collection_key, open_store
from retrieval.text.tower import TextTower

T = TypeVar("T")

K = 12
WORKERS = 2  # as `kindred serve` has them where memory is not short
CLIENTS, REQUESTS = 32, 2_000
WARM_UP = 20
SEARCHES = 200  # a repetition


def milliseconds(call: Callable[[T], object], argument: T) -> float:
    """How long a call takes."""
    began = time.perf_counter()
    call(argument)
    return 1000 * (time.perf_counter() - began)


def measure_one_client(
    url: str, encoder: Encoder, collection: Collection, texts: Sequence[str]
) -> tuple[float, float, float, float, float]:
    """p50 over the texts, in milliseconds: search over HTTP, bare encode, bare index call; the
    first minus the two others; and how many times as long an explained search takes.

    The four take turns, text by text. A machine whose speed drifts by a third within seconds, as
    rented ones do, would otherwise be asked for the difference of two different machines.
    """  # noqa: D205
    tower = TextTower(encoder)
    queries_QD = encode_queries(tower, texts, [()] * len(texts))
    turns = []
    # The standard library's client: httpx takes a millisecond or two of its own.
    with closing(http.client.HTTPConnection(url.removeprefix("http://"))) as client:

        def search(text: str, *, explain: bool = False) -> None:
            body = json.dumps({"query": text, "k": K, "explain": explain})
            client.request("POST", "/v1/search", body, {"Content-Type": "application/json"})
            answer = client.getresponse()
            answer.read()
            assert answer.status == 200, answer.reason

        def encode(text: str) -> None:
            encode_queries(tower, [text], [()])

        def look_up(query_1D: NDArray[np.float32]) -> None:
            collection.search(query_1D, K)

        for number in [*range(WARM_UP), *range(len(texts))]:
            turns.append(
                (
                    milliseconds(search, texts[number]),
                    milliseconds(encode, texts[number]),
                    milliseconds(look_up, queries_QD[[number]]),
                    milliseconds(partial(search, explain=True), texts[number]),
                )
            )
    whole, encoded, found, explained = (
        statistics.median(times) for times in zip(*turns[WARM_UP:], strict=True)
    )
    return whole, encoded, found, whole - encoded - found, explained / whole


async def load_during_two_swaps(url: str, texts: Sequence[str]) -> tuple[list[Answer], list[float]]:
    """The answers, and how long promotion and rollback took with the load beside them."""
    swapped = asyncio.Event()
    searches = [{"query": text, "k": K} for text in texts]
    loading = asyncio.create_task(
        load(url, searches, CLIENTS, lambda answered: answered >= REQUESTS and swapped.is_set())
    )
    seconds = []
    verbs = (["promote", "2", "--force", "--reason", "benchmark"], ["rollback"])
    for verb, version in zip(verbs, ("2", "1"), strict=True):
        seconds.append(await asyncio.to_thread(kindred, *verb))
        await until_served(url, version)
    swapped.set()
    return await loading, seconds


def count_faults(
    answers: Sequence[Answer], expected: dict[tuple[str, str], dict[str, float]]
) -> tuple[int, int]:
    """Failed requests, and answers whose hits are not those of the version they name.

    A product may take another's place where exact search has them equal to 1e-5.
    """
    failed = sum(answer.status != 200 for answer in answers)
    mixed = 0
    for answer in answers:
        if answer.status == 200:
            body = answer.body
            scores = expected[(body["model_version"], answer.asked["query"])]
            ours = [hit["score"] for hit in body["hits"]]
            best = sorted(scores.values(), reverse=True)[:K]
            same = all(abs(scores[h["product_id"]] - h["score"]) < 1e-5 for h in body["hits"])
            mixed += not same or any(abs(a - b) > 1e-5 for a, b in zip(ours, best, strict=True))
    return failed, mixed


def exact_scores(
    bundle: Bundle, encoder: Encoder, texts: Sequence[str]
) -> dict[tuple[str, str], dict[str, float]]:
    """The score of every product, by version and text: version 2 has the base's vectors."""
    found = {}
    for version, model in (("1", "student"), ("2", "base")):
        vectors = bundle.read_vectors(model)
        index = ExactIndex(vectors.ids, vectors.vectors)
        for text in texts:
            ranked = index.search(encoder.encode_texts([text]), len(vectors.ids))[0]
            found[(version, text)] = dict(ranked)
    return found


def measure_verbs(rows: Rows, repetitions: int) -> None:
    """Promotion, rollback, status, and the start of the service."""
    promotions, rollbacks = [], []
    for _ in range(repetitions):
        promotions.append(kindred("promote", "2", "--force", "--reason", "benchmark"))
        rollbacks.append(kindred("rollback"))
    rows.add("kindred promote, compared with the champion", promotions, "s", ("at most", 15))
    rows.add("kindred rollback", rollbacks, "s", ("at most", 8))
    looks = [kindred("status") for _ in range(repetitions)]
    rows.add("kindred status", looks, "s", ("at most", 2.5))

    ready = []
    for _ in range(repetitions):
        with serving("--workers", str(WORKERS)) as service:
            ready.append(service.ready_seconds)
    rows.add("kindred serve, until ready", ready, "s", ("at most", 12))


def run(bundle: Bundle, repetitions: int, *, latency_only: bool) -> bool:
    """Measure, print it, and say whether every promise was kept."""
    rows = Rows()
    register_two(bundle)
    rows.add("kindred promote, the first", [kindred("promote", "1")], "s", ("at most", 15))
    if not latency_only:
        measure_verbs(rows, repetitions)
    with serving("--workers", str(WORKERS)) as service:
        texts = [query.text for query in bundle.read_queries()][:SEARCHES]
        encoder = bundle.load_encoder()
        ensure_collections(bundle)
        key = collection_key(bundle.digest, "student")
        collection = open_store().open(key, Path("private"))
        # As in a worker: its share of torch's threads, and no more than one of OpenBLAS's.
        torch.set_num_threads(max(1, torch.get_num_threads() // WORKERS))
        with threadpool_limits(1, user_api="blas"):
            measured = [
                measure_one_client(service.url, encoder, collection, texts)
                for _ in range(repetitions)
            ]
        search, encode, index, over, why = (list(values) for values in zip(*measured, strict=True))
        rows.add("one client: search over HTTP, p50", search, "ms")
        rows.add("   bare encode, p50", encode, "ms")
        rows.add("   bare search in the index, p50", index, "ms")
        rows.add("   the service's own share", over, "ms", ("at most", 4))
        rows.add("   an explained search over one that is not", why, "", ("at most", 2))
        collection.close()
        if latency_only:
            return not rows.missed

        expected = exact_scores(bundle, encoder, texts[:50])
        began = time.perf_counter()
        answers, seconds = asyncio.run(load_during_two_swaps(service.url, texts[:50]))
        elapsed = time.perf_counter() - began
        failed, mixed = count_faults(answers, expected)
        versions = {a.body["model_version"] for a in answers if a.status == 200}
        per_second = len(answers) / elapsed
        print(
            f"{len(answers)} requests from {CLIENTS} clients during two swaps"
            f" ({per_second:.0f} a second; versions seen: {', '.join(sorted(versions))})"
        )
        rows.add("   latency", [answer.ms for answer in answers], "ms")
        rows.add("   promote, then rollback, beside the load", seconds, "s")
        rows.add("   failed", [failed], "", ("at most", 0))
        rows.add("   mixed versions", [mixed], "", ("at most", 0))
    return not rows.missed


def main() -> None:
    """Read the arguments, and run in a temporary folder."""
    parser = described(__doc__)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--latency-only", action="store_true", help="one client, nothing else")
    run_apart(
        parser,
        lambda bundle, options: run(bundle, options.repetitions, latency_only=options.latency_only),
    )


if __name__ == "__main__":
    main()
