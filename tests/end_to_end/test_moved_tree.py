"""The tiny pipeline's tree is moved, then copied: both go on where they are."""

import json
import os
import shutil
import subprocess
import sys

import httpx
import pytest

from tests.end_to_end.test_serving import Service

pytestmark = pytest.mark.slow

QUERY = "a gift for a mother who loves gardening"


@pytest.fixture(scope="module")
def moved(tiny, tmp_path_factory):
    """A copy of the tiny pipeline's project, moved to a name that a URI would encode."""
    root = tmp_path_factory.mktemp("moved")
    shutil.copytree(tiny.folder, root / "tree", symlinks=True)
    project = tiny.__class__(root / "tree")
    project.kindred("status")
    shutil.rmtree(root / "tree/var/bundles", ignore_errors=True)
    return tiny.__class__((root / "tree").rename(root / "50%20 ü"))


def _versions(project):
    found = json.loads(project.kindred("status", "--json").stdout)["versions"]
    return {version["version"]: version["aliases"] for version in found}


def _register_another(project):
    """What a run with another parameter of the last stage leaves."""
    project.set_params({"register": {"thumbnail_side": 100}})
    project.repro("register")


def _content(folder):
    """Digests of what a copy could have touched: all files but caches of Python."""
    listed = subprocess.run(
        "find . -type f -not -name '*.pyc' -print0 | sort -z | xargs -0 sha256sum",
        cwd=folder, shell=True, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return listed.stdout.splitlines()


def test_a_moved_tree_searches_promotes_serves_and_rolls_back(moved):
    root = moved.folder.parent
    assert moved.run("dvc", "status").stdout.strip() == "Data and pipelines are up to date."
    found = moved.kindred("search", QUERY, "--offline", "--json", "-k", "5")
    hits = [hit["product_id"] for hit in json.loads(found.stdout)["hits"]]
    moved.kindred("promote")
    _register_another(moved)
    assert _versions(moved) == {1: ["champion"], 2: ["challenger"]}
    moved.kindred("promote", "2", "--force", "--reason", "a test")
    moved.kindred("rollback")
    service = Service(moved)
    try:
        answer = httpx.post(f"{service.url}/v1/search", json={"query": QUERY, "k": 5}).json()
    finally:
        service.stop()
    assert [hit["product_id"] for hit in answer["hits"]] == hits
    assert len(list(moved.folder.glob("mlruns/1/models/*/artifacts/MLmodel"))) == 2
    assert [path.name for path in root.iterdir()] == [moved.folder.name]


def test_a_copy_and_its_original_do_not_touch_each_other(moved, tmp_path):
    before = _content(moved.folder)
    shutil.copytree(moved.folder, tmp_path / "copy", symlinks=True)
    copy = moved.__class__(tmp_path / "copy")
    hidden = moved.folder.rename(tmp_path / "hidden")  # would be missed if the copy read it
    shutil.rmtree(copy.folder / "var/bundles")
    copy.set_params({"register": {"thumbnail_side": 90}})
    copy.repro("register")
    newest = max(_versions(copy))
    copy.kindred("promote", str(newest), "--force", "--reason", "a test")
    copy.kindred("search", QUERY, "--offline", "--version", "1")
    assert not moved.folder.exists()
    hidden.rename(moved.folder)
    assert _content(moved.folder) == before
    assert newest not in _versions(moved)
    assert "champion" in _versions(moved)[1]


# Root writes everywhere, unless it gives that up.
OTHER = ["setpriv", "--inh-caps=-dac_override", "--bounding-set=-dac_override"]


def test_a_tree_that_this_user_cannot_write_can_be_read(moved, tmp_path):
    project = moved.__class__(tmp_path / "locked")
    shutil.copytree(moved.folder, project.folder, symlinks=True)
    project.env["PYTHONDONTWRITEBYTECODE"] = "1"
    project.run("chmod", "-R", "a-w", ".")
    before = _content(project.folder)
    as_other = OTHER if os.geteuid() == 0 else []

    def run(*module):
        return project.run(*as_other, sys.executable, "-m", *module, check=False)

    try:
        assert run("services.cli", "status").returncode == 0
        assert "version 1" in run("services.cli", "history").stdout
        found = run("services.cli", "search", QUERY, "--offline", "--version", "1")
        assert found.returncode == 0, found.stderr
        for module in (
            ["services.cli", "promote", "--dry-run"],
            ["services.cli", "promote"],
            ["services.cli", "rollback"],
            ["services.cli", "serve"],
            ["pipelines.register"],
        ):
            refused = run(*module)
            assert refused.returncode == 1
            assert "cannot write" in refused.stderr.splitlines()[-1]
            assert "Traceback" not in refused.stderr
        assert _content(project.folder) == before
    finally:
        project.run("chmod", "-R", "u+w", ".")
