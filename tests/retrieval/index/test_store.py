"""Collections in Milvus Lite: what is stored, found, and left by whom is killed."""

import math
import socket
import subprocess
import sys
from itertools import product

import numpy as np
import pytest

from retrieval.index.collection import Filter, Item
from retrieval.index.exact import ExactIndex
from retrieval.index.store import LiteStore, collection_key, default_uri, open_store, verify
from retrieval.storage.vectors import Vectors

KEY = collection_key("a" * 64, "student")
ODD = ['say "hi"', "it's", "back\\slash", "naïve ☂", "two\nlines\tand\r", "x' or category != '"]


def unit(rows, width, seed=0):
    vectors = np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def items():
    return [
        Item(
            f"p{number}/{ODD[number % 6]}",
            ODD[number % 6],
            math.nan if number % 7 == 0 else float(number),
            {"colour": ("red", "blue")[number % 2], 'odd "name"': ODD[number % 6]},
        )
        for number in range(300)
    ]


@pytest.fixture(scope="module")
def vectors(items):
    return Vectors([item.product_id for item in items], unit(300, 16))


@pytest.fixture(scope="module")
def store(tmp_path_factory, vectors, items):
    store = LiteStore(tmp_path_factory.mktemp("milvus"))
    store.create(KEY, vectors, items)
    return store


@pytest.fixture(scope="module")
def collection(store, tmp_path_factory):
    collection = store.open(KEY, tmp_path_factory.mktemp("private"))
    yield collection
    collection.close()


def expected(vectors, items, query_D, k, admits):
    kept = [row for row, item in enumerate(items) if admits(item)]
    index = ExactIndex([vectors.ids[row] for row in kept], vectors.vectors[kept])
    return [id_ for id_, _ in index.search(query_D[None], k)[0]]


def test_it_finds_what_exact_search_finds(collection, vectors):
    queries = unit(20, 16, seed=1)
    exact = ExactIndex(vectors.ids, vectors.vectors).search(queries, 10)
    for wanted, hits in zip(exact, collection.search(queries, 10), strict=True):
        assert [id_ for id_, _ in hits] == [id_ for id_, _ in wanted]
        assert [score for _, score in hits] == pytest.approx([s for _, s in wanted], abs=1e-5)


def test_what_is_read_back_is_what_was_written(collection, vectors):
    asked = [*reversed(vectors.ids), "not there"]
    found = collection.read_back(asked)
    assert found.ids == asked[:-1]
    np.testing.assert_array_equal(found.vectors, vectors.vectors[::-1])
    assert collection.count() == 300


@pytest.mark.parametrize(
    ("filter_", "admits"),
    [
        (Filter(categories=(ODD[0],)), lambda item: item.category == ODD[0]),
        (Filter(categories=tuple(ODD[1:4])), lambda item: item.category in ODD[1:4]),
        (Filter(categories=(ODD[4], ODD[5])), lambda item: item.category in ODD[4:]),
        (Filter(price_lte=100), lambda item: item.price <= 100),
        (Filter(price_gte=250), lambda item: item.price >= 250),
        (Filter(price_gte=50, price_lte=60.5), lambda item: 50 <= item.price <= 60.5),
        (Filter(price_gte=0), lambda item: not math.isnan(item.price)),
        (
            Filter(attributes=(("colour", ("red",)),)),
            lambda item: item.attributes["colour"] == "red",
        ),
        (
            Filter(attributes=(('odd "name"', (ODD[2],)), ("colour", ("red",)))),
            lambda item: item.attributes == {"colour": "red", 'odd "name"': ODD[2]},
        ),
        (Filter(attributes=(("no such", ("x",)),)), lambda _: False),
        (Filter(attributes=(("colour", ("red", "blue")),)), lambda _: True),
        (
            Filter(attributes=(('odd "name"', (ODD[1], "none", ODD[4])),)),
            lambda item: item.category in (ODD[1], ODD[4]),
        ),
        (Filter((ODD[2], "a\x01")), lambda item: item.category == ODD[2]),
        (
            Filter(exclude=(f"p0/{ODD[0]}", f"p4/{ODD[4]}", "none", "\x01")),
            lambda item: not item.product_id.startswith(("p0/", "p4/")),
        ),
        (
            Filter((ODD[0],), 10, 200, (("colour", ("red",)),)),
            lambda item: item.category == ODD[0] and 10 <= item.price <= 200,
        ),
    ],
)
def test_conditions_hold_as_they_read(collection, vectors, items, filter_, admits):
    query = unit(1, 16, seed=2)
    assert [filter_.admits(item) for item in items] == [admits(item) for item in items]
    found = [id_ for id_, _ in collection.search(query, 400, filter_)[0]]
    assert found == expected(vectors, items, query[0], 400, admits)


def test_what_a_filter_admits_is_what_milvus_finds(collection, items):
    rng = np.random.default_rng(5)

    def some(of, most):
        return tuple(rng.choice(of, rng.integers(most + 1), replace=False).tolist())

    for _ in range(60):
        values = ("red", "blue", "green")
        chosen = [("colour", some(values, 3)), ('odd "name"', some([*ODD, "none"], 4))]
        low, high = (float(rng.integers(-5, 320)) if rng.random() < 0.5 else None for _ in "ab")
        filter_ = Filter(
            some([*ODD, "none"], 4),
            low,
            high,
            tuple(one for one in chosen if one[1]),
            some([item.product_id for item in items], 150),
        )
        (found,) = collection.search(unit(1, 16), 400, filter_)
        admitted = {item.product_id for item in items if filter_.admits(item)}
        assert {id_ for id_, _ in found} == admitted, filter_


def test_equal_products_are_in_the_order_of_their_ids_however_many_are_asked_for(tmp_path):
    """Every seventh product has the same vector, that of the query: more than any margin."""
    rng = np.random.default_rng(0)
    names = rng.permutation([f"p{number:03}" for number in range(400)]).tolist()
    rows = unit(400, 8)
    rows[::7] = rows[0]
    store = LiteStore(tmp_path / "milvus")
    store.create(KEY, Vectors(names, rows), [Item(name, "", 1.0, {}) for name in names])
    collection = store.open(KEY, tmp_path / "private")
    queries = np.concatenate([rows[:1], unit(3, 8, seed=1)])
    longest = collection.search(queries, 400)
    equal = sorted(names[::7])
    assert [id_ for id_, _ in longest[0][: len(equal)]] == equal
    assert all(hits == sorted(hits, key=lambda hit: (-hit[1], hit[0])) for hits in longest)
    for k in (1, 2, 10, 49, 57, 58, 59, 200):
        assert collection.search(queries, k) == [hits[:k] for hits in longest]
        (alone,) = collection.search(queries[:1], k)
        assert [id_ for id_, _ in alone] == [id_ for id_, _ in longest[0][:k]]
        # Some processors sum the products of one query otherwise than those of four.
        expected = [score for _, score in longest[0][:k]]
        assert [score for _, score in alone] == pytest.approx(expected, abs=2e-6)
    collection.close()


@pytest.mark.parametrize("code", [*range(32), 127, 133, 0xAD, 0x2028, 0xD800, 0xFFFF])
def test_a_condition_with_any_character_matches_nothing_and_does_not_fail(collection, code):
    text = f"a{chr(code)}b"
    for filter_ in (Filter(categories=(text,)), Filter(attributes=((text, (text,)),))):
        assert collection.search(unit(1, 16), 5, filter_) == [[]]
    if code != 0xD800:  # half a character, which JSON can carry and UTF-8 cannot
        assert collection.read_back([text]).ids == []


@pytest.mark.parametrize("text", ["a\t\r\n'\"\\b", "\u2028", "a\uffffb", "😀", "\U0010ffff"])
def test_a_product_with_any_storable_character_is_found_by_it(tmp_path, text):
    store = LiteStore(tmp_path / "milvus")
    store.create(KEY, Vectors([text], unit(1, 8)), [Item(text, text, 1.0, {text: text})])
    collection = store.open(KEY, tmp_path / "private")
    for filter_ in (Filter(categories=(text,)), Filter(attributes=((text, (text,)),))):
        assert collection.search(unit(1, 8), 5, filter_)[0][0][0] == text
    collection.close()


def test_it_verifies_and_notices_what_differs(collection, vectors):
    verify(collection, vectors)
    bent = vectors.vectors.copy()
    bent[5, 0] += 1e-6
    with pytest.raises(ValueError, match="other vectors"):
        verify(collection, Vectors(vectors.ids, bent))
    with pytest.raises(ValueError, match="got 300 products, expected the 299"):
        verify(collection, Vectors(vectors.ids[:-1], vectors.vectors[:-1]))
    with pytest.raises(ValueError, match=r"expected the 300 written \(missing: \['other'\]\)"):
        verify(collection, Vectors([*vectors.ids[:-1], "other"], vectors.vectors))


def test_products_with_equal_vectors_are_no_fault(tmp_path):
    vectors = Vectors([f"p{n}" for n in range(40)], np.repeat(unit(2, 8), 20, axis=0))
    store = LiteStore(tmp_path)
    store.create(KEY, vectors, [Item(id_, "", 1.0, {}) for id_ in vectors.ids])
    assert store.list_keys() == {KEY}


def test_two_can_have_it_open_and_it_may_be_dropped_meanwhile(tmp_path, vectors, items):
    store = LiteStore(tmp_path / "milvus")
    store.create(KEY, vectors, items)
    one, two = (store.open(KEY, tmp_path / name) for name in ("one", "two"))
    store.drop(KEY)
    store.drop(KEY)
    assert store.list_keys() == set()
    assert [*(tmp_path / "milvus").iterdir()] == []
    for collection in (one, two):
        assert len(collection.search(vectors.vectors[:1], 3)[0]) == 3
        collection.close()
    with pytest.raises(FileNotFoundError, match="kindred promote"):
        store.open(KEY, tmp_path / "three")


def test_making_it_again_leaves_it_as_it_is(store, vectors, items):
    before = {path: path.stat().st_mtime_ns for path in store._root.rglob("*") if path.is_file()}
    store.create(KEY, vectors, items)
    assert before == {p: p.stat().st_mtime_ns for p in store._root.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    ("items", "fault"),
    [
        ([Item("a", "", 1.0, {})], "differing: \\['b'\\]"),
        ([Item("a", "", 1.0, {}), Item("c", "", 1.0, {})], "differing: \\['b', 'c'\\]"),
        ([Item("a", "", 1.0, {}), Item("b", "x" * 5000, 1.0, {})], "has 5000 bytes in UTF-8"),
        ([Item("a", "", 1.0, {}), Item("b", "c\x01", 1.0, {})], "control character U\\+0001"),
        ([Item("a", "", 1.0, {}), Item("b", "", 1.0, {"n": "\x7f"})], "character U\\+007F"),
    ],
)
def test_products_that_do_not_fit_leave_nothing(tmp_path, items, fault):
    store = LiteStore(tmp_path)
    with pytest.raises(ValueError, match=fault):
        store.create(KEY, Vectors(["a", "b"], unit(2, 4)), items)
    assert [*tmp_path.iterdir()] == []


def test_who_is_killed_while_making_it_leaves_no_collection(tmp_path):
    code = f"""
import os, signal
import retrieval.index.store as module
import numpy as np
from retrieval.index.collection import Item
from retrieval.storage.vectors import Vectors
module.verify = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
module.LiteStore(module.Path({str(tmp_path)!r})).create(
    {KEY!r}, Vectors(["a"], np.eye(1, 4, dtype=np.float32)), [Item("a", "", 1.0, {{}})])
"""
    killed = subprocess.run([sys.executable, "-c", code], check=False)
    assert killed.returncode == -9
    store = LiteStore(tmp_path)
    assert store.list_keys() == set()
    store.create(KEY, Vectors(["a"], unit(1, 4)), [Item("a", "", 1.0, {})])
    assert store.list_keys() == {KEY}


def test_a_server_that_does_not_answer_is_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        free_port = taken.getsockname()[1]
    store = open_store(f"http://127.0.0.1:{free_port}")
    with pytest.raises(ConnectionError, match=f"127.0.0.1:{free_port}.*check MILVUS_URI"):
        store.list_keys()


def test_the_address_is_the_variables_or_a_folder(monkeypatch):
    monkeypatch.delenv("MILVUS_URI", raising=False)
    assert default_uri() == "var/milvus"
    monkeypatch.setenv("MILVUS_URI", "http://milvus:19530")
    assert default_uri() == "http://milvus:19530"


def test_names_are_such_as_milvus_takes():
    keys = {collection_key(d * 64, model) for d, model in product("ab", ("student", "base"))}
    assert len(keys) == 4
    assert all(key.isidentifier() for key in keys)


def test_lite_is_not_pinged(store, tmp_path, monkeypatch):
    """Its server answers pings with "too_many_pings" on standard error, after two idle minutes."""
    import grpc

    opened, connect = [], grpc.insecure_channel
    monkeypatch.setattr(
        grpc,
        "insecure_channel",
        lambda address, options=(), **more: (
            opened.append(dict(options)) or connect(address, options=options, **more)
        ),
    )
    store.open(KEY, tmp_path / "private").close()
    assert opened
    for options in opened:
        assert options["grpc.keepalive_time_ms"] == 2**31 - 1  # gRPC's word for never
        assert not options["grpc.keepalive_permit_without_calls"]


@pytest.mark.slow
def test_lite_says_nothing_while_it_is_idle(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from retrieval.index import store\n"
        "client = store._open_lite(Path(sys.argv[1]))\n"
        "client.list_collections(); time.sleep(170); client.list_collections()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "idle.db")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "too_many_pings" not in done.stderr
