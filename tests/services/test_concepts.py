"""Concepts over HTTP: taught by a real, tiny model, kept in a file, used in queries."""

import asyncio
import dataclasses
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest
import torch

from services.search.queries import Query
from services.search.teaching import Taught, TeachingError, learn
from services.sharing.concepts import Concepts
from services.store.concepts import ConceptStore
from services.store.database import open_database
from services.store.tenants import Tenant
from tests.services.fake_engine import make_product
from tests.services.tiny_engine import TinyEngine, photo

RED, DARK, BLUE = photo("red"), photo("darkred"), photo("blue")
WELL = ("photos", ("red.jpg", RED, "image/jpeg"))


@pytest.fixture
def engine(tiny_engine):
    return tiny_engine


def teach(client, name="mug", noun="mug", photos=(RED, DARK), method="POST", path="/v1/concepts"):
    files = [("photos", (f"{at}.jpg", one, "image/jpeg")) for at, one in enumerate(photos)]
    fields = {"name": name, "noun": noun} if path == "/v1/concepts" else {"noun": noun}
    return client.request(method, path, data=fields, files=files)


def names(client):
    return [one["name"] for one in client.get("/v1/concepts").json()["concepts"]]


def refused(answer, status, *words):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    for word in words:
        assert word in answer.json()["detail"]


def test_what_is_taught_can_be_used_at_once(client, engine, version):
    answer = teach(client)
    assert answer.status_code == 201
    body = answer.json()
    assert (body["name"], body["noun"], body["problem"]) == ("mug", "mug", "")
    assert (body["model_version"], body["warnings"]) == (str(version.number), [])
    assert body["took_ms"] > 0
    found = client.post("/v1/search", json={"query": "{mug} on a beach, and no {mug}"})
    assert found.json()["concepts"] == ["mug"]
    (query,) = engine.asked
    assert query.text == "{mug} on a beach, and no {mug}"
    (concept,) = query.concepts
    assert (concept.name, concept.phrase) == ("mug", "sks mug")
    assert concept.b_Rd.abs().max() > 0


def test_what_was_taught_is_listed_and_shown_with_its_photos(client):
    teach(client, "b")
    teach(client, "a")
    assert names(client) == ["b", "a"]
    shown = client.get("/v1/concepts/a").json()
    assert shown["name"] == "a"
    assert len(shown["photos"]) == 2
    photo_ = client.get(shown["photos"][0])
    assert photo_.headers["content-type"] == "image/jpeg"
    assert photo_.headers["cache-control"].startswith("private")
    known = {"If-None-Match": photo_.headers["etag"]}
    assert client.get(shown["photos"][0], headers=known).status_code == 304
    for number, status in ((3, 404), (0, 422), (11, 422), ("x", 422)):
        refused(client.get(f"/v1/concepts/a/photos/{number}"), status)


def test_one_photo_comes_with_a_warning(client):
    (warning,) = teach(client, photos=[RED]).json()["warnings"]
    assert "one photo only" in warning


def test_replacing_takes_the_place(client, engine):
    teach(client)
    before = client.get("/v1/concepts/mug").json()
    assert teach(client, noun="cup", method="PUT", path="/v1/concepts/mug").status_code == 200
    after = client.get("/v1/concepts/mug").json()
    assert (after["noun"], after["created"]) == ("cup", before["created"])
    assert not set(before["photos"]) & set(after["photos"])
    assert teach(client, method="PUT", path="/v1/concepts/other").status_code == 201
    assert names(client) == ["mug", "other"]


def test_more_photos_stand_beside_those_before(client):
    teach(client, photos=[RED, DARK])
    path = "/v1/concepts/mug/photos"
    assert client.post(path, files=[WELL] * 8).status_code == 200
    assert len(client.get("/v1/concepts/mug").json()["photos"]) == 10
    refused(client.post(path, files=[WELL]), 422, "beside the 10", "expected 1 to 10")
    assert len(client.get("/v1/concepts/mug").json()["photos"]) == 10


def test_what_is_forgotten_is_gone(client, tmp_path):
    shown = teach(client).json()
    kept = client.get(shown["photos"][0]).content
    assert len(kept) > 700
    assert client.delete("/v1/concepts/mug").status_code == 204
    refused(client.delete("/v1/concepts/mug"), 404, "no concept of that name")
    refused(client.get("/v1/concepts/mug"), 404, "no concept of that name")
    refused(client.get(shown["photos"][0]), 404, "no concept of that name")
    refused(client.post("/v1/concepts/mug/photos", files=[WELL]), 404, "no concept")
    refused(client.post("/v1/search", json={"query": "{mug}"}), 422, "{mug}", "no concept")
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert files
    assert not [file for file in files if kept[200:600] in file.read_bytes()]


def test_a_taken_name_is_refused_and_nothing_changes(client):
    teach(client)
    before = client.get("/v1/concepts").json()
    refused(teach(client, noun="cup"), 409, "'mug' already", "PUT replaces it")
    assert client.get("/v1/concepts").json() == before


def test_of_two_who_teach_one_name_at_once_one_wins(client):
    with ThreadPoolExecutor(2) as askers:
        answers = list(askers.map(lambda noun: teach(client, noun=noun), ["mug", "cup"]))
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    (winner,) = [answer.json() for answer in answers if answer.status_code == 201]
    assert client.get("/v1/concepts/mug").json()["noun"] == winner["noun"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"photos": []}, ["photos"]),
        ({"photos": [RED] * 11}, ["photos", "at most 10"]),
        ({"photos": [RED, b"no picture"]}, ["photo 2 (1.jpg) is not a picture", "JPEG"]),
        ({"photos": [RED, b""]}, ["photo 2 (1.jpg)"]),
        ({"noun": "x" * 61}, ["noun of 61 characters, expected 1 to 60"]),
        ({"noun": "   "}, ["noun of 0 characters"]),
        ({"noun": "a sks mug"}, ["holds the identifier 'sks'"]),
        ({"noun": "mug\x00"}, ["the noun holds the control character U+0000"]),
        ({"name": ""}, ["name"]),
        ({"name": " \t "}, ["name of 0 characters"]),
        ({"name": "x" * 201}, ["name of 201 characters, expected 1 to 200"]),
        ({"name": "a\x00b"}, ["control character U+0000"]),
        ({"name": "\x1b[2J"}, ["control character U+001B"]),
        ({"name": ".."}, ["'..'"]),
        ({"name": "a/b"}, ["'a/b'", "without"]),
        ({"name": "a\\b"}, ["without"]),
        ({"name": "{a}"}, ["without"]),
    ],
)
def test_what_cannot_be_taught_is_told_and_nothing_is_kept(client, changes, words):
    refused(teach(client, **changes), 422, *words)
    assert names(client) == []


def test_photos_that_do_not_belong_together_are_refused(client, live, monkeypatch):
    monkeypatch.setattr("retrieval.concepts.learning.LEAST_ALIKE", 1.5)
    refused(teach(client), 422, "show very different things", "photo", "leave that photo out")
    assert names(client) == []
    teach_one = teach(client, photos=[RED])
    assert teach_one.status_code == 201
    path = "/v1/concepts/mug/photos"
    refused(client.post(path, files=[WELL]), 422, "show very different things")
    assert len(client.get("/v1/concepts/mug").json()["photos"]) == 1


GOOD_NAMES = {
    "rtl": "ספל שלי",
    "mark": "\u202emug",
    "emoji": "☕️👩\u200d🚀",
    "long": "ü" * 200,
    "percent": "50% off",
    "query": "a?b#c&d=e+f",
    "quotes": "'\";--",
    "dots": "...",
}


@pytest.mark.parametrize("name", GOOD_NAMES.values(), ids=list(GOOD_NAMES))
def test_any_other_name_can_be_taught_used_and_forgotten(client, engine, name):
    assert teach(client, name).json()["name"] == name
    assert names(client) == [name]
    address = f"/v1/concepts/{quote(name, safe='')}"
    shown = client.get(address).json()
    assert shown["name"] == name
    assert client.get(shown["photos"][1]).status_code == 200
    found = client.post("/v1/search", json={"query": f"a beach with {{{name}}}"})
    assert found.json()["concepts"] == [name]
    assert client.delete(address).status_code == 204


def test_names_that_look_the_same_are_the_same(client, engine):
    assert teach(client, "Cafe\u0301  \u00a0mug").json()["name"] == "Café mug"
    refused(teach(client, "Café mug"), 409)
    assert client.get("/v1/concepts/Cafe%CC%81%20mug").status_code == 200
    found = client.post("/v1/search", json={"query": "{Cafe\u0301 mug} at sea"})
    assert found.json()["concepts"] == ["Café mug"]
    assert engine.asked[0].text == "{Café mug} at sea"


@pytest.mark.parametrize(
    "path",
    ["/v1/concepts/%ED%A0%80", "/v1/concepts/%FF", "/v1/concepts/none", "/v1/concepts/a%00b"],
)
def test_a_name_that_nobody_has_is_told(client, path):
    for method in ("GET", "DELETE"):
        answer = client.request(method, path)
        refused(answer, 422 if "%00" in path else 404)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("{cup} at sea", ["{cup}", "no concept of that name", "GET /v1/concepts"]),
        ("{} at sea", ["name of 0 characters"]),
        ("{a\x00b} at sea", ["control character"]),
        ("{..}", ["'..'"]),
        ("{" + "x" * 300 + "}", ["300 characters"]),
        ("sks and {mug}", ["'sks' stands for concepts"]),
        ("".join(f"{{mug {number}}}" for number in range(9)), ["9 concepts", "8 at most"]),
    ],
)
def test_a_query_that_names_what_it_should_not_is_told(client, engine, query, words):
    teach(client)
    refused(client.post("/v1/search", json={"query": query}), 422, *words)
    assert engine.asked == []
    assert client.post("/v1/search", content=b'{"query": "{\\ud800}"}').status_code == 422


def test_without_concepts_the_identifier_is_a_word_like_others(client):
    assert client.post("/v1/search", json={"query": "an sks mug"}).status_code == 200
    assert client.post("/v1/search", json={"query": "a } brace {"}).status_code == 200


def next_version(engine, digest="e" * 64, **changes):
    newer = TinyEngine(
        dataclasses.replace(engine.version, number=4, digest=digest),
        engine.tower,
        make_product(2),
        engine.private,
    )
    for name, value in changes.items():
        setattr(newer, name, value)
    return newer


def swap_to(client, live, monkeypatch, newer):
    live.source.version = newer.version
    monkeypatch.setattr(live, "_open", lambda _: live.prepare(newer) or newer)
    client.portal.call(live.follow)
    assert live.engine is newer


def test_the_next_version_learns_all_before_it_serves(client, live, engine, monkeypatch):
    for number in range(5):
        teach(client, f"mug {number}", photos=[RED])
    together = []
    monkeypatch.setattr("services.sharing.concepts.TOGETHER", 2)
    monkeypatch.setattr(
        "services.sharing.concepts.learn",
        lambda engine, lessons: together.append(len(lessons)) or learn(engine, lessons),
    )
    newer = next_version(engine)
    swap_to(client, live, monkeypatch, newer)
    assert together == [2, 2, 1]
    monkeypatch.setattr("services.search.live.learn", None)  # there is nothing left to learn
    for number in range(5):
        query = {"query": f"{{mug {number}}} at sea"}
        assert client.post("/v1/search", json=query).json()["model_version"] == "4"
    assert client.get("/v1/concepts/mug 0").json()["problem"] == ""


def test_what_the_next_version_cannot_learn_is_marked_and_says_so(
    client, live, engine, monkeypatch
):
    teach(client, "mug", photos=[RED])
    teach(client, "cup", noun="cup", photos=[RED])
    teaching = dataclasses.replace(engine.teaching, identifier="cup")
    newer = next_version(engine, teaching=teaching)
    swap_to(client, live, monkeypatch, newer)
    assert "holds the identifier 'cup'" in client.get("/v1/concepts/cup").json()["problem"]
    problems = [one["problem"] for one in client.get("/v1/concepts").json()["concepts"]]
    assert [bool(problem) for problem in problems] == [False, True]
    refused(
        client.post("/v1/search", json={"query": "{cup}"}), 422,
        "{cup} cannot be used with the version that serves", "holds the identifier",
    )  # fmt: skip
    assert client.post("/v1/search", json={"query": "{mug}"}).status_code == 200
    assert teach(client, noun="beaker", method="PUT", path="/v1/concepts/cup").status_code == 200
    assert client.post("/v1/search", json={"query": "{cup}"}).status_code == 200


def test_what_was_taught_while_another_took_over_is_learned_when_it_is_used(
    client, live, engine, monkeypatch
):
    newer = next_version(engine)
    live.prepare(newer)
    teach(client)
    live._engine = newer
    assert client.post("/v1/search", json={"query": "{mug}"}).json()["concepts"] == ["mug"]
    monkeypatch.setattr("services.search.live.learn", None)  # once is enough
    assert client.post("/v1/search", json={"query": "{mug}"}).status_code == 200


def test_no_answer_mixes_a_concept_of_one_version_with_another(live, engine, tmp_path):
    """A swap between reading a query's concepts and searching: they are read again."""
    store = ConceptStore(open_database(f"sqlite:///{tmp_path}/kindred.db"))
    concepts, newer = Concepts(live, store), next_version(engine)
    read = store.learned

    def swapped_meanwhile(tenant, asked, bundle):
        found = read(tenant, asked, bundle)
        live._engine = newer
        return found

    async def scenario():
        await concepts.teach(Tenant("ann", "ann"), Taught("mug", "mug", (RED,)))
        store.learned = swapped_meanwhile
        return await concepts.search("ann", Query("{mug}", 1, None, "champion"))

    found, asked = asyncio.run(scenario())
    assert found.version is newer.version
    ((_, expected),) = read("ann", ["mug"], newer.version.digest).values()
    assert torch.equal(asked.concepts[0].b_Rd, expected.b_Rd)
    live.close()


def test_one_lesson_that_fails_does_not_fail_those_beside_it(engine):
    with pytest.raises(TeachingError, match="identifier"):
        learn(engine, [Taught("a", "mug", (RED,)), Taught("b", "sks", (RED,))])
