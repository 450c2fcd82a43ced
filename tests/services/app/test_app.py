"""The application over a version that the test scripts: no model, no database."""

import dataclasses
import errno
import os
import shutil
import sqlite3

import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlalchemy.exc import OperationalError

from registry.bundle import HeldOutQuery
from services.http.app import create_app
from services.http.model_description import example_texts
from services.search.live import PRIVATE
from tests.services.fake_engine import FakeEngine, make_product


def test_a_search_gives_hits_with_everything_that_a_page_shows(client, version):
    answer = client.post("/v1/search", json={"query": " mugs ", "k": 2})
    assert answer.status_code == 200
    body = answer.json()
    assert body["model_version"] == str(version.number)
    assert body["bundle_sha256"] == version.digest
    assert body["model"] == "champion"
    assert body["took_ms"] >= 0
    assert body["hits"][0] == {
        "product_id": "p0",
        "title": "Mug 0",
        "category": "garden",
        "price": None,
        "score": 0.5,
        "image_url": f"/images/p0?v={version.digest[:16]}",
        "why": None,
    }
    assert [hit["price"] for hit in body["hits"]] == [None, 10.0]


def test_what_the_model_cannot_read_of_a_query_is_in_the_answer(client):
    known, unknown = (
        client.post("/v1/search", json={"query": text}).json() for text in ("a mug", "a ☂ mug")
    )
    assert known["warnings"] == []
    assert unknown["warnings"] == ["The model does not know these words: ☂."]


def test_the_query_and_its_conditions_reach_the_engine(client, engine):
    conditions = {"category": ["b", "a", "b"], "price": {"lte": 30}, "attributes": {"kind": "mug"}}
    client.post("/v1/search", json={"query": "x", "filter": conditions, "model": "base"})
    (query,) = engine.asked
    assert (query.text, query.k, query.model) == ("x", 10, "base")
    assert query.filter_.categories == ("a", "b")
    assert (query.filter_.price_gte, query.filter_.price_lte) == (None, 30)
    assert query.filter_.attributes == (("kind", ("mug",)),)


@pytest.mark.parametrize("text", ["☂", "\u200b\u2060", "\x01\x02", "☂ ☂", "\ufeff"])
def test_of_a_text_that_says_nothing_nothing_is_found(client, text):
    answer = client.post("/v1/search", json={"query": text})
    assert answer.status_code == 422
    assert "knows nothing of this text" in answer.json()["detail"]


@pytest.mark.parametrize("count", [1, 2, 16, 17, 256])
def test_vectors_come_in_the_texts_order(client, count):
    texts = ["x" * (1 + at % 3) for at in range(count)]
    body = client.post("/v1/embed", json={"texts": texts}).json()
    assert body["vectors"] == np.eye(4)[[len(text) for text in texts]].tolist()


def test_the_model_is_described(client, version):
    body = client.get("/v1/model").json()
    assert (body["name"], body["version"], body["follows"]) == ("kindred", "3", "champion")
    assert body["metrics"] == version.metrics
    assert body["lineage"]["teacher"] == {"kind": "simulated"}
    assert "account" not in body["lineage"]  # what the teacher cost
    assert body["catalogue"] == {
        "products": 5,
        "categories": [{"name": "garden", "count": 3}, {"name": "kitchen", "count": 2}],
        "price": {"min": 10.0, "max": 40.0},
    }
    assert body["examples"] == ["a present for an aunt who keeps the borders in bloom"]
    assert body["swap"]["state"] == "idle"


def test_without_a_text_of_fitting_length_examples_are_what_there_is(engine):
    engine.bundle.read_queries = lambda: [HeldOutQuery("a", "tiny", "p1")] * 9
    assert example_texts(engine.bundle) == ["tiny"] * 6


BAD = [
    ({}, "got neither of query and like, expected one of them"),
    ({"query": "   "}, "query"),
    ({"query": "x" * 1001}, "query"),
    ({"query": "x", "k": 0}, "k"),
    ({"query": "x", "k": 201}, "k"),
    ({"query": "x", "k": "5"}, "k"),
    ({"query": "x", "k": True}, "k"),
    ({"query": "x", "model": "other"}, "model"),
    ({"query": "x", "concepts": []}, "concepts"),
    ({"query": "x", "filter": {"price": {"lte": -1}}}, "price"),
    ({"query": "x", "filter": {"colour": "red"}}, "colour"),
    ({"query": "x", "kk": 3}, "kk"),
    ({"query": "x", "like": "p1"}, "got both of query and like, expected one of them"),
    ({"like": ""}, "like"),
    ({"like": "p1", "mode": "keyword"}, 'got mode "keyword" with like, which has no words'),
    ({"like": "p1", "mode": "hybrid"}, 'got mode "hybrid" with like'),
    ({"query": "x", "mode": "words"}, "mode"),
    ({"query": "x", "offset": 801}, "offset"),
    ({"query": "x", "offset": -1}, "offset"),
    ({"query": "x", "offset": True}, "offset"),
    ({"query": "x", "diversify": 1.1}, "diversify"),
    ({"query": "x", "diversify": "0.5"}, "diversify"),
    ({"query": "x", "filter": {"attributes": {"colour": []}}}, "colour"),
    ({"query": "x", "filter": {"exclude": "p1"}}, "exclude"),
]


@pytest.mark.parametrize(("content", "field"), BAD)
def test_a_wrong_field_is_named(client, engine, content, field):
    answer = client.post("/v1/search", json=content)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert (body["status"], body["type"]) == (422, "about:blank")
    assert field in body["detail"]
    assert engine.asked == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/nothing", 404), ("GET", "/images/none", 404), ("GET", "/v1/search", 405)],
)
def test_every_error_has_the_same_form(client, method, path, status):
    answer = client.request(method, path)
    assert answer.status_code == status == answer.json()["status"]
    assert answer.headers["content-type"] == "application/problem+json"
    assert {"type", "title", "status", "detail"} <= answer.json().keys()


def test_what_breaks_in_the_engine_is_a_problem_without_its_secrets(client):
    answer = client.post("/v1/search", json={"query": "boom"})
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "fell over" not in answer.text
    assert client.post("/v1/search", json={"query": "fine"}).status_code == 200


def test_nothing_may_be_loaded_from_elsewhere(client):
    for path in ("/", "/v1/model", "/v1/nothing"):
        assert "default-src 'self'" in client.get(path).headers["content-security-policy"]


def test_a_new_champion_is_swapped_in_and_the_old_pictures_stay(
    client, live, engine, monkeypatch, tmp_path
):
    newer = dataclasses.replace(engine.version, number=4, digest="e" * 64)
    follower = FakeEngine(newer, engine.bundle.lineage, [make_product(7)], tmp_path / "other")
    live.source.version = newer
    monkeypatch.setattr(live, "_open", lambda version: follower)
    client.portal.call(live.follow)
    body = client.post("/v1/search", json={"query": "x"}).json()
    assert (body["model_version"], body["bundle_sha256"]) == ("4", "e" * 64)
    assert [hit["product_id"] for hit in body["hits"]] == ["p7"]
    assert client.get("/images/p3").status_code == 200
    assert engine.closed
    assert client.get("/v1/model").json()["swap"]["state"] == "idle"


def test_a_champion_that_cannot_be_opened_leaves_the_old_one_serving(
    client, live, engine, monkeypatch
):
    newer = dataclasses.replace(engine.version, number=4, digest="e" * 64)

    def cannot(version):
        msg = "weights are damaged"
        raise ValueError(msg)

    live.source.version = newer
    monkeypatch.setattr(live, "_open", cannot)
    client.portal.call(live.follow)
    assert client.post("/v1/search", json={"query": "x"}).json()["model_version"] == "3"
    swap = client.get("/v1/model").json()["swap"]
    assert swap == {"state": "failed", "version": "4", "detail": "weights are damaged"}
    assert not engine.closed


def test_a_champion_without_room_leaves_the_old_one_serving_and_nothing_behind(
    client, live, engine, monkeypatch
):
    def full(*_, **__):
        raise shutil.Error([("var/milvus/x", "var/serve/x", os.strerror(errno.ENOSPC))])

    live.source.version = dataclasses.replace(engine.version, number=4, digest="e" * 64)
    monkeypatch.setattr("registry.catalogue_index.ensure_collections", lambda _: None)
    monkeypatch.setattr(live.source, "fetch", lambda _: engine.bundle)
    monkeypatch.setattr("services.search.live.Engine", full)
    before = sorted(PRIVATE.glob("*"))
    client.portal.call(live.follow)
    assert client.post("/v1/search", json={"query": "x"}).json()["model_version"] == "3"
    detail = client.get("/v1/model").json()["swap"]["detail"]
    assert detail == "var/serve/x: the disk is full: make room, and run it again"
    assert sorted(PRIVATE.glob("*")) == before


@pytest.mark.parametrize(("fault", "status"), [("database or disk is full", 507), ("locked", 500)])
def test_what_the_database_has_no_room_for_is_said_with_its_remedy(
    client, monkeypatch, fault, status
):
    def refuse(*_):
        raise OperationalError("INSERT", {}, sqlite3.OperationalError(fault))

    monkeypatch.setattr("services.store.concepts.ConceptStore.list_all", refuse)
    answer = client.get("/v1/concepts")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    remedy = "nothing was stored: the disk is full: make room, and run it again"
    assert (answer.json()["detail"] == remedy) == (status == 507)


def test_when_the_service_ends_everything_is_let_go(live, engine):
    engine.private.mkdir()
    with TestClient(create_app(live)):
        pass
    assert engine.closed
    assert not engine.private.exists()


@pytest.mark.parametrize(
    "content",
    [{"filter": {"price": {"lte": "30"}}}, {"filter": {"price": {"gte": True}}}],
)
def test_a_word_is_no_number(live, content):
    with TestClient(create_app(live)) as client:
        assert client.post("/v1/search", json={"query": "mug", **content}).status_code == 422
        whole = {"query": "mug", "filter": {"price": {"lte": 30}}}
        assert client.post("/v1/search", json=whole).status_code == 200
