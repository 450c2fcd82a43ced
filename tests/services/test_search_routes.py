"""`/v1/search` with all that can be wanted, `/v1/search/image`, and the client."""

import io
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from services.client import Client, ServiceError


@pytest.fixture
def engine(fake_engine):
    return fake_engine


def test_everything_that_can_be_wanted_reaches_the_engine(client, engine):
    conditions = {"attributes": {"kind": ["mug", "cup", "mug"], "hue": "red"}, "exclude": ["p2"]}
    wanted = {"k": 200, "offset": 800, "mode": "hybrid", "diversify": 1}
    answer = client.post("/v1/search", json={"query": "x", "filter": conditions, **wanted})
    assert answer.status_code == 200
    (query,) = engine.asked
    assert {name: getattr(query, name) for name in wanted} == wanted
    assert query.filter_.attributes == (("hue", ("red",)), ("kind", ("cup", "mug")))
    assert query.filter_.exclude == ("p2",)


def test_a_product_can_be_in_the_querys_place(client, engine):
    assert client.post("/v1/search", json={"like": "p3", "k": 2}).status_code == 200
    assert [(query.like, query.text) for query in engine.asked] == [("p3", "")]
    answer = client.post("/v1/search", json={"like": "p9"})
    assert answer.status_code == 404
    assert "p9" in answer.json()["detail"]


def encoded(form, colour=(10, 200, 30), size=(40, 30)):
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, form)
    return file.getvalue()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "HEIF"])
def test_a_search_by_a_picture(client, engine, form):
    pillow_heif.register_heif_opener()
    content = {"k": 3, "filter": {"category": ["kitchen"]}, "diversify": 0.5}
    files = {"picture": ("mine", encoded(form))}
    answer = client.post("/v1/search/image", files=files, data={"search": json.dumps(content)})
    assert answer.status_code == 200
    body = answer.json()
    assert ([hit["product_id"] for hit in body["hits"]], body["concepts"]) == (
        ["p0", "p1", "p2"],
        [],
    )
    (query,) = engine.asked
    assert (query.k, query.filter_.categories, query.diversify) == (3, ("kitchen",), 0.5)
    np.testing.assert_allclose(query.picture.vector(engine.encoder), [0.04, 0.78, 0.12], atol=0.05)
    assert client.post("/v1/search/image", files=files).status_code == 200  # nothing but a picture


BAD_PICTURES = [
    (b"", "picture (mine.jpg) is "),
    (b"no picture", "picture (mine.jpg) is not a picture; expected one of JPEG"),
    (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is not a picture"),
    (encoded("JPEG")[:200], "picture (mine.jpg) is truncated or damaged"),
    (encoded("PNG", size=(4, 40)), "has 4 x 40 pixels, expected 8 at least on each side"),
    (b"x" * 10_000_001, "picture (mine.jpg) has over 10 MB; scale it down"),
]


@pytest.mark.parametrize(("content", "said"), BAD_PICTURES)
def test_what_is_no_picture_is_refused_in_a_sentence(client, engine, content, said):
    answer = client.post("/v1/search/image", files={"picture": ("mine.jpg", content)})
    assert answer.status_code == 422
    assert said in answer.json()["detail"]
    assert engine.asked == []


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ("{", "search"),
        ("[]", "search"),
        ('{"k": 0}', "search.k"),
        ('{"query": "mug"}', "search.query"),
        ('{"mode": "keyword"}', 'got mode "keyword" with a picture, which has no words'),
    ],
)
def test_wrong_wishes_beside_a_picture_are_named(client, engine, search, said):
    files = {"picture": ("mine", encoded("PNG"))}
    answer = client.post("/v1/search/image", files=files, data={"search": search})
    assert answer.status_code == 422
    assert said in answer.json()["detail"]
    assert client.post("/v1/search/image", data={"search": "{}"}).status_code == 422
    assert engine.asked == []


def test_texts_do_not_wait_for_pictures(client, engine, monkeypatch):
    """While a picture is looked at, a text is answered."""
    looking, enough = threading.Event(), threading.Event()

    def stare(pixels_N3SS):
        looking.set()
        assert enough.wait(10)
        return np.ones((len(pixels_N3SS), 3), dtype=np.float32)

    monkeypatch.setattr(engine.encoder, "encode_pixels", stare, raising=False)
    with ThreadPoolExecutor(1) as other:
        files = {"picture": ("mine", encoded("PNG"))}
        waiting = other.submit(client.post, "/v1/search/image", files=files)
        assert looking.wait(10)
        assert client.post("/v1/search", json={"query": "x"}).status_code == 200
        enough.set()
        assert waiting.result(10).status_code == 200
    assert [query.text for query in engine.asked] == ["x", ""]


@pytest.fixture
def python(client):
    """The Python client, whose requests the application answers."""
    mine = Client()
    mine._http.close()
    mine._http = client
    return mine


def test_the_python_client_asks_for_all_that_there_is(python, engine, tmp_path):
    python.search("x", 5, {"category": ["kitchen"]}, offset=10, mode="hybrid", diversify=0.5)
    python.search(like="p1", model="base")
    (tmp_path / "mine.png").write_bytes(encoded("PNG"))
    for picture in (tmp_path / "mine.png", str(tmp_path / "mine.png"), encoded("PNG")):
        found = python.search_image(picture, 2, {"exclude": ["p4"]})
        assert [hit.product_id for hit in found.hits] == ["p0", "p1"]
    words, like, *seen = engine.asked
    assert (words.text, words.k, words.offset, words.mode) == ("x", 5, 10, "hybrid")
    assert (words.diversify, words.filter_.categories) == (0.5, ("kitchen",))
    assert (like.like, like.model) == ("p1", "base")
    assert [(one.k, one.filter_.exclude) for one in seen] == [(2, ("p4",))] * 3
    with pytest.raises(ServiceError, match="p9"):
        python.search(like="p9")
    with pytest.raises(ServiceError, match="is not a picture"):
        python.search_image(b"nothing")
    for wrong in ({}, {"query": "x", "like": "p1"}, {"query": "x", "mode": "words"}):
        with pytest.raises(ValueError, match="validation error"):
            python.search(**wrong)
