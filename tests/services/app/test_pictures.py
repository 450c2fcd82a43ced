"""Products' pictures over HTTP: kept, asked for again, in part, and by HEAD."""

import pytest

from tests.services.fake_engine import make_product


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
