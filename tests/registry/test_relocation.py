"""A tree that was moved or copied, against a real MLflow; what its files are is of no matter."""

import os
import shutil
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import mlflow
import pytest

from registry import database, relocation, tracking
from registry.bundle_writer import write_bundle
from registry.database import open_database
from registry.errors import RegistryError
from registry.relocation import PLACE, Move, settle
from registry.store import fetch_bundle, register_bundle
from registry.versions import CHAMPION, champion_number, find_version, list_versions, set_alias

NAME = "kindred"
ODD = "odd name ü #1"


@pytest.mark.parametrize(
    ("location", "after"),
    [
        ("/a/tree/mlruns/1", "/b/new tree/mlruns/1"),
        ("/a/tree", "/b/new tree"),
        ("/a/tree/with space/ü", "/b/new tree/with space/ü"),
        ("/a/tree/50%25", "/b/new tree/50%25"),
        ("file:///a/tree/with%20space", "file:///b/new%20tree/with%20space"),
        ("file://localhost/a/tree/x", "file:///b/new%20tree/x"),
        ("/a/tree2/mlruns/1", None),
        ("/a/tre", None),
        ("/outside/a/tree/1", None),
        ("file://host/a/tree/1", None),
        ("s3://a/tree/1", None),
        ("http://host/a/tree/1", None),
        ("mlflow-artifacts:/a/tree/1", None),
        ("models:/m-1", None),
        ("mlruns/1", None),
    ],
)
def test_what_lies_in_the_tree_follows_and_nothing_else(location, after):
    move = Move(Path("/a/tree"), Path("/b/new tree"))
    assert move.relocate(location) == (after or location)


def test_a_tree_that_moves_into_itself_or_out_again_follows_once():
    inwards = Move(Path("/a/tree"), Path("/a/tree/old"))
    assert inwards.relocate("/a/tree/mlruns/1") == "/a/tree/old/mlruns/1"
    outwards = Move(Path("/a/tree/old"), Path("/a/tree"))
    assert outwards.relocate("/a/tree/old/mlruns/1") == "/a/tree/mlruns/1"
    assert outwards.relocate("/a/tree/mlruns/1") == "/a/tree/mlruns/1"


def test_a_location_by_way_of_a_link_is_known(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    move = Move(tmp_path / "tree", tmp_path / "new")
    location = str(tmp_path / "link/tree/mlruns/1")
    assert move.relocate(location) == str(tmp_path / "new/mlruns/1")


def test_percent_signs_survive_any_number_of_moves():
    places = [Path(place) for place in ("/a/50%20", "/b/50%2520", "/c/plain", "/d/%", "/a/50%20")]
    location = "/a/50%20/mlruns/1"  # as MLflow records it, and reads it as /a/50 /mlruns/1
    location = Move(places[0], places[0]).relocate(location)
    first = location
    for former, here in pairwise(places):
        location = Move(former, here).relocate(location)
        assert Move(here, here).relocate(location) == location
    assert location == first == "/a/50%2520/mlruns/1"


@pytest.fixture(scope="module")
def template(tmp_path_factory, make_sources):
    """A tree with one version, and beside it the bundle of another."""
    root = tmp_path_factory.mktemp("template")
    sources = make_sources(root / "made")
    write_bundle(root / "first", sources)
    (sources.model / "weights").write_text("v")
    write_bundle(root / "second", sources)
    tree = root / "tree"
    tree.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tree)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tree}/mlflow.db")
        register_bundle(root / "first", NAME)
        client = mlflow.MlflowClient()
        client.create_experiment("another")
        client.create_experiment("outside", artifact_location=str(root / "outside"))
        client.create_experiment("in a bucket", artifact_location="s3://bucket/mlruns")
    return root


@pytest.fixture
def enter(monkeypatch):
    """Work in a tree."""

    def change(tree):
        monkeypatch.chdir(tree)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tree}/mlflow.db")
        return tree

    return change


@pytest.fixture
def tree(template, tmp_path, enter):
    """A tree with one version."""
    shutil.copytree(template / "tree", tmp_path / "tree")
    enter(tmp_path / "tree")
    tracking.connect()
    return tmp_path / "tree"


def _rows(tree, query="SELECT artifact_location FROM experiments ORDER BY experiment_id"):
    with closing(sqlite3.connect(tree / "mlflow.db")) as opened:
        return [row[0] for row in opened.execute(query)]


def _state(tree):
    files = {path: path.read_bytes() for path in tree.glob("mlruns/**/*") if path.is_file()}
    with closing(sqlite3.connect(tree / "mlflow.db")) as opened:
        return files, list(opened.iterdump())


@pytest.mark.parametrize("name", ["new", ODD])
def test_a_moved_tree_reads_and_writes_where_it_is(tree, template, enter, tmp_path, name):
    tree.rename(tmp_path / name)
    moved = enter(tmp_path / name)
    bundle = fetch_bundle(find_version(NAME))
    assert (bundle.folder / "model/weights").read_text() == "w"
    version = register_bundle(template / "second", NAME).version
    assert version.number == 2
    assert (fetch_bundle(version).folder / "model/weights").read_text() == "v"
    assert len(list(moved.glob("mlruns/1/models/*/artifacts/MLmodel"))) == 2
    assert {path.name for path in tmp_path.iterdir()} == {name}
    again = moved.rename(tmp_path / "again")
    enter(again)
    shutil.rmtree(again / "var")
    assert fetch_bundle(find_version(NAME, "2")).digest == version.digest


def test_a_copy_and_its_original_do_not_know_each_other(tree, template, enter, tmp_path):
    original = _state(tree)
    shutil.copytree(tree, tmp_path / "copy")
    copy = enter(tmp_path / "copy")
    set_alias(register_bundle(template / "second", NAME).version, CHAMPION)
    shutil.rmtree(tree / "mlruns")  # would be missed if the copy read it
    assert {fetch_bundle(version).digest for version in list_versions(NAME)} == {
        version.digest for version in list_versions(NAME)
    }
    for path, content in original[0].items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert _state(tree) == original
    enter(tree)
    assert champion_number(NAME) is None
    assert len(list_versions(NAME)) == 1
    assert len(list(copy.glob("mlruns/1/models/*"))) == 2


def test_what_lies_elsewhere_stays_there(tree, template, enter, tmp_path):
    enter(tree.rename(tmp_path / "new"))
    tracking.connect()
    new = tmp_path / "new"
    outside = [str(template / "outside"), "s3://bucket/mlruns"]
    assert _rows(new) == [*[str(new / "mlruns" / str(n)) for n in range(3)], *outside]


def test_when_nothing_moved_one_query_answers(tree):
    asked = []
    with closing(sqlite3.connect(tree / "mlflow.db")) as opened:
        opened.set_trace_callback(asked.append)
        assert settle(opened, tree.resolve()) == 0
    assert len(asked) == 1
    assert asked[0].startswith("SELECT")


def test_all_of_it_or_nothing(tree, enter, tmp_path, monkeypatch):
    new = enter(tree.rename(tmp_path / "new"))
    before = _state(new)
    calls = []

    def fails(self, location):
        calls.append(location)
        if len(calls) > 3:
            raise OSError("killed")
        return location + "x"

    with monkeypatch.context() as patch:
        patch.setattr(relocation.Move, "relocate", fails)
        with (
            closing(sqlite3.connect(new / "mlflow.db", isolation_level=None)) as opened,
            pytest.raises(sqlite3.OperationalError),
        ):
            settle(opened, new)
    assert _state(new) == before
    assert fetch_bundle(find_version(NAME)).digest


def test_several_processes_that_find_it_moved_agree(tree, enter, tmp_path):
    new = enter(tree.rename(tmp_path / "new"))

    def look(_):
        with closing(
            sqlite3.connect(new / "mlflow.db", timeout=30, isolation_level=None)
        ) as opened:
            return settle(opened, new)

    with ThreadPoolExecutor(4) as threads:
        changed = sorted(threads.map(look, range(4)))
    assert changed[:3] == [0, 0, 0]
    assert changed[3] > 0


class TestOfAStoreWithoutANote:
    """Made before locations followed."""

    @pytest.fixture
    def old(self, tree, template, tmp_path):
        with closing(sqlite3.connect(tree / "mlflow.db")) as opened:
            opened.execute("DELETE FROM experiment_tags WHERE key = ?", (PLACE,))
            opened.commit()
        return tree.rename(tmp_path / "new")

    def test_its_tree_is_known_by_its_first_experiment(self, old, enter, tmp_path):
        enter(old)
        assert fetch_bundle(find_version(NAME)).digest
        assert _rows(old)[0] == str(old / "mlruns/0")
        assert not (tmp_path / "tree").exists()

    def test_what_was_written_to_the_old_place_since_is_found_there(self, old, enter, tmp_path):
        (kept,) = old.glob("mlruns/1/models/*")
        stray = tmp_path / "tree/mlruns/1/models" / kept.name
        stray.parent.mkdir(parents=True)
        kept.rename(stray)
        enter(old)
        assert fetch_bundle(find_version(NAME)).digest
        assert _rows(old)[1] == str(old / "mlruns/1")

    def test_a_database_apart_from_the_tree_is_left_alone(self, old, enter, tmp_path, monkeypatch):
        enter(old)
        before = _rows(old)
        (tmp_path / "apart").mkdir()
        for part in old.glob("mlflow.db*"):
            part.rename(tmp_path / "apart" / part.name)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/apart/mlflow.db")
        tracking.connect()
        assert _rows(tmp_path / "apart") == before


def test_what_cannot_be_written_can_be_read(tree, template, enter, tmp_path, monkeypatch):
    new = enter(tree.rename(tmp_path / "new"))
    before = _state(new)
    monkeypatch.setattr(database, "is_writable", lambda path: False)
    monkeypatch.setattr(tracking, "is_writable", lambda path: False)
    (version,) = list_versions(NAME)
    assert fetch_bundle(version).digest == version.digest
    for act in (
        tracking.check_writable,
        lambda: set_alias(version, CHAMPION),
        lambda: register_bundle(template / "second", NAME),
    ):
        with pytest.raises(RegistryError, match=r"cannot write .*cp -r"):
            act()
    assert _state(new) == before
    monkeypatch.undo()
    enter(new)
    set_alias(version, CHAMPION)
    monkeypatch.setattr(database, "is_writable", lambda path: False)
    assert champion_number(NAME) == 1  # not what was read before


REGISTER = """
import sys
from pathlib import Path
from registry.store import fetch_bundle, register_bundle
version = register_bundle(Path(sys.argv[1]), "kindred").version
print(version.number, fetch_bundle(version).digest == version.digest)
"""


@pytest.mark.slow
def test_a_percent_sign_in_the_trees_name_is_no_space(template, tmp_path):
    """MLflow reads it so: it would write into another folder."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW")}
    home = tmp_path / "odd%20name"
    home.mkdir()
    for bundle, expected in (("first", "1 True"), ("first", "1 True"), ("second", "2 True")):
        done = subprocess.run(
            [sys.executable, "-c", REGISTER, str(template / bundle)],
            cwd=home, env=env, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.stdout.strip() == expected, done.stderr
        assert [path.name for path in tmp_path.iterdir()] == [home.name]
        shutil.rmtree(home / "var")
        home = home.rename(tmp_path / f"{home.name}%2520ü")
    assert len(list(home.glob("mlruns/1/models/*/artifacts/MLmodel"))) == 2


def test_the_default_address_does_as_well(tree, tmp_path, monkeypatch):
    new = tree.rename(tmp_path / "new")
    monkeypatch.chdir(new)
    open_database(Path("mlflow.db"), f"sqlite:///{new}/mlflow.db", "kindred")
    assert _rows(new)[1] == str(new / "mlruns/1")
