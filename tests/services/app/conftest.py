"""The application over an engine that finds the products in their order."""

from functools import partial

import pytest
from fastapi.testclient import TestClient

from services.http.app import create_app
from services.search.live import Live
from services.store.database import open_database
from tests.services.fake_engine import FakeEngine, make_product


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
