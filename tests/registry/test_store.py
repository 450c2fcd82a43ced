"""Against a real MLflow: a database and artifacts of their own for every test."""

import shutil
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest

from registry import logged_model, store, tracking
from registry.errors import RegistryError, UnknownVersionError, UnreachableError
from registry.store import fetch_bundle, register_bundle
from registry.versions import champion_number, find_version, list_versions

STUB_ENCODER = """\
class Stub:
    def __init__(self, weights):
        self.weights = weights

    def encode_texts(self, texts):
        import numpy as np
        return np.array([[float(len(t)), float(len(self.weights))] for t in texts], "float32")


def load_encoder(folder, device="cpu"):
    return Stub((folder / "weights").read_text())
"""

LOAD_AND_PREDICT = """\
import mlflow, pandas
model = mlflow.pyfunc.load_model("models:/kindred@challenger")
print(model.predict(["ab", "abc"]))
print(model.predict(pandas.DataFrame({"text": ["ab"]})))
"""


@pytest.fixture(autouse=True)
def stub_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "code" / "retrieval"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "encoder.py").write_text(STUB_ENCODER)
    monkeypatch.setattr(logged_model, "code_folder", lambda: folder)


def test_twice_is_one_version(bundle_folder: Path, changed, mlflow_home: Path) -> None:
    first = register_bundle(bundle_folder, "kindred")
    again = register_bundle(changed(runs={"base": "run-2"}, parent=1), "kindred")
    assert (first.created, again.created) == (True, False)
    assert first.version == again.version
    (version,) = list_versions("kindred")
    assert version.aliases == ("challenger",)
    assert version.verdicts == {"labels": "passed", "retrieval": "passed"}
    assert version.metrics["persona_percentile"] == 0.95
    assert version.run_id
    tags = mlflow.MlflowClient().get_model_version("kindred", "1").tags
    assert (tags["git_commit"], tags["teacher"], tags["parent"]) == ("c0ffee", "simulated", "none")


def test_other_content_is_another_version(bundle_folder: Path, changed, mlflow_home: Path) -> None:
    register_bundle(bundle_folder, "kindred")
    other = changed(weights="v")
    assert register_bundle(other, "kindred").version.number == 2
    assert [v.aliases for v in list_versions("kindred")] == [("challenger",), ()]
    # Back to the first content: no third version, only the alias moves.
    assert register_bundle(bundle_folder, "kindred").version.number == 1
    assert [v.aliases for v in list_versions("kindred")] == [(), ("challenger",)]


@pytest.mark.parametrize("step", ["register_model", "set_registered_model_alias"])
def test_killed_on_the_way_it_finishes(
    step: str, bundle_folder: Path, mlflow_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        target = mlflow if step == "register_model" else mlflow.MlflowClient
        patch.setattr(target, step, killed)
        with pytest.raises(KeyboardInterrupt):
            register_bundle(bundle_folder, "kindred")
    assert register_bundle(bundle_folder, "kindred").version.number == 1
    assert [v.aliases for v in list_versions("kindred")] == [("challenger",)]


def test_a_version_without_a_bundle_is_left_out(bundle_folder: Path, mlflow_home: Path) -> None:
    tracking.connect()
    client = mlflow.MlflowClient()
    client.create_registered_model("kindred")
    client.create_model_version("kindred", source=str(bundle_folder))
    assert list_versions("kindred") == []
    assert register_bundle(bundle_folder, "kindred").version.number == 2


def test_find_by_number_alias_and_default(bundle_folder: Path, changed, mlflow_home: Path) -> None:
    register_bundle(bundle_folder, "kindred")
    register_bundle(changed(weights="v"), "kindred")
    assert find_version("kindred").number == 2
    assert champion_number("kindred") is None
    mlflow.MlflowClient().set_registered_model_alias("kindred", "champion", "1")
    assert find_version("kindred").number == 1
    assert champion_number("kindred") == 1
    assert find_version("kindred", "2") == find_version("kindred", "challenger")
    with pytest.raises(UnknownVersionError, match=r"got version '9' .* 2, 1, challenger, champion"):
        find_version("kindred", "9")
    with pytest.raises(RegistryError, match=r"no version of other .* run `make repro`"):
        find_version("other")


def test_fetched_once_checked_always(
    bundle_folder: Path, mlflow_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = register_bundle(bundle_folder, "kindred").version
    bundle = fetch_bundle(version)
    assert bundle.folder == Path("var/bundles") / version.digest
    with monkeypatch.context() as patch:
        patch.setattr(store, "_download", lambda *_: pytest.fail("downloaded again"))
        assert fetch_bundle(version).digest == version.digest
    (bundle.folder / "model" / "weights").write_text("damaged")
    assert fetch_bundle(version).digest == version.digest
    assert (bundle.folder / "model" / "weights").read_text() == "w"


def test_damage_in_the_registry_is_named(bundle_folder: Path, mlflow_home: Path) -> None:
    version = register_bundle(bundle_folder, "kindred").version
    (stored,) = mlflow_home.glob("mlruns/**/artifacts/bundle/model/weights")
    stored.write_text("damaged")
    with pytest.raises(RegistryError, match=r"version 1 .* damaged in the registry.*weights"):
        fetch_bundle(version)
    shutil.rmtree(mlflow_home / "mlruns")
    with pytest.raises(RegistryError, match=r"version 1 .* got 0 bundles .* delete the version"):
        fetch_bundle(version)
    mlflow.MlflowClient().delete_model_version("kindred", "1")
    assert fetch_bundle(register_bundle(bundle_folder, "kindred").version).digest == version.digest


def test_asking_creates_no_database(mlflow_home: Path) -> None:
    assert list_versions("kindred") == []
    assert list(mlflow_home.iterdir()) == []


def test_a_database_that_cannot_be_opened(
    mlflow_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (mlflow_home / "mlflow.db").write_text("no database, and longer than a header" * 10)
    with pytest.raises(UnreachableError, match=r"mlflow.db.*check MLFLOW_TRACKING_URI"):
        list_versions("kindred")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////proc/none/mlflow.db")
    with pytest.raises(UnreachableError, match="could not open"):
        tracking.connect()


@pytest.mark.slow
def test_the_pyfunc_predicts_elsewhere(
    bundle_folder: Path, mlflow_home: Path, tmp_path: Path
) -> None:
    register_bundle(bundle_folder, "kindred")
    (model,) = mlflow_home.glob("mlruns/**/MLmodel")
    assert "signature" in model.read_text()
    requirements = (model.parent / "requirements.txt").read_text()
    assert "open_clip_torch==" in requirements
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOAD_AND_PREDICT],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == ["[[2.0, 1.0], [3.0, 1.0]]", "[[2.0, 1.0]]"], done.stderr
