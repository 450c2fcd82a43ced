"""A version's worth of tiny files, and an MLflow of its own for each test."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from registry import stored_models, tracking
from registry.bundle import open_bundle
from registry.bundle_writer import BundleSources, write_bundle
from registry.git_state import GitState
from registry.lineage import Lineage
from registry.store import CACHE, fetch_bundle, register_bundle
from retrieval.concepts.teaching import Teaching
from retrieval.storage.schema import (
    CONCEPT_QUERIES,
    PERSONAS,
    PRODUCTS,
    QUERIES,
    RANKINGS,
    TOURNAMENTS,
    write_rows,
)
from retrieval.storage.vectors import write_vectors
from tests.registry.promoted import NAME, without_models, write_text_vectors
from tests.tiny_model import write_tiny_model

METRICS = {
    "persona": {
        "base": {"mean_percentile": 0.82, "n": 330},
        "student": {"mean_percentile": 0.95, "within_kind_percentile": 0.7, "n": 330},
    },
    "caption": {"student": {"recall@1": 0.9, "recall@10": 0.99}},
    "concept": None,
}
LINEAGE = Lineage(
    git=GitState(commit="c0ffee", clean=True, note="the tree was clean"),
    stages={},
    teacher={"kind": "simulated", "noise": 0.25},
    prompts=None,
    runs={"base": "run-1"},
    parent=None,
    packages={"torch": "2.14.1"},
    python="3.11.7",
)


def product(number: int) -> dict:
    return {
        "product_id": f"p{number}",
        "title": f"Mug no. {number}",
        "caption": "a blue mug",
        "category": "mug",
        "price": float("nan") if number == 0 else 9.5 + number,
        "attributes": {"kind": "mug", "colour": "blue"},
        "image": f"images/p{number}.png",
        "image_sha256": "0" * 64,
        "split": ("train", "val", "test")[number % 3],
    }


def persona(number: int) -> dict:
    split = ("train", "val", "test")[number % 3]
    return {"persona_id": f"u{9 - number}", "text": f"for uncle no. {number}", "split": split,
            "wants": {}, "paraphrase": "", "facets": {}}  # fmt: skip


def tournament(person: dict, winner: str) -> dict:
    return {
        "persona_id": person["persona_id"],
        "split": person["split"],
        "winner": winner,
        "finalists": [winner],
        "calls": 1,
        "undecided": 0,
        "repeats": 1,
        "confidence": 1.0,
        "teacher": "simulated",
    }


def ranking(person: dict, order: list[str]) -> dict:
    return {
        "group_id": f"c1-{person['persona_id']}",
        "persona_id": person["persona_id"],
        "presented": sorted(order),
        "ranking": order,
        "teacher": "simulated",
        "request_sha256": "0" * 64,
    }


def evaluated(choice: dict) -> dict:
    known = {name: choice[name] for name in ("persona_id", "winner")}
    found = {"rank": 1.0, "candidates": 2, "percentile": 1.0}
    unknown = dict.fromkeys(("within_kind_percentile", "ndcg@10", "tau"), float("nan"))
    rest = {"wording": "original", "model": "student", "slices": {"relation": "uncle"}, "top": []}
    return {**known, **found, **unknown, **rest}


def concept_rows(scene: float = 1.0, asked: str = "d1") -> list[dict]:
    """Twelve subjects, each asked for alone, in two scenes, and with its concept on captions."""
    rows = []
    for number in range(12):
        known = {"concepts": [f"s{number}"], "model": "kindred", "subjects_sha256": asked}
        alone = {"kind": "concept_only", "rank": 1.0, "average_precision": 0.9, "recall@10": 1.0}
        rows.append({"row_id": f"s{number}-only", **alone, **known})
        for place, rank in (("beach", scene), ("snow", scene + number % 2)):
            shown = {"kind": "context", "rank": rank, "average_precision": 0.5, "recall@10": 1.0}
            rows.append({"row_id": f"s{number}-at-{place}", **shown, **known})
        nan = float("nan")
        kept = {"kind": "captions", "rank": nan, "average_precision": nan, "recall@10": 0.99}
        rows.append({"row_id": f"s{number}", **kept, **known})
        rows.append({**rows[-4], "model": "text_only", "average_precision": 0.1})
    return rows


def write_verdict(path: Path, *, passed: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    reasons = [] if passed else ["too few queries"]
    path.write_text(json.dumps({"gate": path.stem, "passed": passed, "reasons": reasons}))
    return path


def _make_sources(root: Path) -> BundleSources:
    """Eight products of 40 x 20 pixels, unit vectors of width 8, a model that reads nothing."""
    rows = [product(number) for number in range(8)]
    write_rows(root / "catalog" / "products.parquet", rows, PRODUCTS)
    people = [persona(number) for number in range(6)]
    write_rows(root / "personas.parquet", people, PERSONAS)
    choices = [tournament(one, f"p{number}") for number, one in enumerate(people)]
    write_rows(root / "tournaments.parquet", choices, TOURNAMENTS)
    labels = [ranking(one, ["p7", "p1", "p4", "p0", "p3"]) for one in people[::3]]
    write_rows(root / "rankings.parquet", labels, RANKINGS)
    answers = [evaluated(one) for one in choices if one["split"] == "test"]
    write_rows(root / "queries.parquet", answers, QUERIES)
    write_rows(root / "concept_queries.parquet", concept_rows(), CONCEPT_QUERIES)
    (root / "catalog" / "images").mkdir()
    for row in rows:
        Image.new("RGBA", (40, 20), (20, 40, 200, 255)).save(root / "catalog" / row["image"])
    ids = [row["product_id"] for row in rows]
    for model in ("student", "base"):
        write_vectors(root / f"{model}.parquet", ids, np.eye(8, dtype=np.float32))
    write_vectors(root / "captions.parquet", ids, np.eye(8, dtype=np.float32))
    asked = [one["persona_id"] for one in people]
    write_vectors(root / "texts.parquet", asked, np.eye(6, 8, dtype=np.float32))
    for name, content in {"model/weights": "w", "concepts/rex/adapter": "a"}.items():
        (root / name).parent.mkdir(parents=True)
        (root / name).write_text(content)
    write_tiny_model(root / "model", visual=1.0)
    write_tiny_model(root / "base")
    teaching = {"teaching": asdict(Teaching(identifier="zzq"))}
    (root / "concepts.json").write_text(json.dumps(teaching))
    (root / "evaluate.json").write_text(json.dumps(METRICS))
    verdicts = {name: write_verdict(root / f"{name}.json") for name in ("labels_c1", "retrieval")}
    return BundleSources(
        name="kindred",
        model=root / "model",
        base_model=root / "base",
        student_vectors=root / "student.parquet",
        base_vectors=root / "base.parquet",
        persona_vectors=root / "texts.parquet",
        caption_vectors=root / "captions.parquet",
        products=root / "catalog" / "products.parquet",
        personas=root / "personas.parquet",
        rankings=root / "rankings.parquet",
        tournaments=root / "tournaments.parquet",
        queries=root / "queries.parquet",
        concept_queries=root / "concept_queries.parquet",
        concepts=root / "concepts",
        concept_choice=root / "concepts.json",
        metrics=root / "evaluate.json",
        verdicts=verdicts,
        lineage=LINEAGE,
        thumbnail_side=16,
    )


@pytest.fixture(scope="session")
def make_sources() -> Callable[[Path], BundleSources]:
    """The same in any folder, for fixtures that live longer than a test."""
    return _make_sources


@pytest.fixture
def sources(tmp_path: Path) -> BundleSources:
    return _make_sources(tmp_path / "made")


@pytest.fixture
def bundle_folder(tmp_path: Path, sources: BundleSources) -> Path:
    folder = tmp_path / "bundle"
    write_bundle(folder, sources)
    return folder


@pytest.fixture
def changed(tmp_path: Path, sources: BundleSources):
    """Another bundle: the same sources with other lineage, or another weight."""

    def build(weights: str | None = None, **lineage: object) -> Path:
        if weights is not None:
            (sources.model / "weights").write_text(weights)
        folder = tmp_path / f"other-{weights}-{'-'.join(lineage)}"
        update = sources.lineage.model_copy(update=lineage)
        write_bundle(folder, replace(sources, lineage=update))
        return folder

    return build


@pytest.fixture
def mlflow_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory whose MLflow is `mlflow.db` in it."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")
    return home


@pytest.fixture(scope="session")
def template(tmp_path_factory, make_sources):
    """A project in which versions 1 to 5 pass, 6 finds nothing, and 7 failed its gate."""
    root = tmp_path_factory.mktemp("template")
    sources = make_sources(root / "made")
    home = root / "home"
    home.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")
        for weights in ("good 1", "good 2", "good 3", "good 4", "good 5", "bad", "failed"):
            (sources.model / "weights").write_text(weights)
            if weights == "failed":
                write_verdict(sources.verdicts["retrieval"], passed=False)
            write_text_vectors(sources)
            write_bundle(root / weights, sources)
            register_bundle(root / weights, NAME)
            bundle = open_bundle(root / weights)
            shutil.copytree(bundle.folder, home / CACHE / bundle.digest)
    return home


@pytest.fixture
def home(template, tmp_path, monkeypatch):
    """A copy to change."""
    home = tmp_path / "home"
    shutil.copytree(template, home)
    monkeypatch.chdir(home)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")
    monkeypatch.delenv("MILVUS_URI", raising=False)
    without_models(monkeypatch)
    return home


@pytest.fixture(scope="session")
def made(tmp_path_factory, make_sources):
    """Three registered versions with their own artifacts and fetched bundles; 3 is challenger."""
    root = tmp_path_factory.mktemp("registered")
    sources = make_sources(root / "made")
    with pytest.MonkeyPatch.context() as patch:
        (root / "home").mkdir()
        patch.chdir(root / "home")
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{root}/home/mlflow.db")
        for weights in ("a", "b", "c"):
            (sources.model / "weights").write_text(weights)
            write_bundle(root / weights, sources)
            fetch_bundle(register_bundle(root / weights, NAME).version)
    return root / "home"


@pytest.fixture
def registered(made, mlflow_home, monkeypatch):
    """A copy of that with artifacts of its own, though MLflow names them by absolute paths."""
    monkeypatch.setattr(stored_models, "FRESH", timedelta(0))
    shutil.copytree(made, mlflow_home, dirs_exist_ok=True)
    with closing(sqlite3.connect("mlflow.db")) as database:
        for table, column in (
            ("experiments", "artifact_location"),
            ("logged_models", "artifact_location"),
            ("model_versions", "storage_location"),
            ("runs", "artifact_uri"),
        ):
            replaced = f"update {table} set {column} = replace({column}, ?, ?)"
            database.execute(replaced, (str(made), str(mlflow_home)))
        database.commit()
    tracking.connect()
    return mlflow_home
