"""`kindred package` as it is typed, and the version that a package serves."""

import asyncio
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from registry.errors import RegistryError, UnknownVersionError, UnreachableError
from registry.packaged_model import write_packaged
from registry.packaging import Package
from services.cli import main
from services.commands import package_command
from services.search.live import Live
from services.search.source import Packaged

ROOT = Path(__file__).parents[2]
WITHOUT_MLFLOW = """\
import sys
from pathlib import Path

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("mlflow", "dvc", "great_expectations"):
            raise ImportError(f"a package has no {name}")

sys.meta_path.insert(0, Refuse())
import services.packaged
from registry.catalogue_index import ensure_collections
from services.search.source import Packaged
source = Packaged(lambda: Path(sys.argv[1]))
version = source.find()
ensure_collections(source.fetch(version))
sys.stdout.write(f"{version.number} {services.packaged._live.source.follows}")
"""


@pytest.fixture
def made(version, monkeypatch: pytest.MonkeyPatch):
    """What packaging is said to come to."""
    monkeypatch.setenv("BENTOML_DO_NOT_TRACK", "True")

    def come_to(created: bool, docker: bool) -> None:
        def package(name, wanted, report):
            report("it is built")
            return Package(version, "kindred:3-dddd", Path("/srv/bentoml"), created)

        monkeypatch.setattr("registry.packaging.package", package)
        monkeypatch.setattr(package_command, "_docker_answers", lambda: docker)

    return come_to


def test_it_says_where_the_bento_is_and_what_to_do_with_it(made, capsys) -> None:
    made(created=True, docker=True)
    assert main(["package"]) == 0
    told = capsys.readouterr()
    assert told.err == "  it is built\n"
    first, *rest = told.out.splitlines()
    assert first == "version 3 of kindred is kindred:3-dddd in BentoML's store /srv/bentoml"
    assert rest[0].strip() == "bentoml serve kindred:3-dddd"
    assert rest[-1].strip() == "bentoml containerize kindred:3-dddd"


def test_without_docker_it_says_what_to_run_where_there_is_one(made, capsys) -> None:
    made(created=False, docker=False)
    assert main(["package", "3"]) == 0
    first, *_, last = capsys.readouterr().out.splitlines()
    assert "already" in first
    assert "`bentoml delete kindred:3-dddd`" in first
    assert "no Docker answers" in last
    assert "`bentoml import /path/to/kindred.tar`" in last


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UnknownVersionError("no such"), 2),
        (RegistryError("it is damaged"), 1),
        (UnreachableError("no MLflow"), 4),
        (PermissionError("the store cannot be written"), 1),
    ],
)
def test_what_goes_wrong_is_one_line_with_its_code(error, code, monkeypatch, capsys) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("registry.packaging.package", fail)
    assert main(["package"]) == code
    assert capsys.readouterr().err == f"kindred package: {error}\n"


@pytest.fixture
def packaged(tmp_path: Path, version, bundle) -> Path:
    folder = tmp_path / "packaged"
    folder.mkdir()
    write_packaged(folder, replace(version, digest=bundle.digest), bundle)
    return folder


def test_a_package_is_served_and_nothing_followed(packaged, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    live = Live(Packaged(lambda: packaged))
    live.start()
    try:
        assert (live.engine.version.number, live.engine.version.aliases) == (3, ())
        assert live.engine.bundle.folder == packaged / "bundle"
        assert len(live.engine.products) == 5
        asyncio.run(asyncio.wait_for(live.watch(), 1))  # there is nothing to wait for
    finally:
        live.close()


def test_a_damaged_package_is_named(packaged) -> None:
    (packaged / "bundle/metrics.json").write_text("{ }")
    with pytest.raises(ValueError, match=r"metrics.json: got"):
        Packaged(lambda: packaged).find()


def test_a_package_of_another_bundle_is_refused(packaged, version, tmp_path) -> None:
    text = (packaged / "version.json").read_text()
    found = Packaged(lambda: packaged).find().digest
    (packaged / "version.json").write_text(text.replace(found, "e" * 64))
    with pytest.raises(ValueError, match=rf"got content {found}, expected eeee"):
        Packaged(lambda: packaged).find()


def test_a_package_is_served_without_the_registrys_libraries(packaged, tmp_path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WITHOUT_MLFLOW, packaged],
        cwd=tmp_path, env={"PYTHONPATH": str(ROOT), "PATH": "", "HOME": str(tmp_path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == "3 nothing", done.stderr
