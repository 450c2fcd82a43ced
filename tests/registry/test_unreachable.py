"""A registry that does not answer: one sentence, the cause in it, and soon."""

import socket
import time

import pytest
import requests
import sqlalchemy.exc
from mlflow.exceptions import MlflowException

from registry import database_server
from registry.errors import UnreachableError, explained, without_password
from registry.versions import list_versions, nothing_registered
from services.cli import main

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


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("postgresql://kindred:secret@db/mlflow", "postgresql://kindred:***@db/mlflow"),
        ("got http://:secret@[::1]:5000, expected", "got http://:***@[::1]:5000, expected"),
        (
            "at https://a:se/cr@et@b:1 and tcp://c:secret@d",
            "at https://a:***@b:1 and tcp://c:***@d",
        ),
        ("mysql://db/m?user=a&password=secret&b=c", "mysql://db/m?user=a&password=***&b=c"),
        ("http://127.0.0.1:5000/a@b", "http://127.0.0.1:5000/a@b"),
        ("at http://db:5000 for a@b", "at http://db:5000 for a@b"),
        ("models:/kindred@champion", "models:/kindred@champion"),
    ],
)
def test_a_password_is_shown_nowhere_in_a_text(told, shown):
    assert without_password(told) == shown


def test_what_a_library_says_of_an_address_is_shown_without_its_password():
    page = "API request to http://kindred:secret@db/api failed with error code 500 != 200."
    with pytest.raises(UnreachableError) as raised, explained("do it", "http://kindred:secret@db"):
        raise MlflowException(page)
    assert "secret" not in str(raised.value)


def test_no_verb_prints_the_password_of_an_address(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://kindred:secret@127.0.0.1:9")
    assert main(["status"]) == 4
    assert "http://kindred:***@127.0.0.1:9" in capsys.readouterr().err
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("MILVUS_URI", "http://kindred:secret@127.0.0.1:9")
    assert main(["prune"]) == 4
    assert "http://kindred:***@127.0.0.1:9" in capsys.readouterr().err
    monkeypatch.setenv("KINDRED_DB", "postgresql+psycopg://kindred:secret@127.0.0.1:9/none")
    assert main(["keys", "list"]) == 4
    assert "kindred:***@127.0.0.1:9/none" in capsys.readouterr().err


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
