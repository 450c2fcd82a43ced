"""A version to search in: five colours, an encoder that knows their names, no model."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from torch import nn

from registry import comparison, packaging, promotion, reproduction
from registry.bundle import Bundle, open_bundle
from registry.bundle_writer import BundleSources, write_bundle
from registry.differences import versions
from registry.git_state import GitState
from registry.lineage import Lineage
from registry.versions import Version
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
from retrieval.text.tower import TextTower
from services.http.app import create_app
from services.search.live import Live
from tests import servers
from tests.services.databases import new_database
from tests.services.fake_engine import FakeEngine, make_product
from tests.services.fake_source import FakeSource
from tests.services.tiny_engine import TinyEngine, make_tower
from tests.tiny_model import write_tiny_model

# Training wishes: persona, text, what was chosen (p2 is blue, p4 white).
WISHES = (("u1", "red or blue", "p2"), ("u2", "all white", "p4"))
COLOURS = ("red", "green", "blue", "black", "white")


@dataclass(frozen=True)
class FakeTokenizer:
    """A token a word."""

    context_length = 16

    def encode(self, text: str) -> list[int]:
        return [len(word) for word in text.split()]


class FakeEncoder:
    tokenize = FakeTokenizer()
    model = SimpleNamespace(text=nn.Identity())  # no tower that concepts support

    def encode_texts(self, texts: list[str]) -> np.ndarray:
        counts = np.array([[text.count(colour) + 1e-6 for colour in COLOURS] for text in texts])
        unit = counts / np.linalg.norm(counts, axis=1, keepdims=True)
        return unit.astype(np.float32)


def row(number: int, colour: str) -> dict:
    return {
        "product_id": f"p{number}",
        "title": f"A {colour} mug with a title that is too long for one line of a card",
        "caption": f"a {colour} mug",
        "category": "mug",
        "price": float("nan") if number == 0 else 9.5 + number,
        "attributes": {"colour": colour},
        "image": f"{colour}.png",
        "image_sha256": "0" * 64,
        "split": "test",
    }


@pytest.fixture(autouse=True)
def own_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test's service has a database of its own."""
    monkeypatch.setenv("KINDRED_DB", f"sqlite:///{tmp_path}/kindred.db")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """A server of PostgreSQL."""
    with servers.postgresql() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def any_address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty database, of either kind that the service knows."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/var/kindred.db"
    else:
        with new_database(request.getfixturevalue("postgresql")) as address:
            yield address


@pytest.fixture(scope="session")
def tower() -> TextTower:
    return make_tower()


@pytest.fixture
def fake_engine(version: Version, bundle: Bundle, tmp_path: Path) -> FakeEngine:
    products = [make_product(number) for number in range(5)]
    return FakeEngine(version, bundle.lineage, products, tmp_path / "private")


@pytest.fixture
def tiny_engine(version: Version, tower: TextTower, tmp_path: Path) -> TinyEngine:
    return TinyEngine(version, tower, make_product(1), tmp_path / "private")


@pytest.fixture
def live(engine) -> Live:
    """What serves is a test's own `engine`."""
    live = Live(FakeSource(engine.version))
    live._engine = engine
    return live


@pytest.fixture
def client(live: Live) -> Iterator[TestClient]:
    """The application over what serves."""
    with TestClient(create_app(live), raise_server_exceptions=False) as client:
        yield client


def wish(persona_id: str, text: str, _: str) -> dict:
    return {"persona_id": persona_id, "text": text, "split": "train", "wants": {},
            "paraphrase": "", "facets": {}}  # fmt: skip


def label(persona_id: str, _: str, winner: str) -> dict:
    pair = [winner, "p0"]
    return {"group_id": f"c1-{persona_id}", "persona_id": persona_id, "presented": pair,
            "ranking": pair, "teacher": "file", "request_sha256": "0" * 64}  # fmt: skip


@pytest.fixture
def encoder() -> object:
    """What a test's versions encode with."""
    return FakeEncoder()


@pytest.fixture
def pictures_ND() -> np.ndarray:
    """The products' vectors."""
    return np.eye(len(COLOURS), dtype=np.float32)


@pytest.fixture
def bundle_folder(tmp_path: Path, pictures_ND: np.ndarray) -> Path:
    root = tmp_path / "made"
    rows = [row(number, colour) for number, colour in enumerate(COLOURS)]
    write_rows(root / "products.parquet", rows, PRODUCTS)
    write_rows(root / "personas.parquet", [wish(*one) for one in WISHES], PERSONAS)
    write_rows(root / "rankings.parquet", [label(*one) for one in WISHES], RANKINGS)
    write_rows(root / "tournaments.parquet", [], TOURNAMENTS)
    write_rows(root / "queries.parquet", [], QUERIES)
    write_rows(root / "concept_queries.parquet", [], CONCEPT_QUERIES)
    for colour in COLOURS:
        Image.new("RGB", (60, 40), colour).save(root / f"{colour}.png")
    vectors = root / "vectors.parquet"
    write_vectors(vectors, [r["product_id"] for r in rows], pictures_ND)
    read = FakeEncoder().encode_texts([text for _, text, _ in WISHES])
    write_vectors(root / "texts.parquet", [id_ for id_, _, _ in WISHES], read)
    for name in ("model/weights", "concepts/rex/adapter"):
        (root / name).parent.mkdir(parents=True)
        (root / name).touch()
    write_tiny_model(root / "model", visual=1.0)
    write_tiny_model(root / "base")
    teaching = {"teaching": asdict(Teaching(identifier="zzq"))}
    (root / "concepts.json").write_text(json.dumps(teaching))
    (root / "evaluate.json").write_text("{}")
    verdict = root / "verdict.json"
    verdict.write_text(json.dumps({"gate": "retrieval", "passed": True, "reasons": []}))
    lineage = Lineage(
        git=GitState(commit=None, clean=None, note="none"),
        stages={},
        teacher={"kind": "simulated"},
        prompts=None,
        runs={},
        parent=None,
        packages={},
        python="3.11",
    )
    sources = BundleSources(
        name="kindred",
        model=root / "model",
        base_model=root / "base",
        student_vectors=vectors,
        base_vectors=vectors,
        persona_vectors=root / "texts.parquet",
        caption_vectors=vectors,
        products=root / "products.parquet",
        personas=root / "personas.parquet",
        rankings=root / "rankings.parquet",
        tournaments=root / "tournaments.parquet",
        queries=root / "queries.parquet",
        concept_queries=root / "concept_queries.parquet",
        concepts=root / "concepts",
        concept_choice=root / "concepts.json",
        metrics=root / "evaluate.json",
        verdicts={"retrieval": verdict},
        lineage=lineage,
        thumbnail_side=32,
    )
    write_bundle(tmp_path / "bundle", sources)
    return tmp_path / "bundle"


@pytest.fixture
def bundle(bundle_folder: Path, encoder: object, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    monkeypatch.setattr(Bundle, "load_encoder", lambda self, device="cpu": encoder)
    return open_bundle(bundle_folder)


@pytest.fixture
def version() -> Version:
    return Version(
        name="kindred",
        number=3,
        digest="d" * 64,
        run_id="run",
        created=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
        aliases=("challenger",),
        verdicts={"labels": "passed", "retrieval": "failed"},
        metrics={"persona_percentile": 0.956},
    )


# What takes `fetch_bundle` when it is imported; imported under `registered`, it would keep the one
# that is put in its place there.
TAKERS = (comparison, packaging, promotion, reproduction, versions)


@pytest.fixture
def registered(bundle: Bundle, version: Version, monkeypatch: pytest.MonkeyPatch) -> Version:
    """A registry that holds this one version, without MLflow."""
    monkeypatch.setattr("services.commands.status.list_versions", lambda name: [version])
    monkeypatch.setattr("registry.versions.list_versions", lambda name: [version])
    monkeypatch.setattr("registry.store.fetch_bundle", lambda version: bundle)
    return version
