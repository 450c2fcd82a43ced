"""A catalogue's vectors in Milvus: what is stored for a product, and search with conditions.

N products, Q queries, D width. Vectors are of length 1 and are compared by inner product, which is
then the cosine: Milvus Lite's own COSINE computes every stored norm again at each query.
"""

import math
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.storage.vectors import Vectors

if TYPE_CHECKING:
    from pymilvus import MilvusClient

HNSW_FROM = 50_000  # products; below, comparing with all of them is fast and misses nothing
NO_PRICE = -1.0  # prices are never negative, and Milvus takes no NaN
_BATCH = 1_000  # rows a call: Milvus limits what a message may hold
LONGEST = 4_096  # bytes of an id or a category
_PATIENCE = 10.0  # seconds
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})
_EF = 128  # HNSW's breadth of search, at least the limit asked for
_MARGIN = 1  # more than is asked for, to see whether equals are cut; each costs Lite 0.1 ms
_MOST = 16_384  # a search's answers: Milvus' own limit
_DIGITS = 6  # of a cosine: sums in another order differ beyond


@dataclass(frozen=True)
class Item:
    """What conditions can be put on."""

    product_id: str
    category: str
    price: float  # NaN where unknown
    attributes: dict[str, str]


class Conditioned(Protocol):
    """What a filter can judge: an `Item`, or any product that has the same."""

    @property
    def product_id(self) -> str:
        """As `Item`."""

    @property
    def category(self) -> str:
        """As `Item`."""

    @property
    def price(self) -> float:
        """As `Item`."""

    @property
    def attributes(self) -> dict[str, str]:
        """As `Item`."""


@dataclass(frozen=True)
class Filter:
    """Conditions that all hold. Equal filters are equal, and can be searched in one call."""

    categories: tuple[str, ...] = ()  # any of them; empty: all
    price_gte: float | None = None  # a product without a price is outside any range
    price_lte: float | None = None
    attributes: tuple[tuple[str, tuple[str, ...]], ...] = ()  # (name, any of these values)
    exclude: tuple[str, ...] = ()  # ids that are left out

    def admits(self, product: Conditioned) -> bool:
        """Whether a product fulfils the conditions: what Milvus finds by `expression`."""
        if self.categories and product.category not in self.categories:
            return False
        if product.product_id in self.exclude:
            return False
        if self._asks_price():
            low = max(self.price_gte or 0.0, 0.0)
            high = math.inf if self.price_lte is None else self.price_lte
            if not low <= product.price <= high:  # NaN is in no range
                return False
        return all(product.attributes.get(name) in values for name, values in self.attributes)

    def asks_in_vain(self) -> bool:
        """Whether it names what no product can have, so that no index need be asked."""
        if self.categories and not _storable(self.categories):
            return True
        return any(text_fault(name) or not _storable(values) for name, values in self.attributes)

    def expression(self) -> str:
        """The same in Milvus's language; "" for no condition."""
        parts = []
        if self.categories:
            parts.append(f"category in {_listed(self.categories)}")
        if self._asks_price():
            parts.append(f"price >= {max(self.price_gte or 0.0, 0.0)!r}")
        if self.price_lte is not None:
            parts.append(f"price <= {float(self.price_lte)!r}")
        for name, values in self.attributes:  # Lite knows `in` for plain fields alone
            of = f"attributes[{_quoted(name)}]"
            parts.append(" or ".join(f"{of} == {_quoted(value)}" for value in _storable(values)))
        if _storable(self.exclude):
            parts.append(f"id not in {_listed(self.exclude)}")
        return " and ".join(f"({part})" for part in parts)

    def _asks_price(self) -> bool:
        return self.price_gte is not None or self.price_lte is not None


class Collection:
    """One open collection; searching does not change it."""

    def __init__(self, client: "MilvusClient", name: str, close: Callable[[], None]) -> None:
        """Take over a client that `close` lets go of; load the collection."""
        self._client = client
        self._name = name
        self._close = close
        client.load_collection(name, timeout=_PATIENCE)

    def search(
        self, queries_QD: NDArray[np.float32], k: int, filter_: Filter = Filter()
    ) -> list[list[tuple[str, float]]]:
        """The k products of highest cosine for each query, best first: (product_id, cosine).

        Fewer than k where fewer fulfil the conditions. Cosines are rounded, and equal ones are in
        the order of the ids; which of them are among the first k, k does not change. So the first
        k of a longer answer are the answer for k: by FLAT always, by HNSW where it misses nothing.

        Raises:
            ConnectionError: Milvus does not answer.
        """
        if filter_.asks_in_vain():
            return [[] for _ in queries_QD]
        queries_QD = np.asarray(queries_QD, dtype=np.float32)
        answers: list[list[tuple[str, float]]] = [[]] * len(queries_QD)
        rows, limit = list(range(len(queries_QD))), min(k + _MARGIN, _MOST)
        while rows:
            for row, hits in zip(
                rows, self._nearest(queries_QD[rows], limit, filter_), strict=True
            ):
                answers[row] = hits
            # Of equals at the end, those beyond the limit may come before those within it.
            rows = [row for row in rows if _is_cut_among_equals(answers[row], k, limit)]
            rows = rows if limit < _MOST else []
            limit = min(2 * limit, _MOST)
        return [sorted(hits, key=lambda hit: (-hit[1], hit[0]))[:k] for hits in answers]

    def _nearest(
        self, queries_QD: NDArray[np.float32], limit: int, filter_: Filter
    ) -> list[list[tuple[str, float]]]:
        with reached(self._name):
            found = self._client.search(
                self._name,
                data=list(queries_QD),
                limit=limit,
                filter=filter_.expression(),
                search_params={"metric_type": "IP", "params": {"ef": max(_EF, limit)}},
                consistency_level="Eventually",  # nothing changes: there is nothing to wait for
                timeout=_PATIENCE,
            )
        return [
            [(hit["id"], round(float(hit["distance"]), _DIGITS)) for hit in hits] for hits in found
        ]

    def count(self) -> int:
        """How many products there are. Raises as `search`."""
        with reached(self._name):
            (row,) = self._client.query(
                self._name, filter="", output_fields=["count(*)"], consistency_level="Strong"
            )
        return int(row["count(*)"])

    def read_back(self, ids: Sequence[str]) -> Vectors:
        """The stored vectors of products, in the ids' order; without those that are not there.

        Raises as `search`.
        """
        rows: dict[str, Any] = {}
        for start in range(0, len(ids), _BATCH):
            # Not `get`: pymilvus 3.0 puts ids into its condition without escaping them.
            some = ", ".join(map(_quoted, ids[start : start + _BATCH]))
            with reached(self._name):
                page = self._client.query(
                    self._name,
                    filter=f"id in [{some}]",
                    output_fields=["id", "vector"],
                    consistency_level="Strong",  # what was written a moment ago counts
                )
            rows |= {row["id"]: row["vector"] for row in page}
        found = [id_ for id_ in ids if id_ in rows]
        return Vectors(found, np.array([rows[id_] for id_ in found], dtype=np.float32))

    def close(self) -> None:
        """Let go of it."""
        self._close()


def write_collection(
    client: "MilvusClient", name: str, vectors: Vectors, items: Sequence[Item]
) -> None:
    """Make a collection, fill it, and have it on disk with its index.

    Args:
        client: Where.
        name: The collection, which must not exist.
        vectors: Unit vectors by product id.
        items: The products, in any order, an item for each vector.

    Raises:
        ValueError: Vectors and items are not of the same products, or a text has a `text_fault`.
    """
    _check(vectors, items)
    rows = {item.product_id: item for item in items}
    client.create_collection(
        name, schema=_schema(vectors.vectors.shape[1]), index_params=_index(len(vectors.ids))
    )
    for start in range(0, len(vectors.ids), _BATCH):
        ids = vectors.ids[start : start + _BATCH]
        vectors_ND = vectors.vectors[start : start + _BATCH]
        client.insert(
            name, [_row(rows[id_], vector) for id_, vector in zip(ids, vectors_ND, strict=True)]
        )
    client.flush(name)  # what is not flushed costs every query, and may be lost


def text_fault(text: str) -> str:
    """Why a text can be no id, category or attribute in a collection; "" where it can.

    Milvus limits the length. Control characters other than tabs and line ends are refused by rule:
    they come from broken exports, nobody can type them into a filter, and what a parser or a
    terminal makes of them differs.
    """
    control = next((c for c in text if unicodedata.category(c) == "Cc" and c not in "\t\n\r"), "")
    if control:
        return f"holds the control character U+{ord(control):04X}; remove it"
    if any(unicodedata.category(c) == "Cs" for c in text):
        return "holds half a character (a lone surrogate); remove it"
    if (size := len(text.encode())) > LONGEST:
        return f"has {size} bytes in UTF-8, expected {LONGEST} at most; shorten it"
    return ""


def index_type(products: int) -> str:
    """The index that a catalogue of this size gets."""
    return "FLAT" if products < HNSW_FROM else "HNSW"


@contextmanager
def reached(place: str) -> Iterator[None]:
    """Turn what pymilvus raises inside into a ConnectionError that names the place."""
    from pymilvus.exceptions import MilvusException

    try:
        yield
    except MilvusException as error:
        msg = (
            f"Milvus at {place} failed: {error.message};"
            " check MILVUS_URI, and that the server answers"
        )
        raise ConnectionError(msg) from error


def _check(vectors: Vectors, items: Sequence[Item]) -> None:
    strays = sorted(set(vectors.ids) ^ {item.product_id for item in items})
    if strays or len(items) != len(vectors.ids):
        msg = (
            f"got {len(vectors.ids)} vectors and {len(items)} products, expected one each"
            f" (differing: {strays[:5]})"
        )
        raise ValueError(msg)
    for item in items:
        for text in (item.product_id, item.category, *chain(*item.attributes.items())):
            if fault := text_fault(text):
                msg = f"product {item.product_id[:60]!r}: got {text[:60]!r}, which {fault}"
                raise ValueError(msg)


def _schema(width: int) -> Any:
    from pymilvus import DataType, MilvusClient

    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=LONGEST)
    schema.add_field("category", DataType.VARCHAR, max_length=LONGEST)
    schema.add_field("price", DataType.DOUBLE)
    schema.add_field("attributes", DataType.JSON)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=width)
    return schema


def _index(products: int) -> Any:
    from pymilvus import MilvusClient

    kind = index_type(products)
    build = {"M": 16, "efConstruction": 200} if kind == "HNSW" else {}
    index = MilvusClient.prepare_index_params()
    index.add_index("vector", index_type=kind, metric_type="IP", params=build)
    return index


def _row(item: Item, vector_D: NDArray[np.float32]) -> dict[str, Any]:
    return {
        "id": item.product_id,
        "category": item.category,
        "price": NO_PRICE if np.isnan(item.price) else float(item.price),
        "attributes": item.attributes,
        "vector": vector_D.tolist(),
    }


def _is_cut_among_equals(hits: Sequence[tuple[str, float]], k: int, limit: int) -> bool:
    return len(hits) == limit and hits[-1][1] == hits[k - 1][1]


def _storable(texts: Sequence[str]) -> list[str]:
    """Those that a collection can hold; no product has the others."""
    return [text for text in texts if not text_fault(text)]


def _listed(texts: Sequence[str]) -> str:
    return f"[{', '.join(map(_quoted, _storable(texts)))}]"


def _quoted(text: str) -> str:
    """A literal of Milvus's language, whose Lite parser knows no escape but these five."""
    return '"' + text.translate(_ESCAPES) + '"'
