"""A DVC remote by setting: what one checkout computed, another one has without computing."""

import json
import shutil
import sys

import pytest

pytestmark = pytest.mark.slow

AUTHOR = ("-c", "user.name=test", "-c", "user.email=test@localhost")


@pytest.fixture(scope="module")
def pushed(tiny, tmp_path_factory):
    """A project whose run is committed and pushed, and the folder that it was pushed to."""
    home = tmp_path_factory.mktemp("remote")
    shutil.copytree(tiny.folder, home / "project", symlinks=True)
    project = tiny.__class__(home / "project")
    project.run("dvc", "remote", "add", "--default", "store", str(home / "store"))
    project.run("git", "add", "--all")
    project.run("git", *AUTHOR, "commit", "--quiet", "--message", "run")
    project.run("dvc", "push")
    return project


@pytest.fixture(scope="module")
def clone(pushed):
    folder = pushed.folder.with_name("clone")
    pushed.run("git", "clone", "--quiet", str(pushed.folder), str(folder))
    return pushed.__class__(folder)


def _digests(project):
    status = json.loads(project.kindred("status", "--json").stdout)
    return [version["bundle_sha256"] for version in status["versions"]]


def test_a_clone_that_pulled_has_nothing_to_run(clone):
    clone.run("dvc", "pull")
    done = clone.repro()
    assert "Data and pipelines are up to date" in done.stdout
    assert "Running stage" not in done.stdout
    assert clone.run("git", "status", "--porcelain").stdout == ""


def test_its_registry_is_empty_and_every_verb_says_what_fills_it(clone):
    assert "python -m pipelines.register" in clone.kindred("status").stdout
    for verb in (["promote"], ["search", "a mug", "--offline"]):
        refused = clone.kindred(*verb, check=False)
        assert refused.returncode == 1
        assert "python -m pipelines.register" in refused.stderr
    assert not (clone.folder / "mlflow.db").exists()


def test_registered_there_it_is_the_same_version_once(pushed, clone):
    for state in ("new", "already registered"):
        assert state in clone.run(sys.executable, "-m", "pipelines.register").stdout
    assert _digests(clone) == _digests(pushed)
    clone.repro()
    assert "up to date" in clone.repro().stdout
    assert _digests(clone) == _digests(pushed)
    clone.kindred("promote")
    assert clone.kindred("search", "a red mug", "--offline", "--json").returncode == 0
