"""What the benchmark counts, by hand, and a whole run on four products."""

from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.search_modes import Asked, distinct, kind_of, measure
from registry.bundle import HeldOutQuery, Product
from retrieval.storage.vectors import Vectors


def product(number, kind, caption):
    attributes = {"kind": kind} if kind else {}
    return Product(f"p{number}", kind, caption, "things", 1.0, attributes, "", "test", b"")


PRODUCTS = [
    product(0, "mug", "a blue mug"),
    product(1, "mug", "a red mug"),
    product(2, "spade", "a spade"),
    product(3, "lamp", "a lamp"),
]


def ranked(*ids):
    return [(id_, 1.0) for id_ in ids]


def test_what_is_behind_the_tenth_is_not_found():
    asked = Asked(["a", "b", "c"], np.eye(3, dtype=np.float32), [{"x"}, {"x", "y"}, {"z"}])
    late = ranked(*"abcdefghij", "x")
    assert asked.recall([late, ranked("a", "y"), []]) == pytest.approx(1 / 3)


def test_kinds_are_counted_among_the_first_ten():
    kind = kind_of(PRODUCTS)
    lists = [ranked("p0", "p1"), ranked("p0", "p2", "p3", "p1")]
    assert distinct(lists, kind) == pytest.approx((1 / 2 + 3 / 4) / 2)
    assert kind_of([*PRODUCTS, product(4, "", "a thing")])("p2") == "things"


def test_a_run_prints_each_mode_and_each_strength(capsys):
    ids = [one.product_id for one in PRODUCTS]
    person = HeldOutQuery("ann", "somebody who digs with a spade", "p2")
    bundle = SimpleNamespace(
        read_products=lambda: [*PRODUCTS, product(9, "mug", "not held out")][:4],
        read_queries=lambda: [person],
        read_vectors=lambda model: Vectors(ids, np.eye(4, dtype=np.float32)),
        read_text_vectors=lambda texts: {
            "queries": Vectors(["ann"], np.eye(4, dtype=np.float32)[[2]]),
            "captions": Vectors(ids, np.eye(4, dtype=np.float32)),
        }[texts],
    )
    measure(bundle)
    lines = capsys.readouterr().out.splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if "%" in line]
    assert rows[0] == ["student", "vector", "100.0 %", "100.0 %", "75.0 %"]
    assert rows[1] == ["student", "keyword", "100.0 %", "100.0 %", "100.0 %"]
    assert len(rows) == 2 * (3 + 9)
