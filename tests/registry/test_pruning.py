"""What `prune` takes away, against a real MLflow and a real Milvus Lite, and what it never does."""

import json
import os
import shutil
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import mlflow
import pytest
from filelock import FileLock

from registry import stored_models, tracking
from registry.errors import ConflictError, UnreachableError
from registry.history import read_history
from registry.promotion import promote, rollback
from registry.promotion_lock import LOCK
from registry.pruning import Wanted, prune
from registry.removal import STALE
from registry.spared import spared_versions
from registry.store import CACHE, fetch_bundle, register_bundle
from registry.versions import find_version, list_versions
from retrieval.index.store import collection_key
from tests.registry.promoted import NAME, STORE, digest_of, keys_of, move_by_hand

EVERYTHING = Wanted(keep=0, versions=True, apply=True)


def kinds(pruned):
    return [one.kind for one in pruned.going]


def bundles():
    return {path.name for path in CACHE.glob("[0-9a-f]*")}


def files(folder="."):
    """Everything that is not a lock, with its content's time."""
    return {
        path: path.stat().st_mtime_ns
        for path in Path(folder).rglob("*")
        if path.is_file() and not path.name.endswith((".lock", ".used", "-shm", "-wal"))
    }


@pytest.fixture(scope="module")
def champions(template, tmp_path_factory):
    """The template's versions 1, 2 and 3 were champions, one after the other."""
    home = tmp_path_factory.mktemp("champions") / "home"
    shutil.copytree(template, home)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")
        for number in ("1", "2", "3"):
            promote(NAME, number, reason="a test")
    return home


@pytest.fixture
def promoted(champions, tmp_path, monkeypatch):
    """A copy of that to change; 7 is the challenger."""
    shutil.copytree(champions, tmp_path / "promoted")
    monkeypatch.chdir(tmp_path / "promoted")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/promoted/mlflow.db")
    monkeypatch.delenv("MILVUS_URI", raising=False)
    tracking.connect()


def test_a_dry_run_lists_with_sizes_and_changes_nothing(promoted):
    before = files()
    found = prune(NAME, Wanted(keep=0))
    assert files() == before
    assert kinds(found) == ["collection"] * 4 + ["bundle"] * 5
    assert {Path(one.name).stem for one in found.going[:4]} == keys_of(1, 2)
    assert {Path(one.name).name for one in found.going[4:]} == {
        digest_of(n) for n in (1, 2, 4, 5, 6)
    }
    assert all(one.size > 1000 for one in found.going)
    assert "of version 1, a former champion" in {one.why for one in found.going}
    assert "of version 5, never champion" in {one.why for one in found.going}


def test_what_it_lists_it_removes_and_then_there_is_nothing_left(promoted):
    found = prune(NAME, Wanted(keep=1))
    steps = []
    done = prune(NAME, Wanted(keep=1, apply=True), report=steps.append)
    assert [one.name for one in done.going] == [one.name for one in found.going]
    assert len(steps) == len(done.going)
    assert STORE.list_keys() == keys_of(2, 3)
    assert bundles() == {digest_of(number) for number in (2, 3, 7)}
    assert prune(NAME, Wanted(keep=1)).going == ()
    assert rollback(NAME).version.number == 2


def test_without_collections_and_bundle_a_version_can_be_champion_again(registered):
    promote(NAME, "1")
    promote(NAME, "2", reason="a test")
    prune(NAME, Wanted(keep=0, apply=True))
    assert STORE.list_keys() == keys_of(2)
    assert rollback(NAME).version.number == 1
    assert keys_of(1) <= STORE.list_keys()
    assert digest_of(1) in bundles()


def test_the_only_whole_copy_of_a_version_stays(registered):
    (stored,) = [p for p in Path("mlruns").rglob("model/weights") if p.read_text() == "a"]
    stored.unlink()
    done = prune(NAME, Wanted(keep=0, apply=True))
    assert bundles() == {digest_of(1), digest_of(3)}
    (kept,) = done.staying
    assert digest_of(1) in kept.name
    assert "version 1 has no other whole copy" in kept.why


def test_nobody_needs_the_bundle_and_collections_of_a_version_that_was_deleted(registered):
    digest = digest_of(2)
    promote(NAME, "2")
    promote(NAME, "1", reason="a test")
    mlflow.MlflowClient().delete_model_version(NAME, "2")
    done = prune(NAME, Wanted(apply=True))
    assert digest not in bundles()
    assert STORE.list_keys() == keys_of(1)
    assert {one.why for one in done.going} == {"of version 2, which was deleted"}


def test_versions_go_only_on_request_with_their_files_and_models(registered):
    promote(NAME, "2")
    assert "version" not in kinds(prune(NAME, Wanted(keep=0, apply=True)))
    assert len(list_versions(NAME)) == 3
    done = prune(NAME, EVERYTHING)
    assert [one.name for one in done.going if one.kind == "version"] == [f"{NAME} 1"]
    assert [version.number for version in list_versions(NAME)] == [3, 2]
    weights = sorted(path.read_text() for path in Path("mlruns").rglob("model/weights"))
    assert weights == ["b", "c"]
    assert len(list(Path("mlruns").glob("*/models/*"))) == 2
    models = mlflow.MlflowClient().search_logged_models(["1"])
    assert len(models) == 2
    assert [change.after for change in read_history(NAME)] == [2]


def test_a_version_with_an_alias_of_ones_own_stays_whole(registered):
    mlflow.MlflowClient().set_registered_model_alias(NAME, "customer-x", "1")
    done = prune(NAME, EVERYTHING)
    assert {version.number for version in list_versions(NAME)} == {1, 3}
    assert bundles() == {digest_of(1), digest_of(3)}
    assert [one.name for one in done.going if one.kind == "version"] == [f"{NAME} 2"]


def test_an_alias_given_meanwhile_counts(registered):
    plan = prune(NAME, Wanted(keep=0, versions=True))
    mlflow.MlflowClient().set_registered_model_alias(NAME, "customer-x", "1")
    outcome = {f"{one.kind} {one.name}": one.remove() for one in plan.going}
    assert outcome.pop(f"version {NAME} 1") is False
    assert outcome.pop(f"bundle {CACHE / digest_of(1)}") is False
    assert all(outcome.values())
    assert {version.number for version in list_versions(NAME)} == {1, 3}


def test_a_version_just_registered_stays(registered, monkeypatch):
    """Between the version and its alias lie two writes."""
    monkeypatch.setattr(stored_models, "FRESH", timedelta(hours=1))
    prune(NAME, EVERYTHING)
    assert len(list_versions(NAME)) == 3


def test_another_models_versions_are_not_touched(registered, changed):
    register_bundle(changed(weights="other"), "other")
    digest = find_version("other").digest
    mlflow.MlflowClient().delete_registered_model_alias("other", "challenger")
    fetch_bundle(find_version("other", "1"))
    prune(NAME, EVERYTHING)
    assert digest in bundles()
    assert len(list_versions("other")) == 1


def test_a_version_that_was_copied_under_another_name_keeps_its_model(registered):
    mlflow.MlflowClient().copy_model_version(f"models:/{NAME}/1", "elsewhere")
    prune(NAME, EVERYTHING)
    assert {version.number for version in list_versions(NAME)} == {3}
    weights = sorted(path.read_text() for path in Path("mlruns").rglob("model/weights"))
    assert weights == ["a", "c"]


USE = """
import sys
from registry.store import fetch_bundle
from registry.versions import find_version
bundle = fetch_bundle(find_version("kindred", sys.argv[1]))
print(bundle.digest, flush=True)
sys.stdin.read()
"""


def test_what_a_process_uses_stays_until_it_ends(registered):
    promote(NAME, "1")
    promote(NAME, "2", reason="a test")
    with subprocess.Popen(
        [sys.executable, "-c", USE, "1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline().strip() == digest_of(1)
        done = prune(NAME, EVERYTHING)
        assert done.going == ()
        assert [kept.name.split()[0] for kept in done.staying] == [
            "collection", "collection", "bundle", "version",
        ]  # fmt: skip
        assert {kept.why for kept in done.staying} == {
            "a process uses its version now", "a process uses it now",
        }  # fmt: skip
        process.kill()
    done = prune(NAME, EVERYTHING)
    assert kinds(done) == ["collection", "collection", "bundle", "version"]


def test_leftovers_of_killed_processes_go_and_what_is_being_written_stays(promoted):
    dead, alive = CACHE / ".download.dead", CACHE / ".download.alive"
    making = Path("var/milvus/.making.dead")
    dropped = [CACHE / f".dropped.{'a' * 64}.1", Path(f"var/milvus/.dropped.v{'a' * 16}_base.1")]
    for folder in (dead, alive, making, *dropped):
        (folder / "part").mkdir(parents=True)
        (folder / "part/file").write_text("half")
    for folder in (dead, making):
        for path in (folder, folder / "part", folder / "part/file"):
            os.utime(path, (time.time() - STALE - 9,) * 2)
    done = prune(NAME, Wanted(apply=True, keep=9))
    gone = {one.name for one in done.going if one.kind == "leftover"}
    assert gone == {str(folder) for folder in (dead, making, *dropped)}
    assert not any(folder.exists() for folder in (dead, making, *dropped))
    assert alive.exists()


def test_collections_of_nobody_go_from_milvus_lite_but_only_ones_of_this_form(promoted):
    source = Path(f"var/milvus/{collection_key(digest_of(1), 'base')}.db")
    shutil.copytree(source, "var/milvus/v0123456789abcdef_student.db")
    shutil.copytree(source, "var/milvus/mine.db")
    done = prune(NAME, Wanted(apply=True))
    assert Path("var/milvus/mine.db").exists()
    (gone,) = [one for one in done.going if one.kind == "collection"]
    assert "v0123456789abcdef_student" in gone.name
    assert "of no version that sqlite:///" in gone.why


class Server:
    """A Milvus server, as `open_store` gives it."""

    def __init__(self, keys):
        self.keys = set(keys)
        self.dropped = []

    def list_keys(self):
        return set(self.keys)

    def drop(self, key):
        self.dropped.append(key)
        self.keys.discard(key)


def test_on_a_server_only_versions_of_this_registry_go(promoted, monkeypatch):
    server = Server({*keys_of(1, 2, 3), "v0123456789abcdef_student", "somebody_elses"})
    monkeypatch.setenv("MILVUS_URI", "http://milvus:19530")
    monkeypatch.setattr("registry.pruning.open_store", lambda: server)
    done = prune(NAME, Wanted(keep=1, apply=True))
    assert server.keys == {*keys_of(2, 3), "v0123456789abcdef_student", "somebody_elses"}
    assert {f"{key}_making" for key in keys_of(1)} <= set(server.dropped)
    assert [one.size for one in done.going if one.kind == "collection"] == [None, None]
    (foreign,) = done.staying
    assert foreign.name == "1 collections at http://milvus:19530"


def test_a_copied_trees_versions_leave_the_files_of_the_original(home, template, monkeypatch):
    monkeypatch.setattr(stored_models, "FRESH", timedelta(0))
    before = files(template)
    done = prune(NAME, EVERYTHING)
    assert len([one for one in done.going if one.kind == "version" and one.size]) == 6
    assert files(template) == before
    assert [version.number for version in list_versions(NAME)] == [7]


def test_files_of_another_tree_stay(home, monkeypatch):
    """Artifacts that were put outside of the tree: a copy of its database names them too."""
    monkeypatch.setattr(stored_models, "FRESH", timedelta(0))
    monkeypatch.setattr(stored_models, "_is_elsewhere", lambda location: "mlruns" in location)
    before = files(home)
    done = prune(NAME, EVERYTHING)
    going = [one for one in done.going if one.kind == "version"]
    assert len(going) == 6
    assert all("another tree's" in one.why and one.size == 0 for one in going)
    assert {path for path in files(home) if "mlruns" in path.parts} == {
        path for path in before if "mlruns" in path.parts
    }
    assert [version.number for version in list_versions(NAME)] == [7]


def test_models_of_killed_registrations_go_with_versions(registered, changed, monkeypatch):
    def killed(*arguments, **named):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(mlflow, "register_model", killed)
        with pytest.raises(KeyboardInterrupt):
            register_bundle(changed(weights="d"), NAME)
    assert "model" not in kinds(prune(NAME, Wanted(keep=9, apply=True)))
    done = prune(NAME, Wanted(keep=9, versions=True))
    assert [one.why for one in done.going if one.kind == "model"] == ["no version came of it"]
    prune(NAME, EVERYTHING)
    assert {p.read_text() for p in Path("mlruns").rglob("model/weights")} == {"c"}


def test_two_at_once_and_beside_a_promotion_one_ends_with_a_conflict(promoted):
    with (
        FileLock(LOCK),
        pytest.raises(ConflictError, match="another promotion, rollback, sync or prune"),
    ):
        prune(NAME, Wanted())


def test_a_registry_that_does_not_answer_costs_nothing(promoted, monkeypatch):
    before = set(files("var"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////proc/none/mlflow.db")
    monkeypatch.setattr("registry.tracking.exists", lambda: True)
    with pytest.raises(UnreachableError):
        prune(NAME, Wanted(keep=0, apply=True))
    assert set(files("var")) == before


def test_where_nothing_was_ever_registered_there_is_nothing_to_do(mlflow_home):
    assert prune(NAME, EVERYTHING).going == ()
    assert not Path("mlflow.db").exists()


def test_rollback_needs_the_champions_before_today_and_those_of_late(promoted):
    promote(NAME, "4", reason="a test")
    rollback(NAME)
    rollback(NAME)  # the stack is 1, 2; 3 and 4 were champion last
    versions, history = list_versions(NAME), read_history(NAME)
    assert spared_versions(versions, history, 0) == {2, 7}
    assert spared_versions(versions, history, 1) == {1, 2, 3, 7}
    assert spared_versions(versions, history, 2) == {1, 2, 3, 4, 7}
    move_by_hand(5)
    assert spared_versions(list_versions(NAME), history, 1) >= {5, 2, 7}


def test_a_version_that_was_deleted_takes_nobodys_place(promoted):
    mlflow.MlflowClient().delete_model_version(NAME, "2")
    assert spared_versions(list_versions(NAME), read_history(NAME), 1) == {1, 3, 7}


def test_what_users_have_is_not_touched(promoted):
    """Nothing else in var/ is touched, wherever it lies."""
    mine = [Path("var/kindred.db"), Path("var/notes.json"), CACHE / "notes", Path("var/milvus/x")]
    for path in mine:
        path.write_text(json.dumps({"kept": True}))
    prune(NAME, EVERYTHING)
    assert all(path.exists() for path in mine)
