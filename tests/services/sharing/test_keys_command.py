"""`kindred keys`, and which hosts `kindred serve` takes."""

import json
import sqlite3

import pytest
from sqlalchemy.exc import OperationalError

from services.cli import main
from services.sharing.keys import Keys
from services.store.database import open_database
from services.store.keys import KeyStore


@pytest.fixture(autouse=True)
def database(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KINDRED_DB", f"sqlite:///{tmp_path}/kindred.db")
    for name in ("KINDRED_WORKERS", "BENTOML_HOME", "BENTOML_DO_NOT_TRACK"):  # serve sets them
        monkeypatch.setenv(name, "")


def run(capsys, *arguments):
    code = main(arguments)
    said = capsys.readouterr()
    return code, said.out.strip(), said.err.strip()


def test_a_key_is_shown_once_listed_without_itself_and_revoked(capsys):
    code, key, _ = run(capsys, "keys", "add", "ann", "--tenant", "family", "--concepts", "7",
                       "--requests-a-minute", "8", "--photo-mb", "9", "--feedback")  # fmt: skip
    assert code == 0
    keys = Keys(KeyStore(open_database()))
    keys.refresh()
    tenant = keys.holder(key)
    assert (tenant.id, tenant.name, tenant.feedback) == ("family", "ann", True)
    _, listed, _ = run(capsys, "keys", "list")
    assert key not in listed
    assert listed.splitlines()[1].split()[:6] == ["ann", "family", "7", "8", "9", "yes"]
    _, listed, _ = run(capsys, "keys", "list", "--json")
    (record,) = json.loads(listed)["keys"]
    assert (record["concepts"], record["requests_a_minute"], record["photo_mb"]) == (7, 8, 9)
    assert run(capsys, "keys", "revoke", "ann")[0] == 0
    keys.refresh()
    assert keys.holder(key) is None
    assert "no keys" in run(capsys, "keys", "list")[1]


def test_a_full_disk_is_one_line_and_no_key_is_made(capsys, monkeypatch):
    def full(*_):
        raise OperationalError("INSERT", {}, sqlite3.OperationalError("database or disk is full"))

    with monkeypatch.context() as patch:
        patch.setattr(KeyStore, "add", full)
        code, out, err = run(capsys, "keys", "add", "ann")
    assert (code, out) == (1, "")
    assert err.endswith("cannot be written: the disk is full: make room, and run it again")
    assert "no keys" in run(capsys, "keys", "list")[1]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["add", "ann"], 3, "there is a key ann already"),
        (["add", "a b"], 2, "expected 1 to 64 letters"),
        (["add", "x" * 65], 2, "expected 1 to 64 letters"),
        (["add", "bob", "--tenant", "\N{SNOWMAN}"], 2, "got --tenant"),
        (["add", "bob", "--concepts", "-1"], 2, "--concepts"),
        (["revoke", "bob"], 2, "there is no key of that name"),
    ],
)
def test_what_is_refused_is_one_line(capsys, arguments, code, said):
    run(capsys, "keys", "add", "ann")
    got, out, err = run(capsys, "keys", *arguments)
    assert (got, out, len(err.splitlines())) == (code, "", 1)
    assert said in err


def test_a_database_that_does_not_answer_is_told(capsys, monkeypatch):
    monkeypatch.setenv("KINDRED_DB", "nonsense")
    assert run(capsys, "keys", "list")[0] == 4


def test_without_keys_loopback_only_with_keys_any_host(capsys, registered, monkeypatch):
    monkeypatch.setenv("KINDRED_WORKERS", "1")  # `serve` sets it, and this undoes that
    monkeypatch.setattr("services.commands.serve_command._prepare", lambda *_: 1 / 0)
    code, _, said = run(capsys, "serve", "--host", "0.0.0.0")
    assert (code, "kindred keys add" in said) == (2, True)
    run(capsys, "keys", "add", "ann")
    with pytest.raises(ZeroDivisionError):  # it goes on
        main(["serve", "--host", "0.0.0.0"])


@pytest.mark.parametrize("workers", ["0", "-1", "65"])
def test_so_many_workers_are_none(capsys, workers):
    code, _, said = run(capsys, "serve", "--workers", workers)
    assert (code, "expected 1 to 64" in said) == (2, True)
