"""The application over an engine that finds the products in their order."""

import pytest


@pytest.fixture
def engine(fake_engine):
    return fake_engine
