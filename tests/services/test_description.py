"""Every call with what its OpenAPI description allows, and with what it forbids."""

import contextlib

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.config import PositiveDataAcceptanceConfig

from services.http.app import create_app


@pytest.fixture
def engine(fake_engine):
    return fake_engine


# Calls that what is inside a sound request decides about: names, pictures, what a model can read.
INSIDE = ("POST /v1/search", "POST /v1/search/image",
          "POST /v1/concepts", "PUT /v1/concepts/{name}",
          "GET /v1/concepts/{name}", "DELETE /v1/concepts/{name}",
          "POST /v1/concepts/{name}/photos", "GET /v1/concepts/{name}/photos/{number}")  # fmt: skip
REFUSED_FOR_THAT = [*PositiveDataAcceptanceConfig._DEFAULT_EXPECTED_STATUSES, "422"]


@pytest.fixture
def described(live):
    app = create_app(live)
    check = {"positive_data_acceptance": {"expected-statuses": REFUSED_FOR_THAT}}
    of_those = [{"include-name": name, "checks": check} for name in INSIDE]
    config = schemathesis.Config.from_dict({"operations": of_those})
    with TestClient(app):
        yield schemathesis.openapi.from_asgi("/openapi.json", app, config=config)


def ask(operation, mode):
    """Ask a call whatever the description allows, or forbids; its name, if anything could be."""
    asked = set()

    @settings(
        max_examples=40,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.filter_too_much],  # much of what is wrong cannot be sent
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case):
        asked.add(operation.label)
        answer = case.call()
        assert answer.status_code < 500, answer.content
        case.validate_response(answer)

    with contextlib.suppress(Unsatisfiable):  # nothing about GET /v1/model can be wrong
        check()
    return asked


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
def test_what_the_description_allows_or_forbids_is_never_a_server_error(described, mode):
    operations = [result.ok() for result in described.get_all_operations()]
    asked = set().union(*(ask(operation, mode) for operation in operations))
    assert {
        "POST /v1/search",
        "POST /v1/search/image",
        "POST /v1/embed",
        "GET /images/{product_id}",
    } <= asked
    assert {"POST /v1/concepts", "POST /v1/concepts/{name}/photos"} <= asked
