"""What people and disks do to a registry: every verb answers in one line, and changes nothing."""

import errno
import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pytest

from pipelines import register
from pipelines.run.params import load_params
from registry import promotion_lock, store, tracking
from registry.bundle_writer import write_bundle
from registry.errors import RegistryError, explain_os_error
from registry.history import EXPERIMENT as PROMOTIONS
from registry.promotion import promote, rollback
from registry.store import register_bundle
from registry.versions import champion_number
from services.cli import main
from tests.registry.promoted import (
    NAME,
    STORE,
    move_by_hand,
    outcomes,
    without_models,
    write_text_vectors,
)

ROOT = Path(__file__).parents[2]
VERBS = (
    ["status"],
    ["history"],
    ["promote", "1", "--dry-run"],
    ["promote", "1"],
    ["rollback"],
)


@pytest.fixture(scope="module")
def template(tmp_path_factory, make_sources):
    """A tree with three versions, of which 1 and 2 were promoted, and 2 is champion."""
    root = tmp_path_factory.mktemp("template")
    sources = make_sources(root / "made")
    home = root / "home"
    home.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")
        patch.delenv("MILVUS_URI", raising=False)
        without_models(patch)
        for weights in ("good 1", "good 2", "good 3"):
            (sources.model / "weights").write_text(weights)
            write_text_vectors(sources)
            write_bundle(root / weights, sources)
            register_bundle(root / weights, NAME)
        promote(NAME, "1")
        promote(NAME, "2")
    return home


@pytest.fixture
def home(home):
    """A copy of it, for MLflow's own client too."""
    tracking.connect()
    return home


def _run(capsys, *arguments):
    """Exit code, standard output, and the last line of standard error."""
    capsys.readouterr()
    code = main(arguments)
    said = capsys.readouterr()
    return code, said.out, (said.err.splitlines() or [""])[-1]


def _refused(capsys, *arguments):
    code, out, line = _run(capsys, *arguments)
    assert out == ""
    assert line.startswith(f"kindred {arguments[0]}: ")
    return code, line


def _delete(number):
    mlflow.MlflowClient().delete_model_version(NAME, str(number))


def test_a_rollback_passes_by_a_version_that_was_deleted(home, capsys):
    promote(NAME, "3")
    _delete(2)
    assert "goes to version 1 (deleted since: 2)" in _run(capsys, "history")[1]
    said = []
    assert rollback(NAME, said.append).version.number == 1
    assert "version 2, champion in between, was deleted since: further back" in said
    assert outcomes()[-1] == ("rollback", 3, 1, "done")


def test_where_all_before_were_deleted_there_is_nothing_to_roll_back_to(home, capsys):
    _delete(1)
    assert "none before it to roll back to (deleted since: 1)" in _run(capsys, "history")[1]
    code, line = _refused(capsys, "rollback")
    assert (code, champion_number(NAME)) == (1, 2)
    assert "first champion of kindred that there still is" in line
    assert "kindred promote VERSION" in line


def test_a_deleted_champion_leaves_none_and_history_says_so(home, capsys):
    _delete(2)
    assert champion_number(NAME) is None
    assert "kindred has no champion now: run `kindred promote`" in _run(capsys, "history")[1]
    code, line = _refused(capsys, "rollback")
    assert code == 1
    assert "run `kindred promote`" in line


def test_with_all_records_deleted_history_still_knows_the_champion(home, capsys):
    client = mlflow.MlflowClient()
    number = client.get_experiment_by_name(PROMOTIONS).experiment_id
    for run in client.search_runs([number]):
        client.delete_run(run.info.run_id)
    code, out, _ = _run(capsys, "history")
    assert code == 0
    assert "No promotion of kindred is on record" in out
    assert "champion: version 2" in out
    move_by_hand(1)
    assert "champion: version 1" in _run(capsys, "history")[1]


def test_an_experiment_that_was_deleted_can_be_read_and_is_named_with_its_remedy(home, capsys):
    client = mlflow.MlflowClient()
    client.delete_experiment(client.get_experiment_by_name(tracking.EXPERIMENT).experiment_id)
    assert [_run(capsys, verb)[0] for verb in ("status", "history", "rollback")] == [0, 0, 0]
    restore = r"experiment kindred was deleted .* `mlflow experiments restore --experiment-id 1`"
    with (
        pytest.raises(RegistryError, match=restore),
        tracking.training_run("base", params={}, inputs={}),
    ):
        pytest.fail("recorded in an experiment that is gone")
    with pytest.raises(RegistryError, match=restore):
        tracking.parent_run("distill", None)


def test_without_the_record_of_promotions_nothing_is_promoted_or_rolled_back(home, capsys):
    client = mlflow.MlflowClient()
    client.delete_experiment(client.get_experiment_by_name(PROMOTIONS).experiment_id)
    for verb in (["history"], ["rollback"], ["promote", "3"], ["promote", "3", "--dry-run"]):
        code, line = _refused(capsys, *verb)
        assert code == 1
        assert "mlflow experiments restore --experiment-id" in line
    assert _run(capsys, "status")[0] == 0
    assert champion_number(NAME) == 2


@pytest.mark.parametrize("verb", [["promote", "3"], ["promote", "3", "--dry-run"]])
def test_missing_artifacts_are_said_to_be_missing_from_where(home, capsys, verb):
    shutil.rmtree(home / "mlruns")
    code, line = _refused(capsys, *verb)
    assert code == 1
    assert f"got 0 bundles at {home}/mlruns/1/models/" in line
    assert "restore its artifacts" in line
    assert champion_number(NAME) == 2


def test_a_dry_run_looks_at_the_champions_files_too(home, capsys):
    shutil.rmtree(home / "mlruns")
    shutil.rmtree(home / "var/bundles")
    for verb in (["promote", "2"], ["promote", "2", "--dry-run"]):
        assert _refused(capsys, *verb)[0] == 1


def test_a_dry_run_refuses_what_milvus_refuses(home, capsys, monkeypatch):
    def differs(*_):
        raise ValueError("got other vectors back than were written")

    monkeypatch.setattr("retrieval.index.store.verify", differs)
    before = STORE.list_keys()
    for verb in (["promote", "3", "--dry-run"], ["promote", "3"]):
        code, line = _refused(capsys, *verb)
        assert code == 1
        assert "cannot be put into Milvus: got other vectors" in line
    assert STORE.list_keys() == before


@pytest.mark.slow
def test_what_needs_milvus_says_that_it_is_unreachable(home, capsys, monkeypatch):
    monkeypatch.setenv("MILVUS_URI", "http://127.0.0.1:9")
    for verb in (["promote", "3", "--dry-run"], ["promote", "3"], ["rollback"]):
        code, line = _refused(capsys, *verb)
        assert code == 4
        assert "127.0.0.1:9" in line
    assert [_run(capsys, verb)[0] for verb in ("status", "history")] == [0, 0]
    assert champion_number(NAME) == 2


@pytest.mark.slow
def test_every_verb_says_that_mlflow_is_unreachable(home, capsys, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    for name in ("BENTOML_HOME", "BENTOML_DO_NOT_TRACK"):  # serve sets them
        monkeypatch.setenv(name, os.environ.get(name, ""))
    for verb in (*VERBS, ["search", "x", "--offline"], ["serve"]):
        code, line = _refused(capsys, *verb)
        assert code == 4, line
        assert "check MLFLOW_TRACKING_URI" in line
        assert "`kindred" not in line


@pytest.mark.parametrize("name", ["a'b", "a/b:c", " "])
def test_no_verb_recommends_itself(home, capsys, name):
    for verb in VERBS:
        code, out, line = _run(capsys, *verb, "--name", name)
        assert code in (0, 1, 2)
        assert f"`kindred {verb[0]}`" not in out + line


def test_a_full_disk_is_said_in_a_line_and_changes_nothing(home, capsys, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "var/bundles/x")

    monkeypatch.setattr(store, "_download", full)
    for verb in (["promote", "3", "--dry-run"], ["promote", "3"]):
        code, line = _refused(capsys, *verb)
        assert code == 1
        assert "var/bundles/x: the disk is full: make room, and run it again" in line
    assert (champion_number(NAME), len(outcomes())) == (2, 2)


def test_milvus_lites_folder_without_room_is_said_in_a_line(home, capsys, monkeypatch):
    from pymilvus.exceptions import MilvusException

    def full(*_):
        raise MilvusException(message=f"[Errno {errno.ENOSPC}] {os.strerror(errno.ENOSPC)}")

    with monkeypatch.context() as patch:
        patch.setattr("retrieval.index.store.write_collection", full)
        code, line = _refused(capsys, "promote", "3")
        assert code == 1
        assert "the disk is full: make room, and run it again" in line
    monkeypatch.setattr("registry.catalogue_index.disk_usage", lambda _: Room(1000))
    code, line = _refused(capsys, "promote", "3", "--dry-run")
    assert code == 1
    assert "var/milvus has room for 1,000 bytes, and needs" in line
    assert champion_number(NAME) == 2


@dataclass
class Room:
    free: int


def test_a_database_that_has_no_room_is_said_in_a_line(home, capsys, monkeypatch):
    from sqlalchemy.exc import OperationalError

    def full(*_, **__):
        raise mlflow.MlflowException(
            str(
                OperationalError("INSERT", {}, sqlite3.OperationalError("database or disk is full"))
            )
        )

    monkeypatch.setattr(mlflow.MlflowClient, "create_run", full)
    code, line = _refused(capsys, "promote", "3")
    assert code == 1
    assert line.endswith("the disk is full: make room, and run it again")
    assert champion_number(NAME) == 2


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "no room", "read", None, "written"), "written: the disk is full"),
        (
            shutil.Error([("read", "written", "[Errno 28] No space left on device: 'read'")] * 3),
            "written: the disk is full",
        ),
        (shutil.Error("read is written"), "read is written"),
        (OSError("something else"), "something else"),
    ],
)
def test_of_a_copy_without_room_the_first_file_that_was_not_written_is_named(error, said):
    assert explain_os_error(error).startswith(said)


def test_registering_on_a_full_disk_is_a_line_and_the_next_run_completes(
    home, template, monkeypatch, capsys
):
    def write(folder, _):
        if full:
            raise shutil.Error([("model", "var/register/model", os.strerror(errno.ENOSPC))])
        shutil.copytree(template.parent / "good 3", folder)

    monkeypatch.setattr(register, "write_bundle", write)
    monkeypatch.setattr(register, "find_lineage", lambda _: None)
    monkeypatch.setattr(register, "load_params", lambda: load_params(ROOT / "params.yaml"))
    monkeypatch.setattr(register, "say", lambda _: None)
    full = True
    with pytest.raises(SystemExit) as ended:
        register.main()
    assert ended.value.code == 1
    line = "register: var/register/model: the disk is full: make room, and run it again\n"
    assert capsys.readouterr().err == line
    assert not Path("models/registered.json").exists()
    full = False
    register.main()
    assert Path("models/registered.json").exists()


def test_nothing_is_served_where_nothing_can_be_written(home, capsys, monkeypatch):
    def forbidden(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), "var/bentoml")

    for name in ("BENTOML_HOME", "BENTOML_DO_NOT_TRACK"):  # serve sets them
        monkeypatch.setenv(name, os.environ.get(name, ""))
    monkeypatch.setattr("services.store.database.FileLock", forbidden)
    code, line = _refused(capsys, "serve")
    assert code == 1
    assert "sqlite:///var/kindred.db, cannot be written: this user cannot write there: " in line
    monkeypatch.setenv("KINDRED_DB", "sqlite://")  # in memory
    monkeypatch.setattr("services.commands.serve_command._make_folders", forbidden)
    code, line = _refused(capsys, "serve")
    assert code == 1
    assert "var/bentoml: this user cannot write there: make it writable, or work in a copy" in line


def test_nothing_is_served_where_the_copies_of_the_index_have_no_room(home, capsys, monkeypatch):
    for name in ("BENTOML_HOME", "BENTOML_DO_NOT_TRACK"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    monkeypatch.setattr("services.commands.serve_command.disk_usage", lambda _: Room(1000))
    code, line = _refused(capsys, "serve")
    assert code == 1
    assert "var/serve: the disk is full: make room, and run it again" in line


def test_a_folder_that_cannot_be_written_is_named(home, capsys, monkeypatch):
    def forbidden(*_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "var/locks/promotion.lock")

    monkeypatch.setattr(promotion_lock, "FileLock", forbidden)
    code, line = _refused(capsys, "rollback")
    assert code == 1
    assert "var/locks/promotion.lock: this user cannot write there" in line
    assert "cp -r" in line


def test_where_the_database_cannot_be_written_verbs_that_read_answer(home, capsys, monkeypatch):
    for module in ("database", "tracking"):
        monkeypatch.setattr(f"registry.{module}.is_writable", lambda path: False)
    assert [_run(capsys, verb)[0] for verb in ("status", "history")] == [0, 0]
    for verb in (["promote", "3", "--dry-run"], ["promote", "3"], ["rollback"]):
        code, line = _refused(capsys, *verb)
        assert code == 1
        assert "cannot write to" in line
    with closing(sqlite3.connect(home / "mlflow.db")) as opened:
        found = opened.execute(
            "SELECT version FROM registered_model_aliases WHERE alias='champion'"
        )
        assert found.fetchall() == [(2,)]
    assert Path("mlflow.db").exists()
