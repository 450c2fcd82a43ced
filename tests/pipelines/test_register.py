import json
import shutil
from dataclasses import asdict
from pathlib import Path

import mlflow
import numpy as np
import pytest
from PIL import Image

from pipelines import register
from pipelines.registration.account import REJECTS
from pipelines.registration.parts import find_parts
from pipelines.run.params import load_params
from pipelines.run.paths import (
    BASE,
    CAPTIONS_LEDGER,
    PERSONAS_LEDGER,
    RETRIEVAL_VERDICT,
    label_verdict,
    ledger_file,
    run_file,
)
from registry.lineage import Asking
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
from tests.tiny_model import write_tiny_model

TOP = Path(__file__).parents[2]
HELD = {"persona_id": "w", "split": "val", "winner": "p", "finalists": ["p"], "calls": 7,
        "undecided": 0, "repeats": 1, "confidence": 1.0, "teacher": "simulated"}  # fmt: skip
SPENT = {"calls": 5, "failures": 1, "input_tokens": 70, "output_tokens": 9, "cost_usd": 0.25,
         "max_calls": None, "max_cost_usd": None}  # fmt: skip


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
    parts = find_parts(load_params())
    write_rows(parts["products"], [row], PRODUCTS)
    write_rows(parts["personas"], [persona], PERSONAS)
    write_rows(parts["rankings"], [ranking], RANKINGS)
    write_rows(parts["tournaments"], [HELD], TOURNAMENTS)
    write_rows(parts["queries"], [], QUERIES)
    write_rows(parts["concept_queries"], [], CONCEPT_QUERIES)
    write_json(parts["concept_choice"], {"teaching": asdict(Teaching())})
    Image.new("RGB", (8, 8)).save(parts["products"].parent / "p.png")
    for of, id_ in (("student", "p"), ("base", "p"), ("persona", "u"), ("caption", "p")):
        write_vectors(parts[f"{of}_vectors"], [id_], np.ones((1, 1), np.float32))
    parts["model"].mkdir(parents=True)
    write_tiny_model(parts["model"])
    write_tiny_model(parts["base_model"], 1.0)
    write_json(parts["metrics"], {})
    write_json(RETRIEVAL_VERDICT, {"gate": "retrieval", "passed": False, "reasons": []})
    for cycle in load_params().cycles:
        write_json(label_verdict(cycle), {"gate": "labels", "passed": True, "reasons": []})
        write_json(ledger_file(cycle), {**SPENT, "audit_groups": 2, "unasked": 0})
    write_json(CAPTIONS_LEDGER, {"kind": "given", "given": 1, "missing": 0, "written": 0})
    write_json(PERSONAS_LEDGER, {"kind": "file", "counts": {"too short": 3}})
    for path, refused in zip(REJECTS, ("photos.csv,3,p3,no picture\n", ""), strict=True):
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"file,row,id,reason\n{refused}")
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


def test_the_lineage_counts_what_the_stages_left(workplace: Path) -> None:
    register.main()
    (version,) = list_versions("kindred")
    account = fetch_bundle(version).lineage.account
    assert account is not None
    assert (account.products, account.personas) == ({"": 1}, {"train": 1})
    assert (account.rankings, account.rejects) == ({"c4": 1}, {"photos.csv": 1})
    assert account.dropped == {"too short": 3}
    assert list(account.asked) == ["tournaments", *(f"label {c}" for c in load_params().cycles)]
    assert account.asked["tournaments"] == Asking(calls=7, cost_usd=0.0)
    assert account.asked["label c1"].cost_usd == 0.25
    # What a journal had answered already costs nothing, and makes no other version.
    write_json(ledger_file("c1"), {**SPENT, "calls": 4})
    REJECTS[0].write_text("file,row,id,reason\n")
    register.main()
    assert [one.number for one in list_versions("kindred")] == [1]


def test_a_missing_ledger_is_named(workplace: Path) -> None:
    CAPTIONS_LEDGER.unlink()
    with pytest.raises(FileNotFoundError, match="captions_ledger"):
        register.main()
    assert list_versions("kindred") == []


def test_without_an_answer_it_ends_as_the_verbs_do(
    workplace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(SystemExit) as ended:
        register.main()
    assert ended.value.code == 4
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("register: could not ")
    assert not register.REGISTERED.exists()


def test_a_missing_verdict_stops_it(workplace: Path) -> None:
    label_verdict(next(iter(load_params().cycles))).unlink()
    with pytest.raises(FileNotFoundError, match="labels/c1"):
        register.main()
    assert list_versions("kindred") == []
