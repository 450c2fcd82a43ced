"""The application over a real, tiny model, with a database and two tenants' keys."""

import asyncio

import httpx
import pytest
from fastapi.testclient import TestClient

from services.http.app import create_app
from services.store.database import open_database
from services.store.keys import KeyStore
from services.store.tenants import Quotas, Tenant
from tests.services.tiny_engine import photo


@pytest.fixture
def engine(tiny_engine):
    return tiny_engine


@pytest.fixture
def address(any_address):
    return any_address


@pytest.fixture
def store(address):
    database = open_database(address)
    yield KeyStore(database)
    database.dispose()


@pytest.fixture
def app(live, address):
    return create_app(live, lambda: open_database(address))


@pytest.fixture
def open_client(app):
    """The service where there is no key."""
    with TestClient(app) as client:
        yield client


def make_key(store, name, tenant=None, *, feedback=False, **quotas):
    return store.add(name, Tenant(tenant or name, name, feedback, Quotas(**quotas)))


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture
def ann(store):
    return bearer(make_key(store, "ann", feedback=True))


@pytest.fixture
def bob(store):
    return bearer(make_key(store, "bob", feedback=True))


@pytest.fixture
def client(ann, bob, app):
    """The service where two keys count."""
    with TestClient(app) as client:
        yield client


def teach(client, who, name="mug", photos=("red", "darkred")):
    files = [("photos", (f"{at}.jpg", photo(one), "image/jpeg")) for at, one in enumerate(photos)]
    data = {"name": name, "noun": "jug"}
    return client.post("/v1/concepts", data=data, files=files, headers=who)


def together(app, ask):
    """What an async function makes of a client without a network."""

    async def run():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await ask(client)

    return asyncio.run(run())
