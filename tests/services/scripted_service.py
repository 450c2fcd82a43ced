"""The real application over an engine that a test scripts."""

import asyncio
import dataclasses
import io
import math
import threading
from types import SimpleNamespace

import torch
import uvicorn
from PIL import Image

from registry.bundle import HeldOutQuery, Product
from retrieval.concepts.concept import Concept
from services.http.app import create_app
from services.search.queries import Found
from services.search.teaching import Learned, TeachingError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
CATEGORIES = ("garden", "kitchen", "music")
EXAMPLE = "a present for an aunt who keeps the borders in bloom"
HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=2</script> & mug'
PRODUCTS, SHOWN = 30, 24
SCENE = "p/7"  # what is found first for whoever names a concept
WARNINGS = ("3 to 5 photos are better",)
STRANGERS = "photos 2 and 5 do not belong together"
# Notes each state of the screen that names versions: the one in the headline, those of pictures.
WATCH_VERSIONS = """
window.screens = [];
new MutationObserver(() => {
  const headline = document.querySelector("#headline strong")?.textContent;
  const pictures = [...document.querySelectorAll("#columns img")];
  const versions = new Set(pictures.map((one) => new URL(one.src).searchParams.get("v")[0]));
  if (headline && pictures.length) window.screens.push([headline, ...versions].join(" "));
}).observe(document, { subtree: true, childList: true });
addEventListener("securitypolicyviolation", (event) => console.error(event.blockedURI));
"""


def picture(number):
    file = io.BytesIO()
    Image.new("RGB", (64, 64), (8 * number, 90, 200 - 6 * number)).save(file, "JPEG")
    return file.getvalue()


def make_product(number):
    return Product(
        product_id=f"p/{number}",
        title=f"Mug {number}",
        caption="a mug",
        category=CATEGORIES[number % 3],
        price=math.nan if number == 1 else 10.0 + number,
        attributes={},
        image_sha256="0" * 64,
        split="test",
        thumbnail=picture(number),
    )


def _lost(text):
    """Umbrellas are what this model does not know."""
    return ("The model does not know these words: ☂.",) if "☂" in text else ()


class FakeEngine:
    """Finds the products in their order, as base model from behind; fails while it is told to."""

    def __init__(self, version, private):
        self.version, self.private, self.broken = version, private, False
        self.drift = SimpleNamespace(report=lambda: None)
        self.fails = ""  # why nothing can be learned
        self.may_learn = threading.Event()  # a test may hold it up
        self.may_learn.set()
        self.products = {p.product_id: p for p in map(make_product, range(PRODUCTS))}
        lineage = SimpleNamespace(model_dump=lambda mode: {"teacher": {"kind": "simulated"}})
        queries = [HeldOutQuery("a", EXAMPLE, "p/1")]
        tokenizer = SimpleNamespace(encode=str.split, context_length=64)
        self.encoder = SimpleNamespace(tokenize=tokenizer)
        self.bundle = SimpleNamespace(lineage=lineage, read_queries=lambda: queries)

    def search(self, queries):
        if self.broken:
            msg = "the model fell over"
            raise RuntimeError(msg)
        return [Found(self.version, self._hits(query), _lost(query.text)) for query in queries]

    def _hits(self, query):
        low, high = query.filter_.price_gte or 0, query.filter_.price_lte or math.inf
        bounded = low > 0 or high < math.inf
        fitting = [
            product
            for product in self.products.values()
            if product.category in (query.filter_.categories or CATEGORIES)
            and (not bounded or low <= product.price <= high)
        ]
        ordered = fitting[::-1] if query.model == "base" else fitting
        if query.concepts:
            ordered = sorted(ordered, key=lambda product: product.product_id != SCENE)
        return [(product, 0.5) for product in ordered[: query.k]]

    def close(self):
        pass


def learn(engine, lessons):
    """In `learn`'s place: a thing of the kind "stranger" cannot be learned."""
    engine.may_learn.wait(10)
    if engine.fails:
        raise TeachingError(engine.fails)
    if any(lesson.noun == "stranger" for lesson in lessons):
        raise TeachingError(STRANGERS)
    factor = torch.ones(1, 2)
    concepts = [Concept(one.name, one.noun, "zzq", factor, factor) for one in lessons]
    return [Learned(engine.version.digest, concept, WARNINGS) for concept in concepts]


class Service:
    """The application on a port of its own, in a thread."""

    def __init__(self, live):
        self.live = live
        self._loop = asyncio.new_event_loop()
        config = uvicorn.Config(create_app(live), host="127.0.0.1", port=0, log_level="critical")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self):
        self._loop.run_until_complete(self._server.serve())
        self._loop.close()

    def __enter__(self):
        self._thread.start()
        for _ in range(500):
            if self._server.started:
                break
            self._thread.join(0.02)
        (socket,) = self._server.servers[0].sockets
        self.address = "http://{}:{}".format(*socket.getsockname())
        return self

    def __exit__(self, *_):
        self._server.should_exit = True
        self._thread.join(10)
        assert not self._thread.is_alive()

    def swap(self, fails=""):
        """Let version 4 take over; `fails` says why it can learn nothing."""
        newer = dataclasses.replace(self.live.engine.version, number=4, digest="4" * 64)
        self.live.source.version = newer
        self.live._open = lambda version: self._open(version, fails)
        asyncio.run_coroutine_threadsafe(self.live.follow(), self._loop).result(10)
        assert self.live.engine.version is newer

    def _open(self, version, fails):
        engine = FakeEngine(version, self.live.engine.private)
        engine.fails = fails
        self.live.prepare(engine)
        return engine
