"""A version opened for search: five colours in Milvus Lite, an encoder that knows their names."""

import dataclasses

import numpy as np
import pytest

from registry.catalogue_index import ensure_collections
from retrieval.index.collection import Filter
from services.engine import Engine
from services.queries import Query


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return str(tmp_path_factory.mktemp("milvus"))


@pytest.fixture
def engine(bundle, version, store, tmp_path):
    ensure_collections(bundle, store)
    version = dataclasses.replace(version, digest=bundle.digest)
    engine = Engine(version, bundle, tmp_path / "private", store)
    yield engine
    engine.close()


def test_queries_of_one_batch_get_their_own_hits(engine):
    anything, mugs = Filter(), Filter(attributes=(("colour", "green"),))
    found = engine.search(
        [
            Query("a white hat", 1, anything, "champion"),
            Query("blue, white and blue", 2, anything, "base"),
            Query("a white hat", 5, mugs, "champion"),
        ]
    )
    assert [[product.product_id for product, _ in one.hits] for one in found] == [
        ["p4"], ["p2", "p4"], ["p1"]
    ]  # fmt: skip
    assert found[1].hits[0][1] == pytest.approx(2 / 5**0.5, abs=1e-5)
    assert {one.version.number for one in found} == {3}


@pytest.mark.parametrize("odd", ["a\x01", "\x00", "a\u2028b", 'a"\\b', "x" * 9000])
def test_a_filter_with_any_characters_finds_nothing_and_does_not_fail(engine, odd):
    for filter_ in (Filter(categories=(odd,)), Filter(attributes=((odd, odd),))):
        (found,) = engine.search([Query("white", 3, filter_, "champion")])
        assert found.hits == []


def test_each_query_of_a_batch_gets_its_own_warnings(engine):
    texts = ["white", " ".join(["white"] * 15), "blue"]
    found = engine.search([Query(text, 1, Filter(), "champion") for text in texts])
    cut = ("The text is cut: it has 17 tokens, and the model reads 16.",)
    assert [one.warnings for one in found] == [(), cut, ()]


def test_each_request_for_vectors_gets_those_of_its_texts(engine):
    some, none, other = engine.embed([["red", "blue"], [], ["white"]])
    np.testing.assert_allclose(some.vectors_ND, np.eye(5)[[0, 2]], atol=1e-5)
    assert none.vectors_ND.shape == (0, 5)
    np.testing.assert_allclose(other.vectors_ND, np.eye(5)[[4]], atol=1e-5)
