"""The Python clients and `kindred concepts`, against the application on a port of its own."""

import asyncio
import json
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest

from services.cli import main
from services.client import AsyncClient, Client, ServiceError
from tests.services.scripted_service import Service
from tests.services.tiny_engine import photo


@pytest.fixture
def engine(tiny_engine):
    return tiny_engine


@pytest.fixture
def address(live, monkeypatch):
    with Service(live) as service:
        monkeypatch.setenv("KINDRED_URL", service.address)
        yield service.address


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / f"{colour}.jpg" for colour in ("red", "darkred")]
    for path in paths:
        path.write_bytes(photo(path.stem))
    return paths


def test_three_lines_teach_find_and_forget(address, files, tower):
    with Client(address) as client:
        client.teach("my mug", "mug", [*files, files[0].read_bytes()])
        assert client.search("{my mug} on a beach").concepts == ["my mug"]
        client.forget("my mug")
        assert client.concepts() == []
        vectors = client.embed(["a mug", "a hat"])
        expected = tower.encoder.encode_texts(["a mug", "a hat"])
        np.testing.assert_allclose(vectors, expected, atol=1e-5)
        assert client.model()["version"] == "3"


def test_the_twin_for_asyncio_has_the_same_calls(address, files):
    async def scenario():
        async with AsyncClient(address) as client:
            await client.teach("a b", "mug", files)
            await client.add_photos("a b", files[:1])
            concept = await client.concept("a b")
            found = await client.search("{a b}", k=1)
            picture = await client.image(concept.photos[2])
            (listed,) = await client.concepts()
            await client.forget("a b")
            return concept, listed, found, picture, await client.concepts()

    concept, listed, found, picture, left = asyncio.run(scenario())
    assert concept == listed
    assert len(concept.photos) == 3
    assert picture.startswith(b"\xff\xd8")
    assert (found.concepts, left) == (["a b"], [])
    public = {name for name in vars(Client) if not name.startswith("_")}
    assert public == {name for name in vars(AsyncClient) if not name.startswith("_")}
    assert Client.teach.__doc__ == AsyncClient.teach.__doc__


@pytest.mark.parametrize("name", ["none", "50% ?#&", "ü"])
def test_what_the_service_refuses_is_an_error_with_its_words(address, files, name):
    with Client(address) as client:
        for call in (client.concept, client.forget):
            with pytest.raises(ServiceError) as raised:
                call(name)
            assert raised.value.status == 404
        with pytest.raises(ServiceError, match="is not a picture"):
            client.teach("mug", "mug", [b"no picture"])
        with pytest.raises(FileNotFoundError):
            client.teach("mug", "mug", [files[0].with_name("none.jpg")])
        assert client.concepts() == []


def test_a_key_goes_along(monkeypatch):
    monkeypatch.delenv("KINDRED_KEY", raising=False)
    url = "http://127.0.0.1:9"
    assert "authorization" not in Client(url)._http.headers
    assert Client(url, key="abc")._http.headers["authorization"] == "Bearer abc"
    monkeypatch.setenv("KINDRED_KEY", "def")
    assert Client(url)._http.headers["authorization"] == "Bearer def"
    assert AsyncClient(url, key="abc")._http.headers["authorization"] == "Bearer abc"


def test_no_answer_is_told_by_both(monkeypatch):
    with pytest.raises(ConnectionError, match=r"no answer from http://127\.0\.0\.1:9 "):
        Client("http://127.0.0.1:9").model()

    async def ask():
        async with AsyncClient("http://127.0.0.1:9") as client:
            await client.model()

    with pytest.raises(ConnectionError, match=r"no answer from http://127\.0\.0\.1:9 "):
        asyncio.run(ask())


def test_the_verbs_teach_list_show_search_and_forget(address, files, capsys):
    def say(*arguments):
        assert main(["concepts", *arguments]) == 0
        return capsys.readouterr().out

    paths = [str(path) for path in files]
    assert "add NAME --noun NOUN" in say("list")
    assert say("add", "my mug", "--noun", "mug", *paths).startswith("{my mug} can be used")
    _, row = say("list").splitlines()
    assert row.split()[:4] == ["my", "mug", "mug", "2"]
    shown = json.loads(say("show", "my mug", "--json"))
    assert (shown["noun"], len(shown["photos"])) == ("mug", 2)
    assert json.loads(say("list", "--json"))["concepts"] == [shown]
    assert shown["photos"][0] in say("show", "my mug")
    assert main(["search", "{my mug} on a beach", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["hits"][0]["product_id"] == "p1"
    assert "forgotten" in say("rm", "my mug")
    one = json.loads(say("add", "x", "--noun", "mug", paths[0], "--json"))
    assert "one photo only" in one["warnings"][0]
    assert urlsplit(one["photos"][0]).path == "/v1/concepts/x/photos/1"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["add", "mug", "--noun", "mug", "none.jpg"], "got none.jpg, which cannot be read"),
        (["add", "mug", "--noun", "mug"], "Missing argument 'PHOTO...'"),
        (["add", "mug", "x.jpg"], "Missing option '--noun'"),
        (["show", "mug"], "there is no concept of that name"),
        (["rm", "mug"], "there is no concept of that name"),
        (["learn"], "expected one of add, list, show, rm"),
    ],
)
def test_what_the_verbs_refuse_is_one_line(address, arguments, said, capsys):
    assert main(["concepts", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


@pytest.mark.parametrize("broken", [1, 2])
@pytest.mark.parametrize("error", [httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError])
def test_what_broke_off_is_asked_again_once_unless_it_changes_something(broken, error):
    asked = []

    def answer(request):
        asked.append(request.url.path)
        if len(asked) <= broken:
            msg = "Server disconnected"
            raise error(msg, request=request)
        return httpx.Response(200, json={"version": "3"})

    client = Client("http://127.0.0.1:9")
    client._http = httpx.Client(base_url="http://x", transport=httpx.MockTransport(answer))
    if broken == 1:
        assert client.model() == {"version": "3"}
    else:
        with pytest.raises(ConnectionError, match="Server disconnected"):
            client.model()
    assert asked == ["/v1/model"] * 2
    asked.clear()
    with pytest.raises(ConnectionError):
        client.forget("mug")
    assert asked == ["/v1/concepts/mug"]
