"""The same code against a real Milvus server: the wheel `milvus`, in an environment of its own."""

from dataclasses import replace

import numpy as np
import pytest

from registry.catalogue_index import MODELS, ensure_collections
from retrieval.index import collection as module
from retrieval.index.collection import Filter, Item, index_type
from retrieval.index.exact import ExactIndex
from retrieval.index.store import collection_key, open_store, verify
from retrieval.storage.vectors import Vectors
from services.search.engine import Engine, Query
from tests.servers import milvus_server

pytestmark = pytest.mark.slow

ROWS = 3_000
KEY = collection_key("c" * 64, "student")


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    with milvus_server(tmp_path_factory.mktemp("milvus")) as uri:
        yield uri


@pytest.fixture(scope="module")
def items():
    return [
        Item(
            f"p{n}", ('say "hi"', "it's")[n % 2], float(n) if n % 7 else float("nan"), {"a b": "x"}
        )
        for n in range(ROWS)
    ]


@pytest.fixture(scope="module")
def vectors(items):
    vectors = np.random.default_rng(0).normal(size=(ROWS, 32)).astype(np.float32)
    return Vectors(
        [item.product_id for item in items],
        vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
    )


@pytest.mark.parametrize("threshold", [ROWS + 1, 1], ids=["FLAT", "HNSW"])
def test_collections_are_written_verified_found_and_dropped(
    uri, items, vectors, monkeypatch, threshold, request
):
    monkeypatch.setattr(module, "HNSW_FROM", threshold)
    assert index_type(ROWS) in request.node.name
    store = open_store(uri)
    store.create(KEY, vectors, items)
    assert KEY in store.list_keys()
    store.create(KEY, vectors, items)  # it is there: nothing happens
    one, two = store.open(KEY), store.open(KEY)
    verify(one, vectors)
    exact = ExactIndex(vectors.ids, vectors.vectors).search(vectors.vectors[:20], 10)
    found = two.search(vectors.vectors[:20], 10)
    same = [len({i for i, _ in a} & {i for i, _ in b}) for a, b in zip(exact, found, strict=True)]
    assert sum(same) >= 0.95 * 200
    condition = Filter(('say "hi"',), 100, 200, (("a b", ("x", "y")),), ("p100", "p102"))
    hits = two.search(vectors.vectors[:1], 100, condition)[0]
    assert {id_ for id_, _ in hits} == {
        item.product_id
        for item in items
        if item.category == 'say "hi"' and 100 <= item.price <= 200
    } - {"p100", "p102"}
    one.close()
    two.close()
    store.drop(KEY)
    store.drop(KEY)
    assert KEY not in store.list_keys()
    with pytest.raises(FileNotFoundError, match="kindred promote"):
        store.open(KEY)


def test_what_a_killed_process_left_is_no_collection_and_no_obstacle(uri, items, vectors):
    store = open_store(uri)
    with store._client() as client:
        module.write_collection(client, f"{KEY}_making", vectors, items)
    assert KEY not in store.list_keys()
    store.create(KEY, vectors, items)
    assert {key for key in store.list_keys() if key.startswith(KEY)} == {KEY}
    store.drop(KEY)


def test_a_version_is_served_from_it(uri, bundle, version, tmp_path):
    ensure_collections(bundle, uri)
    keys = {collection_key(bundle.digest, model) for model in MODELS}
    assert keys <= open_store(uri).list_keys()
    served = Engine(replace(version, digest=bundle.digest), bundle, tmp_path, uri)
    found = served.search(
        [Query("a blue thing", 2, Filter(), model) for model in ("champion", "base")]
    )
    assert [hits.hits[0][0].product_id for hits in found] == ["p2", "p2"]
    served.close()
    for key in keys:
        open_store(uri).drop(key)
    assert not keys & open_store(uri).list_keys()
