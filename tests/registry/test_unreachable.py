"""A registry that does not answer: one sentence, the cause in it, and soon."""

import socket
import time

import pytest
import requests
import sqlalchemy.exc
from mlflow.exceptions import MlflowException

from registry import database_server
from registry.errors import UnreachableError, explained
from registry.versions import list_versions, nothing_registered

POOL = (
    "API request to http://127.0.0.1:9/api failed with exception"
    " HTTPConnectionPool(host='127.0.0.1', port=9): Max retries exceeded with url: /api"
    ' (Caused by NewConnectionError("Failed: [Errno 111] Connection refused"))'
)
PAGE = "API request to /x failed with error code 404 != 200. Response body: '<!DOCTYPE HTML>\n"


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (MlflowException(POOL), "at http://here: Connection refused; check"),
        (MlflowException(PAGE), "error code 404 != 200.; check"),
        (requests.ConnectionError("cut off"), "cut off"),  # while a file is uploaded
        (sqlalchemy.exc.OperationalError("SELECT", {}, OSError("gone")), "gone"),
    ],
)
def test_every_way_to_fail_is_one_sentence(error, cause):
    with pytest.raises(UnreachableError) as raised, explained("do it", "http://here"):
        raise error
    assert cause in str(raised.value)
    assert str(raised.value).startswith("could not do it at http://here: ")
    assert "check MLFLOW_TRACKING_URI" in str(raised.value)


@pytest.mark.parametrize("driver", ["+psycopg", "+psycopg2"])  # the second is not installed
def test_a_database_server_that_is_not_there_is_said_in_seconds(driver, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        address = f"127.0.0.1:{taken.getsockname()[1]}/mlflow"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"postgresql{driver}://kindred:secret@{address}")
        began = time.monotonic()
        with pytest.raises(UnreachableError) as raised:
            list_versions("kindred")
    assert time.monotonic() - began < 15
    assert "secret" not in str(raised.value)
    assert f"kindred:***@{address}" in str(raised.value)
    assert "refused" in str(raised.value) or "psycopg2 is not installed" in str(raised.value)


def test_other_addresses_are_not_asked():
    for uri in ("sqlite:///mlflow.db", "http://127.0.0.1:9", "file:///tmp"):
        database_server.require_database(uri)


def test_an_empty_registry_names_what_fills_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://kindred:secret@db/mlflow")
    assert "run `make repro`" in nothing_registered("kindred")
    assert "secret" not in nothing_registered("kindred")
    (tmp_path / "models").mkdir()
    (tmp_path / "models/registered.json").touch()
    assert "`python -m pipelines.register` puts" in nothing_registered("kindred")
