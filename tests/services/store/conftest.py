"""The service's database, on a file of SQLite and on a server of PostgreSQL, and its stores."""

import pytest

from services.store.concepts import ConceptStore
from services.store.database import open_database


@pytest.fixture
def address(any_address):
    return any_address


@pytest.fixture
def database(address):
    opened = open_database(address)
    yield opened
    opened.dispose()


@pytest.fixture
def store(database):
    return ConceptStore(database)
