"""A version in the hands of BentoML's, MLflow's and open_clip's users, without a checkout."""

import json
import os
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pytest
from PIL import Image

from registry.bundle import Bundle, open_bundle
from registry.bundle_writer import write_bundle
from registry.store import register_bundle
from registry.versions import CHAMPION, set_alias
from tests.registry.real_model import with_real_model

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SERVE_ALONE = Path(__file__).with_name("serve_alone.py")
TEXT = "a gift for a mother who loves gardening"


@pytest.fixture(scope="module")
def home(make_sources, tmp_path_factory) -> Path:
    """A folder whose registry has one champion, with a real model."""
    home = tmp_path_factory.mktemp("home")
    write_bundle(home / "made-bundle", with_real_model(make_sources(home / "made")))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")
        set_alias(register_bundle(home / "made-bundle", "kindred").version, CHAMPION)
    return home


@pytest.fixture(scope="module")
def bundle(home: Path) -> Bundle:
    return open_bundle(home / "made-bundle")


@pytest.fixture(scope="module")
def make_environment(tmp_path_factory):
    """Virtual environments with a file of requirements in each, and nothing else."""

    def make(requirements: Path) -> Path:
        folder = tmp_path_factory.mktemp("environment")
        uv = [sys.executable, "-m", "uv"]
        subprocess.run([*uv, "venv", "-q", "--python", sys.executable, folder / "v"], check=True)
        python = folder / "v" / "bin" / "python"
        subprocess.run(
            [*uv, "pip", "install", "-q", "--link-mode", "hardlink", "--python", python,
             "-r", requirements],
            check=True,
        )  # fmt: skip
        return python.parent

    return make


def run(command: list, cwd: Path, **env: str) -> str:
    own = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "MLFLOW_TRACKING_URI")}
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, env={**own, **env}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def serve_alone(folder: Path, requests: list[dict], command: list, port: int, **env: str) -> dict:
    """What a command answers that serves in `folder`, with the network cut where that can be."""
    (folder.parent / "requests.json").write_text(json.dumps(requests))
    cut = ["unshare", "-rn"]
    permitted = subprocess.run([*cut, "true"], check=False, capture_output=True).returncode == 0
    script = [sys.executable, SERVE_ALONE, port, folder.parent / "requests.json", *command]
    told = json.loads(run([*(cut if permitted else []), *script], folder, **env))
    assert told["code"] in (0, -15)
    assert not (permitted and told["outside"])
    return told


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def snippets(bundle: Bundle) -> dict[str, str]:
    """The card's blocks, by the first word of the line before each."""
    card = (bundle.folder / "MODEL_CARD.md").read_text()
    return dict(re.findall(r"^(\w+)[^\n]*:\n\n```\w+\n(.*?)\n```", card, re.MULTILINE | re.DOTALL))


def test_the_cards_lines_for_python_and_open_clip_find_the_same_vectors(bundle: Bundle) -> None:
    shown = "\nimport numpy; print(numpy.asarray(vectors).tolist())"
    vectors = {}
    for way in ("Python", "open_clip"):
        code = snippets(bundle)[way] + shown
        out = run([sys.executable, "-W", "ignore", "-c", code], bundle.folder, PYTHONPATH=str(ROOT))
        vectors[way] = np.array(json.loads(out.splitlines()[-1]))
    assert vectors["Python"].shape == (1, 384)
    np.testing.assert_allclose(vectors["open_clip"], vectors["Python"], atol=1e-5)


@pytest.fixture
def loaded(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(home)
    mlflow.set_tracking_uri(f"sqlite:///{home}/mlflow.db")
    return mlflow.pyfunc.load_model("models:/kindred@champion")


def test_mlflow_reads_texts_and_frames_with_and_without_concepts(loaded, bundle: Bundle) -> None:
    import pandas as pd

    from retrieval.concepts.queries import encode_with_concepts

    encoder = bundle.load_encoder()
    plain = encoder.encode_texts([TEXT, "on a beach"])
    rex = encode_with_concepts(encoder, "on a beach", [bundle.load_concept("rex", encoder)])
    assert np.abs(rex - plain[1]).max() > 0.05
    for without in (
        [TEXT, "on a beach"],
        pd.DataFrame({"text": [TEXT, "on a beach"]}),
        pd.DataFrame({"text": [TEXT, "on a beach"], "concept": [None, ""]}),
        pd.DataFrame({"any": [TEXT, "on a beach"]}),
    ):
        np.testing.assert_allclose(loaded.predict(without), plain, atol=1e-5)
    for with_one in (
        pd.DataFrame({"text": [TEXT, "on a beach"], "concept": [float("nan"), "rex"]}),
        [{"text": TEXT}, {"text": "on a beach", "concept": "rex"}],
    ):
        np.testing.assert_allclose(loaded.predict(with_one), [plain[0], rex], atol=1e-5)
    with pytest.raises(ValueError, match="got concept 'rox', expected one of this version's: rex"):
        loaded.predict(pd.DataFrame({"text": ["x"], "concept": ["rox"]}))
    with pytest.raises(ValueError, match="got the columns a, b, expected text"):
        loaded.predict(pd.DataFrame({"a": ["x"], "b": ["y"]}))
    assert len(loaded.predict(loaded.input_example)) == 2
    assert "concept: string (optional), text: string (required)" in str(loaded.metadata.signature)


def test_the_cards_lines_for_mlflow_run(home: Path, bundle: Bundle) -> None:
    code = snippets(bundle)["MLflow"] + "\nprint(len(vectors[0]), len(about_a_concept))"
    address = f"sqlite:///{home}/mlflow.db"
    out = run([sys.executable, "-W", "ignore", "-c", code], home, MLFLOW_TRACKING_URI=address)
    assert out.splitlines()[-1] == "384 1"


def test_mlflow_serves_it_in_an_environment_of_its_requirements_alone(
    home: Path, bundle: Bundle, make_environment, tmp_path: Path
) -> None:
    (model,) = home.glob("mlruns/*/models/*/artifacts")
    binaries = make_environment(model / "requirements.txt")
    (tmp_path / "empty").mkdir()
    queries = [{"text": TEXT}, {"text": "on a beach", "concept": "rex"}]
    port = free_port()
    told = serve_alone(
        tmp_path / "empty",
        [{"path": "/invocations", "body": {"inputs": queries}}],
        [binaries / "mlflow", "models", "serve", "-m", model, "--env-manager", "local",
         "--port", port],
        port,
        PATH=f"{binaries}:{os.environ['PATH']}",
        MLFLOW_DISABLE_TELEMETRY="true",
    )  # fmt: skip
    vectors = np.array(told["answers"][0]["predictions"])
    np.testing.assert_allclose(vectors[0], bundle.load_encoder().encode_texts([TEXT])[0], atol=1e-5)


@pytest.fixture(scope="module")
def packaged(home: Path, tmp_path_factory) -> tuple[str, Path]:
    """The tag, and the Bento as a file."""
    folder = tmp_path_factory.mktemp("packaged")
    env = {"BENTOML_HOME": str(folder / "store"), "MLFLOW_TRACKING_URI": f"sqlite:///{home}/mlflow.db",
           "PYTHONPATH": str(ROOT)}  # fmt: skip
    out = run([sys.executable, "-m", "services.cli", "package"], home, **env)
    found = re.search(r"version 1 of kindred is (kindred:1-[0-9a-f]{12}) in BentoML's store", out)
    assert found, out
    bentoml = Path(sys.executable).with_name("bentoml")
    assert found[1] in run([bentoml, "list"], folder, **env)
    (line,) = re.findall(rf"^  bentoml (export {found[1]} .*)$", out, re.MULTILINE)
    run([bentoml, *shlex.split(line)], folder, **env)  # as the verb says
    return found[1], home / "kindred.tar"


def test_a_bento_serves_in_an_empty_folder_in_an_environment_of_its_requirements_alone(
    packaged, bundle: Bundle, make_environment, tmp_path: Path
) -> None:
    tag, file = packaged
    env = {"BENTOML_HOME": str(tmp_path / "other")}
    run([Path(sys.executable).with_name("bentoml"), "import", file], tmp_path, **env)
    bento = tmp_path / "other/bentos" / tag.replace(":", "/")
    binaries = make_environment(bento / "env/python/requirements.txt")
    assert not [*binaries.glob("mlflow*"), *binaries.glob("dvc*")]
    empty = tmp_path / "empty"
    empty.mkdir()
    for number in range(2):
        Image.effect_noise((64, 64), 50).convert("RGB").save(tmp_path / f"{number}.jpg")
    photos = [str(tmp_path / f"{number}.jpg") for number in range(2)]
    port = free_port()
    told = serve_alone(
        empty,
        [
            {"path": "/v1/model"},
            {"path": "/v1/search", "body": {"query": TEXT, "k": 8}},
            {"path": "/v1/concepts", "form": {"name": "mine", "noun": "mug"}, "files": photos},
            {"path": "/v1/search", "body": {"query": "{mine} on a beach", "k": 1}},
        ],
        [binaries / "bentoml", "serve", tag, "--port", port],
        port,
        **env,
    )
    model, found, taught, about = told["answers"]
    assert (model["version"], model["follows"], model["swap"]["state"]) == ("1", "nothing", "idle")
    assert model["bundle_sha256"] == bundle.digest
    student = bundle.read_vectors("student")
    scores = student.vectors @ bundle.load_encoder().encode_texts([TEXT])[0]
    served = {hit["product_id"]: hit["score"] for hit in found["hits"]}
    assert served == pytest.approx(dict(zip(student.ids, scores, strict=True)), abs=1e-4)
    assert taught["problem"] == ""
    assert about["concepts"] == ["mine"]
    assert {path.name for path in empty.iterdir()} == {"log", "var"}
    assert not [*bento.rglob("var")]
