"""Who is let in, by which key, and from when on."""

import hashlib

import pytest
from fastapi.testclient import TestClient

from services.sharing.keys import REFRESH, SETTING, Keys
from services.store.keys import NameTakenError
from services.store.tables import KeyRow
from services.store.tenants import LOCAL
from tests.services.sharing.conftest import bearer, make_key

LOCKED = [
    ("GET", "/v1/model"), ("POST", "/v1/search"), ("GET", "/v1/concepts"), ("GET", "/images/p1"),
    ("GET", "/v1/none"), ("DELETE", "/v1/concepts/mug"), ("HEAD", "/v1/model"),
]  # fmt: skip
OPEN = ["/", "/page/main.js", "/metrics", "/openapi.json", "/favicon.ico"]
WRONG = [
    {}, {"Authorization": "Bearer kin_wrong"}, {"Authorization": "Bearer "},
    {"Authorization": "Basic YTpi"}, {"Authorization": "Bearer \xff"},
    {"Cookie": "kindred_session=kin_wrong"}, {"Cookie": "kindred_session"},
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), LOCKED)
def test_without_a_key_nothing_is_answered(client, method, path):
    answer = client.request(method, path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.headers["content-type"] == "application/problem+json"
    if method != "HEAD":
        assert "kindred keys add" in answer.json()["detail"]


@pytest.mark.parametrize("path", OPEN)
def test_the_page_and_the_numbers_need_none(client, path):
    assert client.get(path).status_code == 200


@pytest.mark.parametrize("brought", WRONG, ids=str)
def test_what_is_no_key_is_as_good_as_none(client, brought):
    headers = {name: value.encode("latin-1") for name, value in brought.items()}
    answer = client.get("/v1/model", headers=headers)
    assert answer.status_code == 401
    assert answer.json() == client.get("/v1/model").json()


def test_a_key_lets_in(client, ann):
    for path in ("/v1/model", "/v1/concepts", "/images/p1"):
        assert client.get(path, headers=ann).status_code == 200
    assert client.get("/v1/model", headers={"Authorization": ann["Authorization"].lower()[:6]
                      + ann["Authorization"][6:]}).status_code == 200  # fmt: skip


def test_the_page_keeps_a_key_in_a_cookie_until_it_ends_the_session(client, ann):
    key = ann["Authorization"].removeprefix("Bearer ")
    assert client.post("/v1/session", json={"key": "kin_wrong"}).status_code == 401
    assert client.get("/images/p1").status_code == 401
    begun = client.post("/v1/session", json={"key": key})
    assert begun.status_code == 204
    cookie = begun.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert client.get("/images/p1").status_code == 200
    other = client.get("/v1/model", headers={"Authorization": "Bearer kin_wrong"})
    assert other.status_code == 401  # what is brought in words counts
    assert client.delete("/v1/session").status_code == 204
    assert client.get("/images/p1").status_code == 401


def test_over_https_the_cookie_stays_there(app, ann):
    with TestClient(app, base_url="https://test") as client:
        key = ann["Authorization"].removeprefix("Bearer ")
        assert "Secure" in client.post("/v1/session", json={"key": key}).headers["set-cookie"]


def test_without_keys_everybody_is_the_local_tenant(open_client):
    assert open_client.get("/v1/model").status_code == 200
    assert open_client.get("/v1/model", headers=bearer("kin_any")).status_code == 200
    begun = open_client.post("/v1/session", json={"key": "kin_any"})
    assert (begun.status_code, "set-cookie" in begun.headers) == (204, False)


def test_keys_that_come_and_go_count_within_a_second(open_client, store):
    assert REFRESH < 1
    ann = bearer(make_key(store, "ann"))
    open_client.portal.call(open_client.app.state.keys.refresh)
    assert open_client.get("/v1/model").status_code == 401
    assert open_client.get("/v1/model", headers=ann).status_code == 200
    assert store.revoke("ann")
    open_client.portal.call(open_client.app.state.keys.refresh)
    # The last key is gone: nobody gets in, instead of everybody.
    assert open_client.get("/v1/model", headers=ann).status_code == 401
    assert open_client.get("/v1/model").status_code == 401


def test_a_service_for_others_lets_nobody_in_without_keys(store, monkeypatch):
    assert Keys(store).holder(None) == LOCAL
    monkeypatch.setenv(SETTING, "required")
    assert Keys(store).holder(None) is None


def test_the_description_wants_a_key_where_the_service_does(client, store):
    calls = client.get("/openapi.json").json()["paths"]
    assert calls["/v1/search"]["post"]["security"]
    assert "security" not in calls["/v1/session"]["post"]


def test_the_description_of_an_open_service_wants_none(open_client):
    calls = open_client.get("/openapi.json").json()["paths"]
    assert not any("security" in call for of in calls.values() for call in of.values())


def test_of_a_key_its_digest_alone_is_kept(store, address):
    from sqlalchemy import create_engine, select
    from sqlalchemy.orm import Session

    key, other = make_key(store, "ann", feedback=True, concepts=3), make_key(store, "bob")
    assert key.startswith("kin_")
    assert len(key) == len("kin_") + 43  # 32 bytes in base64
    assert key != other
    with Session(create_engine(address)) as session:
        row = session.scalar(select(KeyRow).where(KeyRow.name == "ann"))
        assert row.digest == hashlib.sha256(key.encode()).hexdigest()
        assert key not in {str(getattr(row, column.name)) for column in KeyRow.__table__.columns}
    with pytest.raises(NameTakenError):
        make_key(store, "ann")
    assert not store.revoke("carl")
