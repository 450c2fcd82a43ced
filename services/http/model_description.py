"""What the service says of the version that serves, for `GET /v1/model`."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from registry.bundle import Bundle, Product
from services.http.version_facts import version_facts
from services.search.engine import Engine
from services.search.live import Live

EXAMPLES = 6
SHORT, LONG = 30, 60  # characters of a text that fits on a button


def describe(live: Live) -> dict[str, Any]:
    """Version, headline numbers, verdicts, lineage, catalogue, examples, state of a swap."""
    engine = live.engine
    version = engine.version
    return {
        "name": version.name,
        "version": str(version.number),
        "follows": live.source.follows,
        **version_facts(version),
        "lineage": _public(engine.bundle.lineage.model_dump(mode="json")),
        "catalogue": _catalogue(engine),
        "examples": example_texts(engine.bundle),
        "swap": asdict(live.swap),
    }


def drift_of(engine: Engine) -> dict[str, Any] | None:
    """How queries differ from what the version was evaluated on; not for an event loop."""
    found = engine.drift.report()
    return asdict(found) if found else None


def example_texts(bundle: Bundle) -> list[str]:
    """A few held-out personas' texts that are short enough to show."""
    texts = [query.text for query in bundle.read_queries()]
    fitting = [text for text in texts if SHORT <= len(text) <= LONG]
    return (fitting or sorted(texts, key=len))[:EXAMPLES]


def _public(lineage: dict[str, Any]) -> dict[str, Any]:
    """Without what asking took and cost: whoever searches need not know that."""
    return {name: value for name, value in lineage.items() if name != "account"}


def _catalogue(engine: Engine) -> dict[str, Any]:
    products = engine.products.values()
    counts = Counter(product.category for product in products)
    return {
        "products": len(products),
        "categories": [{"name": name, "count": counts[name]} for name in sorted(counts)],
        "price": _price_range(products),
    }


def _price_range(products: Iterable[Product]) -> dict[str, float] | None:
    prices = [product.price for product in products if not math.isnan(product.price)]
    return {"min": min(prices), "max": max(prices)} if prices else None
