"""A version becomes a Bento in a store of BentoML's, whole or not at all."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from registry import packaging
from registry.bundle import Bundle, open_bundle
from registry.errors import RegistryError
from registry.package_requirements import (
    NOT_SERVED,
    needed_distributions,
    read_lock,
    serving_requirements,
)
from registry.packaged_model import read_packaged
from registry.versions import Version
from tests.forks import Forks

ROOT = Path(__file__).parents[2]
KILLED = """\
import os, signal, sys
from pathlib import Path
from registry import packaging

step, real = sys.argv[1], None

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

if step == "copying":
    import shutil
    real = shutil.copyfile
    def half(source, target, **how):
        if "teaching.json" in str(source) or "app.py" in str(source):
            die()
        return real(source, target, **how)
    shutil.copyfile = half
elif step == "building":
    import bentoml
    bentoml.bentos.build = die
else:
    real = packaging._move
    def move(draft, place):
        if f"/{step}/" in str(place):
            die()
        real(draft, place)
    packaging._move = move
"""
# The one version of a registry without MLflow.
ALONE = """\
import sys
from pathlib import Path
from registry import packaging
from registry.bundle import open_bundle
from tests.registry.test_packaging import a_version

bundle = open_bundle(Path(sys.argv[-1]))
packaging.find_version = lambda name, wanted: a_version(bundle)
packaging.fetch_bundle = lambda version: bundle
"""
RUN = "packaging.package('kindred', '1')"


def a_version(bundle: Bundle) -> Version:
    return Version(
        name="kindred",
        number=1,
        digest=bundle.digest,
        run_id="run",
        created=datetime(2026, 1, 2, tzinfo=UTC),
        aliases=("champion",),
        verdicts={"labels": "passed", "retrieval": "passed"},
        metrics={"persona_percentile": 0.95},
    )


@pytest.fixture
def version(bundle_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Version:
    """The one version of a registry without MLflow."""
    bundle = open_bundle(bundle_folder)
    version = a_version(bundle)
    monkeypatch.setattr(packaging, "find_version", lambda name, wanted: version)
    monkeypatch.setattr(packaging, "fetch_bundle", lambda version: bundle)
    return version


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """BentoML's home for this test; BentoML itself reads it once a process."""
    from bentoml._internal.configuration.containers import BentoMLContainer

    home = tmp_path / "bentoml"
    for name in ("bentos", "models", "tmp"):
        (home / name).mkdir(parents=True)
    monkeypatch.setenv("BENTOML_HOME", str(home))
    monkeypatch.setenv("BENTOML_DO_NOT_TRACK", "True")
    containers = {
        BentoMLContainer.bentoml_home: str(home),
        BentoMLContainer.bento_store_dir: str(home / "bentos"),
        BentoMLContainer.model_store_dir: str(home / "models"),
    }
    for container, value in containers.items():
        container.set(value)
    for cached in (BentoMLContainer.bento_store, BentoMLContainer.model_store):
        cached.reset()
    yield home
    for container in containers:
        container.reset()


def bento_list(home: Path) -> list[str]:
    from bentoml._internal.bento import BentoStore

    return [str(bento.tag) for bento in BentoStore(home / "bentos").list()]


def test_the_bento_carries_version_code_and_locked_requirements(
    version, store, bundle_folder
) -> None:
    steps: list[str] = []
    done = packaging.package("kindred", report=steps.append)
    assert done.created
    assert done.tag == f"kindred:1-{version.digest[:12]}"
    assert bento_list(store) == [done.tag]
    assert len(steps) == 3
    import bentoml

    bento = bentoml.bentos.get("kindred:latest")
    sums = (bundle_folder / "SHA256SUMS").read_text()
    labels = bento.info.labels
    assert labels["version"] == "1"
    assert labels["digest"] == version.digest
    assert f"{labels['dataset']}  products.parquet" in sums
    assert labels["commit"] == "c0ffee"
    assert [str(model.tag) for model in bento.info.all_models] == [done.tag]
    packaged, bundle = read_packaged(Path(bentoml.models.get(done.tag).path))
    assert (packaged.number, packaged.digest, packaged.aliases) == (1, version.digest, ())
    assert bundle.digest == version.digest
    folder = Path(bento.path)
    assert (folder / "src/services/page/index.html").exists()
    assert (folder / "src/services/store/migrations/versions/0001_concepts.py").exists()
    assert not (folder / "src/pipelines").exists()
    assert "bentoml serve" in (folder / "README.md").read_text()
    requirements = (folder / "env/python/requirements.txt").read_text()
    assert re.search(r"^torch==\S+ \\\n    --hash=sha256:", requirements, re.MULTILINE)
    assert not re.search(r"^(mlflow|dvc|great-expectations)\b", requirements, re.MULTILINE)
    dockerfile = (folder / "env/docker/Dockerfile").read_text()
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert f"FROM python:{python}-slim" in dockerfile
    assert "ENV OPENBLAS_NUM_THREADS=$OPENBLAS_NUM_THREADS" in dockerfile


def test_twice_is_one_bento(version, store) -> None:
    first = packaging.package("kindred", "1")
    made = (store / "bentos/kindred").stat().st_mtime_ns
    again = packaging.package("kindred", "challenger")
    assert (first.tag, first.created, again.created) == (again.tag, True, False)
    assert (store / "bentos/kindred").stat().st_mtime_ns == made
    shutil.rmtree(store / "models/kindred")  # somebody deleted the model: it comes back
    assert not packaging.package("kindred", "1").created
    assert (store / "models/kindred" / first.tag.partition(":")[2]).is_dir()


def test_a_damaged_model_in_the_store_is_named(version, store) -> None:
    tag = packaging.package("kindred", "1").tag
    model = store / "models" / tag.replace(":", "/")
    (model / "bundle/model/weights").write_text("other")
    shutil.rmtree(store / "bentos/kindred")
    with pytest.raises(RegistryError, match=rf"weights: got .* `bentoml models delete {tag}`"):
        packaging.package("kindred", "1")
    (model / "version.json").unlink()
    with pytest.raises(RegistryError, match="does not say which version"):
        packaging.package("kindred", "1")
    assert bento_list(store) == []


def test_a_tag_is_one_that_bentoml_takes(version) -> None:
    from dataclasses import replace

    from bentoml import Tag

    for name in ("kindred", "My Model", "_x_", "ü"):
        tag = packaging.tag_of(replace(version, name=name))
        assert str(Tag.from_str(tag)) == tag


def test_it_names_no_place_no_key_and_no_index(version, store, tmp_path, monkeypatch) -> None:
    """Opened with tar, as a stranger would who got the file."""
    monkeypatch.setenv("KINDRED_KEY", "kindred-secret-of-this-shell")
    monkeypatch.setenv("UV_INDEX_URL", "https://user:pass@packages.invalid/simple")
    monkeypatch.setenv("PIP_INDEX_URL", "https://user:pass@packages.invalid/simple")
    tag = packaging.package("kindred", "1").tag
    import bentoml

    path = bentoml.bentos.export_bento(tag, str(tmp_path / "kindred.tar"))
    opened = tmp_path / "opened"
    opened.mkdir()
    subprocess.run(["tar", "-xf", path, "-C", opened], check=True)
    assert (opened / "models" / tag.replace(":", "/") / "bundle/SHA256SUMS").exists()
    names = {path.relative_to(opened).as_posix() for path in opened.rglob("*")}
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]
    places = {str(ROOT), str(tmp_path), str(Path.home()), os.environ.get("VIRTUAL_ENV") or "/venv/"}
    secrets = {"kindred-secret-of-this-shell", "packages.invalid", "/simple", "--index-url"}
    forbidden = [word.encode() for word in places | secrets if len(word) > 3]
    found = [
        (path.relative_to(opened).as_posix(), word)
        for path in opened.rglob("*")
        if path.is_file()
        for word in forbidden
        if word in path.read_bytes()
    ]
    assert found == []


@pytest.mark.slow
@pytest.mark.parametrize("step", ["copying", "models", "building", "bentos"])
def test_killed_anywhere_there_is_no_half_bento_and_the_next_run_completes(
    step: str, version, store, bundle_folder
) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    killed = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", KILLED + ALONE + RUN, step, str(bundle_folder)],
        env=env, check=False,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL
    assert bento_list(store) == []
    for model in (store / "models").glob("kindred/*/"):
        read_packaged(model)
    done = packaging.package("kindred", "1")
    assert done.created
    assert bento_list(store) == [done.tag]
    assert not [*(store / "tmp").glob("kindred-package.*")]


@pytest.mark.slow
def test_killed_at_three_random_moments_no_half_bento_is_listed(
    version, store, bundle_folder
) -> None:
    draw, killed = random.Random(0), 0
    imports = f"import sys, bentoml, services.packaged\nsys.argv[1:] = [{str(bundle_folder)!r}]\n"
    with Forks(imports + ALONE) as forks:
        for _ in range(3):
            ended = forks.run(RUN, draw.uniform(0, 0.8))  # it takes 0.8
            killed += ended == -signal.SIGKILL
            for tag in bento_list(store):  # ended before
                shutil.rmtree(store / "bentos" / tag.replace(":", "/"))
            for model in (store / "models").glob("kindred/*/"):
                read_packaged(model)
    assert killed >= 2, "they ended before they were killed"
    done = packaging.package("kindred", "1")
    assert done.created
    assert bento_list(store) == [done.tag]
    assert not [*(store / "tmp").glob("kindred-package.*")]


def test_what_serving_needs_is_a_part_of_what_is_locked() -> None:
    needed = needed_distributions()
    assert {"torch", "bentoml", "milvus-lite", "uvicorn", "psycopg", "tokenizers"} <= needed
    assert not needed & {"mlflow", "dvc", "great-expectations", "pytest", "ruff"}
    assert needed < read_lock(ROOT / "requirements.lock").keys()


def test_what_is_left_out_is_named_by_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    own = {canonicalize_name(Requirement(one).name) for one in project["dependencies"]}
    assert own >= NOT_SERVED


def test_a_lock_that_lacks_something_is_told(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("torch==2.14.1 \\\n    --hash=sha256:0\n")
    with pytest.raises(RegistryError, match=r"has no .*bentoml.*: run `make lock`"):
        serving_requirements(lock)
    assert re.search(r"^torch==\d", serving_requirements(tmp_path / "none"), re.MULTILINE)


def test_every_kind_of_line_of_a_lock_is_read(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(
        "a-b==1 \\\n    --hash=sha256:1 \\\n    --hash=sha256:2\n"
        "c[x]==2 ; sys_platform == 'linux' \\\n    --hash=sha256:3\n"
        "c==3 ; sys_platform != 'linux' \\\n    --hash=sha256:4\n"
    )
    locked = read_lock(lock)
    assert locked["a-b"] == "a-b==1 \\\n    --hash=sha256:1 \\\n    --hash=sha256:2\n"
    assert locked["c"].count("==") == 2 + 1  # both pins, and one condition
    assert [*locked] == ["a-b", "c"]
