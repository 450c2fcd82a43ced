"""Every call with what its OpenAPI description allows, and with what it forbids."""

import contextlib

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.config import PositiveDataAcceptanceConfig

from services.http.app import create_app
from services.store.database import open_database
from services.store.keys import KeyStore
from services.store.tenants import Quotas, Tenant


@pytest.fixture
def engine(fake_engine):
    return fake_engine


# Calls that what is inside a sound request decides about: names, pictures, what a model can read.
INSIDE = ("POST /v1/search", "POST /v1/search/image",
          "POST /v1/concepts", "PUT /v1/concepts/{name}",
          "POST /v1/feedback", "GET /v1/concepts/{name}", "DELETE /v1/concepts/{name}",
          "POST /v1/concepts/{name}/photos", "GET /v1/concepts/{name}/photos/{number}")  # fmt: skip
# Calls of which something can be allowed, and something forbidden.
TAKING = {"POST /v1/search", "POST /v1/search/image", "POST /v1/embed", "POST /v1/concepts",
          "POST /v1/concepts/{name}/photos", "GET /images/{product_id}"}  # fmt: skip
SESSION = {"POST /v1/session", "DELETE /v1/session"}  # where a key is brought; they need none
MODES = list(schemathesis.GenerationMode)
REFUSED_FOR_THAT = [*PositiveDataAcceptanceConfig._DEFAULT_EXPECTED_STATUSES, "422"]


@pytest.fixture
def app(live):
    return create_app(live)


@pytest.fixture
def described(app):
    check = {"positive_data_acceptance": {"expected-statuses": REFUSED_FOR_THAT}}
    of_those = [{"include-name": name, "checks": check} for name in INSIDE]
    ours = {"with-security-parameters": False}  # the key is what a test brings
    config = schemathesis.Config.from_dict({"operations": of_those, "generation": ours})
    with TestClient(app):
        yield schemathesis.openapi.from_asgi("/openapi.json", app, config=config)


@pytest.fixture
def key():
    """A key that counts, made before the service starts."""
    database = open_database()
    quotas = Quotas(requests_a_minute=100_000)
    made = KeyStore(database).add("ann", Tenant("ann", "ann", feedback=True, quotas=quotas))
    database.dispose()
    return made


def ask(operation, mode, headers=None, examples=40):
    """Ask a call whatever the description allows, or forbids.

    All of schemathesis's checks hold each answer to the description: status, form, schema, and,
    where a key is brought, that the same without it or with another one is refused.

    Returns:
        The statuses that it answered; none where there is nothing of that kind to ask.
    """
    answered = set()

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.filter_too_much],  # much of what is wrong cannot be sent
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case):
        answer = case.call(headers=headers)
        answered.add(answer.status_code)
        assert answer.status_code < 500, answer.content
        case.validate_response(answer, headers=headers)

    with contextlib.suppress(Unsatisfiable):  # nothing about GET /v1/model can be wrong
        check()
    return answered


def ask_all(described, mode, headers=None, examples=40):
    """What each call answered, by its name; those alone that could be asked."""
    calls = [result.ok() for result in described.get_all_operations()]
    answered = {call.label: ask(call, mode, headers, examples) for call in calls}
    return {label: statuses for label, statuses in answered.items() if statuses}


@pytest.mark.parametrize("mode", MODES)
def test_what_the_description_allows_or_forbids_is_never_a_server_error(described, mode):
    answered = ask_all(described, mode)
    assert answered.keys() >= TAKING


@pytest.mark.parametrize("mode", MODES)
def test_nor_is_it_with_a_key(key, described, mode):
    answered = ask_all(described, mode, {"Authorization": f"Bearer {key}"}, examples=12)
    assert answered.keys() >= TAKING
    refused = {label: answered[label] & {401, 403, 429} for label in answered.keys() - SESSION}
    assert not any(refused.values()), answered


@pytest.mark.parametrize("brought", [None, "Bearer kin_wrong", "Basic YTpi"], ids=str)
@pytest.mark.parametrize("mode", MODES)
def test_without_a_key_that_counts_every_call_refuses_in_the_form_described(
    key, described, mode, brought
):
    headers = {"Authorization": brought} if brought else None
    answered = ask_all(described, mode, headers, examples=3)
    assert answered.keys() >= TAKING
    locked = {label: statuses for label, statuses in answered.items() if label not in SESSION}
    assert {status for statuses in locked.values() for status in statuses} == {401}
