import json
import shutil
from dataclasses import asdict
from pathlib import Path

import mlflow
import numpy as np
import pytest
from PIL import Image

from pipelines import register
from pipelines.run.params import load_params
from pipelines.run.paths import (
    BASE,
    CAPTION_VECTORS,
    CONCEPT_QUERIES_FILE,
    PERSONA_VECTORS,
    PERSONAS_FILE,
    PRODUCTS_FILE,
    QUERIES_FILE,
    RETRIEVAL_VERDICT,
    STUDENT_MODEL,
    TOURNAMENTS_FILE,
    label_verdict,
    product_vectors,
    rankings_file,
    run_file,
    stage_metrics,
)
from registry.store import fetch_bundle
from registry.versions import list_versions
from registry.wishes import Wish
from retrieval.concepts.teaching import Teaching
from retrieval.storage.files import write_json
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

TOP = Path(__file__).parents[2]


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the stages before `register` leave, as small as it gets."""
    shutil.copy(TOP / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    row = dict.fromkeys(PRODUCTS.names, "") | {
        "product_id": "p",
        "price": 1.0,
        "attributes": {},
        "image": "p.png",
    }
    persona = {"persona_id": "u", "text": "for a gardener", "split": "train", "wants": {},
               "paraphrase": "", "facets": {}}  # fmt: skip
    ranking = {"group_id": "c4-0", "persona_id": "u", "presented": ["p", "q"],
               "ranking": ["p", "q"], "teacher": "simulated", "request_sha256": ""}  # fmt: skip
    write_rows(PRODUCTS_FILE, [row], PRODUCTS)
    write_rows(PERSONAS_FILE, [persona], PERSONAS)
    write_rows(rankings_file(list(load_params().cycles)[-1]), [ranking], RANKINGS)
    write_rows(TOURNAMENTS_FILE, [], TOURNAMENTS)
    write_rows(QUERIES_FILE, [], QUERIES)
    write_rows(CONCEPT_QUERIES_FILE, [], CONCEPT_QUERIES)
    write_json(stage_metrics("concepts"), {"teaching": asdict(Teaching())})
    Image.new("RGB", (8, 8)).save(PRODUCTS_FILE.parent / "p.png")
    for model in ("student", "c0"):
        write_vectors(product_vectors(model), ["p"], np.ones((1, 1), np.float32))
    write_vectors(PERSONA_VECTORS, ["u"], np.ones((1, 1), np.float32))
    write_vectors(CAPTION_VECTORS, ["p"], np.ones((1, 1), np.float32))
    STUDENT_MODEL.mkdir(parents=True)
    (STUDENT_MODEL / "weights").touch()
    write_json(register.EVALUATION, {})
    write_json(RETRIEVAL_VERDICT, {"gate": "retrieval", "passed": False, "reasons": []})
    for cycle in load_params().cycles:
        write_json(label_verdict(cycle), {"gate": "labels", "passed": True, "reasons": []})
    for stage in ("c0", *load_params().cycles, "concepts", "evaluate"):
        write_json(run_file(stage), {"run_id": f"{stage}-run"})
    return tmp_path


def test_registers_once_with_a_failed_verdict_too(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    register.main()
    (said,) = capsys.readouterr().out.splitlines()
    assert said == (
        "kindred version 1 (new, challenger): labels passed, retrieval failed; next: kindred status"
    )
    first = register.REGISTERED.read_bytes()
    assert json.loads(first)["version"] == 1
    # The champion of the day and other run ids make no other version.
    mlflow.MlflowClient().set_registered_model_alias("kindred", "champion", "1")
    write_json(run_file(BASE), {"run_id": "another"})
    register.main()
    assert "version 1 (already registered, challenger)" in capsys.readouterr().out
    assert register.REGISTERED.read_bytes() == first
    (version,) = list_versions("kindred")
    assert version.aliases == ("challenger", "champion")
    assert not register.WORK.exists()
    assert fetch_bundle(version).read_wishes() == [Wish("u", "for a gardener", ("p",))]


def test_a_missing_verdict_stops_it(workplace: Path) -> None:
    label_verdict(next(iter(load_params().cycles))).unlink()
    with pytest.raises(FileNotFoundError, match="labels/c1"):
        register.main()
    assert list_versions("kindred") == []
