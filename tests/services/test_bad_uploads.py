"""Whatever is uploaded as a picture: a sentence, or a clean picture; never an error of the service.

A call that takes pictures joins by an entry in `CALLS`.
"""

import io

import pytest
from PIL import Image

from services.search.teaching import stored_photo
from tests.services import bad_uploads
from tests.services.tiny_engine import photo


def teach(client, content):
    files = [("photos", ("a.jpg", content, "image/jpeg"))]
    return client.post("/v1/concepts", data={"name": "mug", "noun": "mug"}, files=files)


def replace(client, content):
    files = [("photos", ("a.jpg", content, "image/jpeg"))]
    return client.put("/v1/concepts/mug", data={"noun": "mug"}, files=files)


def add(client, content):
    teach(client, photo())
    return client.post("/v1/concepts/mug/photos", files=[("photos", ("a.jpg", content))])


def search(client, content):
    return client.post("/v1/search/image", files={"picture": ("a.jpg", content, "image/jpeg")})


KEEPING = {"teach": teach, "replace": replace, "add": add}
CALLS = {**KEEPING, "search": search}


@pytest.fixture
def engine(tiny_engine):
    return tiny_engine


def photos_kept(client):
    concepts = client.get("/v1/concepts").json()["concepts"]
    return [client.get(address).content for one in concepts for address in one["photos"]]


@pytest.mark.parametrize("kind", bad_uploads.REFUSED)
@pytest.mark.parametrize("call", CALLS)
def test_what_is_no_photo_is_told_and_nothing_is_kept(client, call, kind):
    content, word = bad_uploads.REFUSED[kind]
    answer = CALLS[call](client, content)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert word in answer.json()["detail"]
    assert len(photos_kept(client)) == (call == "add")


@pytest.mark.parametrize("kind", bad_uploads.CLEANED)
@pytest.mark.parametrize("call", KEEPING)
def test_of_what_is_more_than_a_photo_the_photo_is_kept(client, call, kind):
    assert CALLS[call](client, bad_uploads.CLEANED[kind]).is_success
    kept = photos_kept(client)[-1]
    assert kept.startswith(b"\xff\xd8\xff")
    assert kept.endswith(b"\xff\xd9")
    for telling in (bad_uploads.MARK, b"PK\x03\x04", b"Exif", b"at home", b"\xff\xfe"):
        assert telling not in kept
    picture = Image.open(io.BytesIO(kept))
    assert picture.mode == "RGB"
    assert not picture.getexif()
    assert "comment" not in picture.info


@pytest.mark.parametrize("kind", bad_uploads.CLEANED)
def test_what_is_more_than_a_picture_can_be_searched_by_and_is_not_kept(client, kind):
    assert search(client, bad_uploads.CLEANED[kind]).json()["hits"]
    assert photos_kept(client) == []


@pytest.mark.parametrize(("orientation", "left"), [(1, "red"), (3, "blue"), (6, None), (8, None)])
def test_a_photo_is_kept_upright(orientation, left):
    kept = Image.open(io.BytesIO(stored_photo(bad_uploads.telling(orientation))))
    assert kept.size == ((64, 32) if left else (32, 64))
    ends = [(4, 16), (60, 16)] if left else [(16, 4), (16, 60)]
    first = "red" if kept.getpixel(ends[0])[0] > 200 else "blue"
    assert first == (left or {6: "red", 8: "blue"}[orientation])
    assert (kept.getpixel(ends[1])[2] > 200) == (first == "red")
