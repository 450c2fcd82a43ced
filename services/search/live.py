"""The version that serves now, and how the next one takes its place.

A new champion is opened in the background and swapped in between two batches, so that no answer
mixes versions and no request waits for a model to load.
"""

import asyncio
import logging
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Literal, Protocol

import numpy as np
import pyarrow as pa

from registry.bundle import Product
from registry.errors import explain_os_error, without_password
from registry.versions import Version
from services.search.batcher import Batcher, BatchThread
from services.search.drift import EXCHANGE
from services.search.engine import Engine
from services.search.explanation import Why
from services.search.peers import Peers, State
from services.search.phases import watched
from services.search.pictures import Picture, read_picture, see
from services.search.precision import text_precision
from services.search.processes import Notices, parent, sweep
from services.search.queries import Found, Query, Vectors
from services.search.source import NOTHING, Source
from services.search.teaching import Learned, Taught, learn

POLL = 2.0  # seconds between two looks at the registry
EMBEDDED_TOGETHER = 16  # texts whose vectors were asked for: searches wait behind that many
LEARNED_TOGETHER = 16  # concepts
# Beside lessons two workers' searches took 1.8 times as long at p99 as without where both had the
# same priority, and 1.5 times so; a lesson takes 1.8 s then, not 1.5 (`benchmarks.serve_concepts`).
LEARNING_NICE = 3
OPENED_TOGETHER = 2  # pictures of any size: the largest takes 200 MB
SEEN_TOGETHER = 4  # pictures
MOST_UNSEEN = 128  # a picture takes some 30 ms
RETRY = 30.0  # seconds before a version that could not be opened is tried again
PRIVATE = Path("var/serve")  # copies of collections, a folder a process and version

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Swap:
    """What is going on beside serving."""

    state: Literal["idle", "loading", "failed"]
    version: str | None = None
    detail: str = ""


class Watcher(Protocol):
    """Who counts what happens here (`services.http.metrics`)."""

    def phase(self, name: str, seconds: float) -> None:
        """A search's phase has ended."""

    def batch(self, kind: str, size: int) -> None:
        """A batch begins."""

    def swap(self, *, done: bool) -> None:
        """A version took over, or could not be opened."""


class NoWatcher:
    """Nobody counts."""

    def phase(self, name: str, seconds: float) -> None:
        """As `Watcher`."""

    def batch(self, kind: str, size: int) -> None:
        """As `Watcher`."""

    def swap(self, *, done: bool) -> None:
        """As `Watcher`."""


class Live:
    """Serves one version of a model, and follows its source to the next."""

    def __init__(self, source: Source) -> None:
        """Remember what to serve; `start` opens it."""
        self.source = source
        self.swap = Swap("idle")
        self.watcher: Watcher = NoWatcher()
        self._peers: Peers | None = None
        self._thread = BatchThread()
        # Each batch is answered by the version that serves when its turn comes.
        self.searches: Batcher[Query, Found] = Batcher(
            self._thread, self._search, waited=lambda seconds: self.watcher.phase("queue", seconds)
        )
        self._embeddings: Batcher[Sequence[str], Vectors] = Batcher(
            self._thread, lambda requests: self.engine.embed(requests), EMBEDDED_TOGETHER
        )
        # One at a time, each a batch of texts: searches get in between.
        self._explanations: Batcher[tuple[Engine, Query, Found], list[Why]] = Batcher(
            self._thread, lambda asked: [one[0].explain(one[1], one[2]) for one in asked], 1
        )
        # Learning takes a second: it has a thread of its own, and searches go on beside it.
        self._learning = BatchThread(LEARNING_NICE)
        self.lessons: Batcher[Taught, Learned] = Batcher(
            self._learning, lambda lessons: learn(self.engine, lessons), LEARNED_TOGETHER
        )
        # So has looking at pictures: a picture takes as long as a batch of texts.
        self._seeing = BatchThread()
        self._opening = asyncio.Semaphore(OPENED_TOGETHER)
        self._pictures: Batcher[Picture, Picture] = Batcher(
            self._seeing,
            lambda pictures: see(self.engine.encoder, pictures),
            SEEN_TOGETHER,
            MOST_UNSEEN,
        )
        self.prepare: Callable[[Engine], None] = lambda _: None  # for a version that takes over
        self.swapped: Callable[[Version], None] = lambda _: None  # told of one that has
        self._engine: Engine | None = None
        self._before: dict[str, Product] = {}  # pictures of the last version may still be asked for

    @property
    def engine(self) -> Engine:
        """The version that serves.

        Raises:
            RuntimeError: `start` has not run.
        """
        if self._engine is None:
            msg = "the service has not started"
            raise RuntimeError(msg)
        return self._engine

    @property
    def ready(self) -> bool:
        """Whether there is a version to answer with."""
        return self._engine is not None

    def start(self, version: Version | None = None) -> None:
        """Open the wanted version; seconds.

        Args:
            version: What the registry gave for it a moment ago; None to look.

        Raises:
            RegistryError: There is no such version, or the registry does not answer.
            ConnectionError: The vector database does not answer.
            ValueError: The version is damaged.
        """
        sweep(PRIVATE)
        looked = time.time()
        self._engine = self._open_aside(version or self.source.find())
        self._peers = Peers(of_service("peers"))
        self._announce(self._engine.version, "ready", looked)

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of texts, all by one version; searches get in between its slices.

        Raises:
            OverloadedError: Too many requests wait.
        """
        while True:
            rows: list[Vectors] = []
            for start in range(0, len(texts), EMBEDDED_TOGETHER):
                some = texts[start : start + EMBEDDED_TOGETHER]
                rows += await asyncio.gather(*(self._embeddings.ask([text]) for text in some))
            if len({row.version.digest for row in rows}) == 1:  # else a swap came in between
                return Vectors(rows[0].version, np.concatenate([row.vectors_ND for row in rows]))

    async def look(self, uploaded: bytes) -> Picture:
        """A picture that can be searched for, seen by the version that serves.

        Raises:
            PictureError: It is none that can be read.
            OverloadedError: Too many wait.
        """
        encoder = self.engine.encoder
        async with self._opening:
            picture = await asyncio.to_thread(read_picture, uploaded, encoder)
        return await self._pictures.ask(picture)

    async def explain(self, query: Query, found: Found) -> list[Why] | None:
        """Why each hit was found; None where another version has taken over since.

        Raises:
            OverloadedError: Too many requests wait.
        """
        engine = self.engine
        if engine.version.digest != found.version.digest:
            return None
        return await self._explanations.ask((engine, query, found))

    def picture(self, product_id: str) -> bytes | None:
        """A product's picture, JPEG; None if neither this version nor the last one has it."""
        product = self.engine.products.get(product_id) or self._before.get(product_id)
        return product.thumbnail if product else None

    async def watch(self) -> None:
        """Follow the source until cancelled."""
        while self.source.follows != NOTHING:
            await asyncio.sleep(RETRY if self.swap.state == "failed" else POLL)
            await self.follow()

    async def watch_drift(self, notices: Notices) -> None:
        """Have all workers speak of the queries of all, until cancelled."""
        while True:
            await asyncio.sleep(EXCHANGE)
            with suppress(OSError):  # a full disk: each speaks of its own
                await asyncio.to_thread(self.engine.drift.exchange, notices)

    async def follow(self) -> None:
        """Look at the source once, and swap if it has another version; what fails is remembered."""
        version, looked = None, time.time()
        try:
            version = await asyncio.to_thread(self.source.find)
            if version.digest == self.engine.version.digest:
                self.swap = Swap("idle")
                return
            self.swap = Swap("loading", str(version.number))
            self._announce(version, "opening", looked)
            engine = await asyncio.to_thread(self._open_aside, version)
            self._announce(version, "ready", looked)
            if await asyncio.to_thread(self._all_ready, version, looked):
                await self._thread.between_batches(lambda: self._swap_in(engine))
                self.watcher.swap(done=True)
                await asyncio.to_thread(self.swapped, version)
            else:
                self._discard(engine)
            self.swap = Swap("idle")
        except Exception as error:  # noqa: BLE001 -- whatever it is, the old version serves on
            _LOG.exception("version %s goes on serving", self.engine.version.number)
            said = explain_os_error(error) if isinstance(error, OSError) else str(error)
            number = str(version.number) if version else None
            self.swap = Swap("failed", number, without_password(said))
            self.watcher.swap(done=False)
            if version:
                self._announce(version, "failed", looked)

    def close(self) -> None:
        """Answer what has been asked, then let go of everything."""
        self._learning.close()
        self._seeing.close()
        self._thread.close()
        if self._engine is not None:
            self._discard(self._engine)
        if self._peers is not None:
            self._peers.leave()

    def _search(self, queries: Sequence[Query]) -> list[Found]:
        self.watcher.batch("search", len(queries))
        with watched(self.watcher.phase):
            return self.engine.search(queries)

    def _announce(self, version: Version, state: State, looked: float) -> None:
        if self._peers is not None:
            self._peers.announce(version.digest, state, looked)

    def _all_ready(self, version: Version, looked: float) -> bool:
        """Wait for the other workers; whether to swap."""
        return self._peers is None or self._peers.wait_for(version.digest, looked)

    def _open_aside(self, version: Version) -> Engine:
        """Open on a thread that ends.

        Each thread that has used torch keeps a team of OpenMP's threads, and where those are more
        than the cores, OpenMP no longer spins: an encode on the batches' thread took 32 ms, not 22.
        """
        with ThreadPoolExecutor(1) as aside:
            return aside.submit(self._open, version).result()

    def _open(self, version: Version) -> Engine:
        from registry.catalogue_index import ensure_collections

        bundle = self.source.fetch(version)
        ensure_collections(bundle)
        PRIVATE.mkdir(parents=True, exist_ok=True)
        private = Path(tempfile.mkdtemp(dir=PRIVATE, prefix=f"{os.getpid()}."))
        with ExitStack() as undo:  # what fails is tried again: the copies would pile up
            undo.callback(rmtree, private, ignore_errors=True)
            engine = Engine(version, bundle, private, precision=text_precision())
            undo.callback(engine.close)
            self.prepare(engine)
            undo.pop_all()
        # Arrow keeps what reading the tables took, for the thread that read them.
        pa.default_memory_pool().release_unused()
        return engine

    def _swap_in(self, engine: Engine) -> None:
        old = self.engine
        self._before, self._engine = old.products, engine
        self._discard(old)
        _LOG.info("version %s took the place of %s", engine.version.number, old.version.number)

    def _discard(self, engine: Engine) -> None:
        engine.close()
        rmtree(engine.private, ignore_errors=True)


def of_service(what: str) -> Path:
    """A folder that the workers of one service share; it goes some time after the service."""
    return PRIVATE / f"{parent()}.{what}"
