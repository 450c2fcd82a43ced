"""The service's answer to queries with concepts is that of the concepts' own library."""

import asyncio
import dataclasses

import numpy as np
import pytest
from fastapi.testclient import TestClient

from registry.catalogue_index import ensure_collections
from retrieval.compute import PRODUCTS, resolve_precision
from retrieval.concepts.queries import encode_queries
from retrieval.index.collection import Filter
from services.http.app import create_app
from services.search.engine import Engine
from services.search.queries import Query
from services.store.concepts import ConceptStore
from services.store.database import open_database
from tests.services.tiny_engine import photo

QUERIES = [
    ("{mug} and {my fox}", ["mug", "my fox"]),
    ("{mug} on a beach", ["mug"]),
    ("a mug on a beach", []),
    ("in the snow with {my fox}, {mug} and {my fox}", ["my fox", "mug"]),
]


@pytest.fixture
def encoder(tower):
    return tower.encoder


@pytest.fixture
def pictures_ND(tower):
    vectors = np.random.default_rng(0).normal(size=(5, tower.encoder.width))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def engine(bundle, version, tmp_path):
    store = str(tmp_path / "milvus")
    ensure_collections(bundle, store)
    version = dataclasses.replace(version, digest=bundle.digest)
    engine = Engine(version, bundle, tmp_path / "private", store)
    settings = dataclasses.replace(engine.teaching.settings, steps=8)
    engine.teaching = dataclasses.replace(engine.teaching, settings=settings)
    return engine


def test_concepts_add_up_in_a_batch_of_queries_as_in_the_library(
    live, tower, pictures_ND, tmp_path
):
    address = f"sqlite:///{tmp_path}/kindred.db"
    with TestClient(create_app(live, lambda: open_database(address))) as client:
        for name, colour in (("mug", "red"), ("my fox", "orange")):
            files = [("photos", photo(colour))]
            taught = {"name": name, "noun": name.split()[-1]}
            assert client.post("/v1/concepts", data=taught, files=files).status_code == 201
        live._thread.run(lambda: asyncio.run(asyncio.sleep(0.3)))  # so that they meet in a batch
        searches = [{"query": text, "k": 5} for text, _ in QUERIES]
        answers = client.portal.call(_ask_together, client.app, searches)
        known = ConceptStore(open_database(address)).learned(
            "local", ["mug", "my fox"], live.engine.version.digest
        )
    rows = [[known[name][1] for name in names] for _, names in QUERIES]
    expected_QD = encode_queries(tower, [text for text, _ in QUERIES], rows)
    plain_QD = encode_queries(tower, ["sks mug and sks fox"], [[]])
    assert np.abs(expected_QD[0] - plain_QD[0]).max() > 1e-3
    for answer, (_, names), vector_D in zip(answers, QUERIES, expected_QD, strict=True):
        assert answer["concepts"] == names
        scores = {hit["product_id"]: hit["score"] for hit in answer["hits"]}
        expected = pictures_ND @ vector_D
        assert [scores[f"p{at}"] for at in range(5)] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("precision", ["bf16", "auto"])
def test_texts_are_read_in_the_precision_that_is_asked_for(
    engine, bundle, tower, pictures_ND, tmp_path, precision
):
    rounding = Engine(
        engine.version, bundle, tmp_path / "bf16", str(tmp_path / "milvus"), precision
    )
    in_bfloat16 = resolve_precision(precision, "cpu", PRODUCTS) == "bf16"
    (found,) = rounding.search([Query("a red mug on a beach", 5, Filter(), "champion")])
    (exact,) = engine.search([Query("a red mug on a beach", 5, Filter(), "champion")])
    apart = np.abs(found.vector_D - exact.vector_D).max()
    assert (1e-5 < apart < 1e-2) if in_bfloat16 else apart == 0
    assert rounding.tower.digest == engine.tower.digest  # so concepts go on to count
    rounding.close()
    engine.close()


def test_of_a_text_that_says_nothing_nothing_is_looked_for_beside_one_that_does(live):
    none, some, words = live.engine.search(
        [
            Query("☂", 5, Filter(), "champion"),
            Query("a red mug ☂", 5, Filter(), "champion"),
            Query("☂", 5, Filter(), "champion", mode="keyword"),
        ]
    )
    assert none.refusal.startswith("the model knows nothing of this text (☂)")
    assert none.hits == []
    assert (some.refusal, words.refusal) == ("", "")
    assert len(some.hits) == 5
    live.engine.close()


async def _ask_together(app, searches):
    import httpx

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        asked = [client.post("/v1/search", json=search) for search in searches]
        return [answer.json() for answer in await asyncio.gather(*asked)]
