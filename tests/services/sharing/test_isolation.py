"""Nothing that a tenant can ask tells another tenant's concept from one that does not exist."""

import json

import pytest

from services.store.concepts import ConceptStore
from services.store.database import open_database
from tests.services.sharing.conftest import bearer, make_key, teach
from tests.services.tiny_engine import photo

FILES = [("photos", ("a.jpg", photo("red"), "image/jpeg"))]
# How each call of the description would meet a concept by its name.
BY_NAME = {
    ("get", "/v1/concepts/{name}"): {},
    ("delete", "/v1/concepts/{name}"): {},
    ("post", "/v1/concepts/{name}/photos"): {"files": FILES},
    ("get", "/v1/concepts/{name}/photos/{number}"): {},
    ("put", "/v1/concepts/{name}"): {"files": FILES, "data": {"noun": "jug"}},
    ("post", "/v1/concepts"): {"files": FILES, "data": {"name": "{name}", "noun": "jug"}},
    ("get", "/v1/concepts"): {},
    ("post", "/v1/feedback"): {
        "json": {"query": "{{name}}", "shown": ["p1"], "chosen": "p1", "rejected": []}
    },
    ("post", "/v1/search"): {"json": {"query": "{{name}} on a beach"}},
}
# Calls that know no concepts: the catalogue's, and those of what a request itself brings.
OTHERS = {
    ("post", "/v1/embed"), ("get", "/v1/model"), ("get", "/images/{product_id}"),
    ("post", "/v1/session"), ("delete", "/v1/session"), ("post", "/v1/search/image"),
}  # fmt: skip
VARYING = ("x-request-id", "date")


def ask(client, call, name, who):
    """A call about a concept, without what says its name and the time."""
    (method, path), content = call, BY_NAME[call]
    filled = {
        key: json.loads(json.dumps(value).replace("{name}", name)) if key != "files" else value
        for key, value in content.items()
    }
    path = path.replace("{name}", name).replace("{number}", "1")
    answer = client.request(method, path, headers=who, **filled)
    headers = {key: value for key, value in answer.headers.items() if key not in VARYING}
    is_json = answer.content and "json" in answer.headers["content-type"]
    body = answer.json() if is_json else {"picture": answer.content}
    for key in ("took_ms", "created", "photos"):
        body.pop(key, None)
    return answer.status_code, headers | {"content-length": ""}, str(body).replace(name, "NAME")


def test_every_call_of_the_description_is_tried(client):
    described = client.get("/openapi.json").json()["paths"]
    calls = {(method, path) for path, methods in described.items() for method in methods}
    assert calls <= BY_NAME.keys() | OTHERS, "say here how this call keeps tenants apart"


@pytest.mark.parametrize("call", BY_NAME, ids=" ".join)
def test_anothers_concept_is_as_good_as_none(client, ann, bob, call):
    assert teach(client, ann, "mug").status_code == 201
    anothers, nobodys = (ask(client, call, name, bob) for name in ("mug", "cup"))
    assert anothers == nobodys
    owners = client.get("/v1/concepts/mug", headers=ann)
    assert (owners.status_code, len(owners.json()["photos"])) == (200, 2)


@pytest.mark.parametrize("call", BY_NAME, ids=" ".join)
def test_its_owner_sees_a_difference(client, ann, call):
    """Else the test above compares nothing."""
    assert teach(client, ann, "mug").status_code == 201
    own, nobodys = (ask(client, call, name, ann) for name in ("mug", "cup"))
    if call == ("get", "/v1/concepts"):
        assert "NAME" in own[2]
    else:
        assert own != nobodys


def test_equal_names_in_one_batch_are_each_ones_own(client, ann, bob, engine, live):
    for who, colour in ((ann, "red"), (bob, "blue")):
        assert teach(client, who, "mug", [colour]).status_code == 201
    for who in (ann, bob):
        answer = client.post("/v1/search", json={"query": "{mug}"}, headers=who)
        assert answer.json()["concepts"] == ["mug"]
    first, second = (query.concepts[0] for query in engine.asked)
    assert not (first.b_Rd == second.b_Rd).all()


def test_two_keys_of_one_tenant_share_its_concepts(client, store, ann):
    assert teach(client, ann, "mug").status_code == 201
    phone = bearer(make_key(store, "ann-phone", "ann"))
    client.portal.call(client.app.state.keys.refresh)
    assert client.get("/v1/concepts/mug", headers=phone).status_code == 200


def test_nothing_that_took_a_key_is_kept_by_a_proxy(client, ann):
    teach(client, ann, "mug")
    for path in ("/v1/concepts/mug/photos/1", "/images/p1?v=x", "/images/p1", "/v1/concepts"):
        headers = client.get(path, headers=ann).headers
        assert "public" not in headers["cache-control"]
        assert {"Authorization", "Cookie"} <= set(headers["vary"].split(", "))


def test_what_was_taught_before_there_were_keys_is_the_local_tenants(app, store, address):
    from fastapi.testclient import TestClient

    with TestClient(app) as client:
        assert teach(client, {}, "mug").status_code == 201
        mine = bearer(make_key(store, "mine", "local"))
        client.portal.call(app.state.keys.refresh)
        assert client.get("/v1/concepts/mug").status_code == 401
        assert client.get("/v1/concepts/mug", headers=mine).status_code == 200
    database = open_database(address)
    assert ConceptStore(database).count() == 1
    database.dispose()
