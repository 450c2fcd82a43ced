"""A package without keys: BentoML binds every address, and only its own machine gets in."""

import pytest
from fastapi.testclient import TestClient

from services.http.app import create_app
from services.store.database import open_database
from tests.services.sharing.conftest import bearer, make_key

OWN = ("127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1")
OTHERS = ("172.17.0.1", "10.0.0.7", "fe80::1", "::ffff:10.0.0.7", "testclient")


def client_at(live, address, host):
    app = create_app(live, lambda: open_database(address), own_machine=True)
    return TestClient(app, client=(host, 50000))


@pytest.mark.parametrize("host", OWN)
def test_it_answers_its_own_machine(live, address, host):
    with client_at(live, address, host) as client:
        assert client.get("/v1/concepts").status_code == 200


@pytest.mark.parametrize("host", OTHERS)
def test_it_answers_no_other_and_says_why(live, address, host):
    with client_at(live, address, host) as client:
        for path in ("/v1/concepts", "/v1/model", "/images/p1"):
            refused = client.get(path)
            assert refused.status_code == 403
            assert refused.headers["content-type"] == "application/problem+json"
            assert host in refused.json()["detail"]
            assert "kindred keys add" in refused.json()["detail"]
        assert client.get("/").status_code == 200  # the page itself tells nothing


def test_with_a_key_it_answers_every_machine(live, address, store):
    key = make_key(store, "ann")
    with client_at(live, address, "10.0.0.7") as client:
        assert client.get("/v1/concepts").status_code == 401
        assert client.get("/v1/concepts", headers=bearer(key)).status_code == 200


def test_where_keys_are_required_and_there_is_none_nobody_gets_in(live, address, monkeypatch):
    monkeypatch.setenv("KINDRED_KEYS", "required")
    for host in ("127.0.0.1", "10.0.0.7"):
        with client_at(live, address, host) as client:
            assert client.get("/v1/concepts").status_code == 401


def test_the_service_of_a_checkout_leaves_that_to_who_binds_it(live, address):
    app = create_app(live, lambda: open_database(address))
    with TestClient(app, client=("10.0.0.7", 50000)) as client:
        assert client.get("/v1/concepts").status_code == 200
