"""The application over a version that the test scripts: no model, no database."""

import dataclasses
import math
from functools import partial

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient

from registry.bundle import HeldOutQuery, Product
from services.app import create_app
from services.drift import DriftWatch
from services.explanation import Why
from services.live import Live
from services.model_description import example_texts
from services.queries import Found, UnknownProductError, Vectors
from services.store.database import open_database


def make_product(number, **changes):
    row = {
        "product_id": f"p{number}",
        "title": f"Mug {number}",
        "caption": "a mug",
        "category": "kitchen" if number % 2 else "garden",
        "price": math.nan if number == 0 else 10.0 * number,
        "attributes": {"kind": "mug"},
        "image_sha256": "0" * 64,
        "split": "test",
        "thumbnail": b"\xff\xd8picture of %d" % number,
    }
    return Product(**{**row, **changes})


class FakeBundle:
    def __init__(self, lineage):
        self.lineage = lineage

    def read_text_vectors(self, texts):
        return None

    def read_queries(self):
        texts = ["short", "a present for an aunt who keeps the borders in bloom", "x" * 200]
        return [HeldOutQuery(str(at), text, "p1") for at, text in enumerate(texts)]


class FakeTokenizer:
    """Knows all words but umbrellas."""

    context_length = 16

    def encode(self, text):
        return [len(word) for word in text.split() if word != "☂"]


class FakeEncoder:
    """Sees nothing but the first pixel's colour."""

    tokenize = FakeTokenizer()

    def pixels(self, image):
        return torch.tensor(np.array(image)[0, 0]).reshape(3, 1, 1)

    def encode_pixels(self, pixels_N3SS):
        return pixels_N3SS.reshape(-1, 3).numpy() / 255


class FakeEngine:
    """Finds the products in their order; fails for a query that says so."""

    def __init__(self, version, lineage, products, private):
        self.version, self.bundle, self.private = version, FakeBundle(lineage), private
        self.drift = DriftWatch(self.bundle)
        self.products = {product.product_id: product for product in products}
        self.encoder = FakeEncoder()
        self.asked, self.closed = [], False

    def search(self, queries):
        self.asked += queries
        if any(query.text == "boom" for query in queries):
            msg = "the model fell over"
            raise RuntimeError(msg)
        for query in queries:
            if query.like is not None and query.like not in self.products:
                raise UnknownProductError(query.like)
        scored = [(product, 0.5) for product in self.products.values()]
        lost = ("The model does not know these words: ☂.",)
        return [
            Found(self.version, scored[: query.k], lost if "☂" in query.text else ())
            for query in queries
        ]

    def embed(self, requests):
        lengths = [[len(text) % 4 for text in texts] for texts in requests]
        return [Vectors(self.version, np.eye(4, dtype=np.float32)[row]) for row in lengths]

    def explain(self, query, found):
        wish = [(f"like {query.text}", 0.25)]
        return [Why([("mugs", score)], [], wish) for _, score in found.hits]

    def close(self):
        self.closed = True


@pytest.fixture
def engine(version, bundle, tmp_path):
    products = [make_product(number) for number in range(5)]
    return FakeEngine(version, bundle.lineage, products, tmp_path / "private")


@pytest.fixture
def live(engine, monkeypatch):
    live = Live("kindred", "champion")
    live._engine = engine
    monkeypatch.setattr(live, "_find_wanted", lambda: engine.version)
    return live


@pytest.fixture
def client(live, tmp_path):
    database = partial(open_database, f"sqlite:///{tmp_path}/kindred.db")
    with TestClient(create_app(live, database), raise_server_exceptions=False) as client:
        yield client


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


def test_a_picture_is_kept_by_its_version_and_asked_for_again_without(client, version):
    lasting = client.get(f"/images/p3?v={version.digest[:16]}")
    assert lasting.content == b"\xff\xd8picture of 3"
    assert lasting.headers["content-type"] == "image/jpeg"
    assert "immutable" in lasting.headers["cache-control"]
    assert client.get("/images/p3").headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("name", ["a/b c?.jpg", "ünï", "50% off", "a#b"])
def test_hits_of_any_name_have_a_picture_at_their_address(client, engine, name):
    engine.products = {name: make_product(1, product_id=name)}
    hit = client.post("/v1/search", json={"query": "x"}).json()["hits"][0]
    assert client.get(hit["image_url"]).content == b"\xff\xd8picture of 1"


@pytest.mark.parametrize("path", ["/images/p3", "/v1/model", "/", "/page/icon.svg", "/none"])
def test_head_is_get_without_a_body(client, path):
    get, head = client.get(path), client.head(path)
    assert head.status_code == get.status_code
    assert head.content == b""
    varying = {"date", "x-request-id"} | ({"content-length"} if path == "/v1/model" else set())
    assert {n: v for n, v in head.headers.items() if n not in varying} == {
        n: v for n, v in get.headers.items() if n not in varying
    }


def test_a_picture_that_is_known_is_not_sent_again(client):
    first = client.get("/images/p3")
    tag = first.headers["etag"]
    assert client.get("/images/p4").headers["etag"] != tag
    for known in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        again = client.get("/images/p3", headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
        assert again.headers["cache-control"] == first.headers["cache-control"]
    assert client.get("/images/p3", headers={"If-None-Match": '"x"'}).content == first.content


WHOLE = b"\xff\xd8picture of 3"  # 14 bytes


@pytest.mark.parametrize(
    ("asked", "status", "content", "where"),
    [
        ("bytes=0-1", 206, WHOLE[:2], "bytes 0-1/14"),
        ("bytes=2-", 206, WHOLE[2:], "bytes 2-13/14"),
        ("bytes=-3", 206, WHOLE[-3:], "bytes 11-13/14"),
        ("bytes=-99", 206, WHOLE, "bytes 0-13/14"),
        ("bytes=13-99", 206, WHOLE[13:], "bytes 13-13/14"),
        ("bytes=14-", 416, None, "bytes */14"),
        ("bytes=14-20", 416, None, "bytes */14"),
        ("bytes=-0", 416, None, "bytes */14"),
        ("bytes=5-2", 200, WHOLE, None),
        ("bytes=-", 200, WHOLE, None),
        ("bytes=0-1,3-4", 200, WHOLE, None),
        ("lines=0-1", 200, WHOLE, None),
        ("bytes=" + 5000 * "9" + "-", 200, WHOLE, None),
    ],
)
def test_a_part_of_a_picture(client, asked, status, content, where):
    answer = client.get("/images/p3", headers={"Range": asked})
    assert answer.status_code == status
    assert answer.headers.get("content-range") == where
    assert answer.headers["accept-ranges"] == "bytes"
    if content is None:
        assert "the picture has 14 bytes" in answer.json()["detail"]
    else:
        assert answer.content == content


def test_a_part_of_another_picture_is_not_put_to_this_one(client):
    tag = client.get("/images/p3").headers["etag"]
    for condition, status in ((tag, 206), ('"x"', 200)):
        headers = {"Range": "bytes=0-1", "If-Range": condition}
        assert client.get("/images/p3", headers=headers).status_code == status


def test_browsers_find_an_icon_where_they_look(client):
    answer = client.get("/favicon.ico")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/svg+xml")


@pytest.mark.parametrize("text", ["☂", "\u200b\u2060", "\x01\x02", "☂ ☂", "\ufeff"])
def test_of_a_text_that_says_nothing_nothing_is_found(client, engine, text):
    answer = client.post("/v1/search", json={"query": text})
    assert answer.status_code == 422
    assert "knows nothing of this text" in answer.json()["detail"]
    assert engine.asked == []


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
    monkeypatch.setattr(live, "_find_wanted", lambda: newer)
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

    monkeypatch.setattr(live, "_find_wanted", lambda: newer)
    monkeypatch.setattr(live, "_open", cannot)
    client.portal.call(live.follow)
    assert client.post("/v1/search", json={"query": "x"}).json()["model_version"] == "3"
    swap = client.get("/v1/model").json()["swap"]
    assert swap == {"state": "failed", "version": "4", "detail": "weights are damaged"}
    assert not engine.closed


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
