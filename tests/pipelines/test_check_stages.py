import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines import check_labels, check_retrieval, register
from pipelines.registration.account import REJECTS
from pipelines.run.params import load_params
from pipelines.run.paths import (
    CAPTION_VECTORS,
    CAPTIONS_LEDGER,
    CONCEPT_QUERIES_FILE,
    PERSONA_VECTORS,
    PERSONAS_FILE,
    PERSONAS_LEDGER,
    PRODUCTS_FILE,
    RETRIEVAL_VERDICT,
    STUDENT_MODEL,
    TOURNAMENTS_FILE,
    cycle_model,
    ledger_file,
    product_vectors,
    rankings_file,
    run_file,
    stage_metrics,
)
from registry.store import CACHE
from registry.versions import CHAMPION, list_versions, set_alias
from retrieval.concepts.teaching import Teaching
from retrieval.storage.files import sha256_file, write_json
from retrieval.storage.schema import (
    AUDITS,
    CONCEPT_QUERIES,
    PERSONAS,
    PRODUCTS,
    QUERIES,
    RANKINGS,
    TOURNAMENTS,
    read_rows,
    write_rows,
)
from retrieval.storage.vectors import read_vectors, write_vectors
from tests.pipelines.pages.html_page import Page, stands_alone
from tests.tiny_model import write_tiny_model
from validation.gate import Verdict, read_verdict

TOP = Path(__file__).parents[2]
COLORS = ["red", "blue", "green", "grey", "white"]


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    shutil.copy(TOP / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    return tmp_path


def answer(good: bool, wanted: str, presented: list[str]) -> list[str]:
    """The wanted colour and then the next ones, wherever they stand; or the page's order."""
    turn = COLORS.index(wanted)
    order = COLORS[turn:] + COLORS[:turn]
    return sorted(presented, key=order.index) if good else presented


def write_catalogue() -> None:
    """25 personas that want one colour each, and one product a colour; one has a picture."""
    products = [
        dict.fromkeys(PRODUCTS.names, "")
        | {"product_id": c, "price": 1.0, "attributes": {"color": c}, "split": "train"}
        | {"category": c, "title": f"{c} thing", "image": f"images/{c}.png"}
        for c in COLORS
    ]
    personas = [
        {"persona_id": f"p{i}", "text": "A wish.", "split": "train"}
        | {"wants": {f"color={COLORS[i % 5]}": 1.0}, "paraphrase": "", "facets": {}}
        for i in range(25)
    ]
    write_rows(PRODUCTS_FILE, products, PRODUCTS)
    write_rows(PERSONAS_FILE, personas, PERSONAS)
    picture = PRODUCTS_FILE.parent / "images" / "red.png"
    picture.parent.mkdir()
    Image.new("RGB", (40, 40), "red").save(picture)


def write_labels(good: bool) -> None:
    """125 groups of one product a colour, in turn; each asked again, and a pair of it."""
    write_catalogue()
    rankings, audits = [], []
    for i in range(125):
        presented = COLORS[i // 25 :] + COLORS[: i // 25]
        group, persona, wanted = f"c1-{i:05}", f"p{i % 25}", COLORS[i % 5]
        asked = (persona, presented, answer(good, wanted, presented), "simulated", "0" * 64)
        rankings.append(dict(zip(RANKINGS.names, (group, *asked), strict=True)))
        pair = presented[:2]
        for kind, shown in (("group", presented[::-1]), ("pair", pair), ("pair", pair[::-1])):
            asked = (persona, shown, answer(good, wanted, shown), "simulated", "0" * 64)
            row = (f"{group}-{len(audits)}", group, kind, *asked)
            audits.append(dict(zip(AUDITS.names, row, strict=True)))
    write_rows(rankings_file("c1"), rankings, RANKINGS)
    write_rows(check_labels.audits_file("c1"), audits, AUDITS)
    write_json(check_labels.ledger_file("c1"), LEDGER)


LEDGER: dict[str, Any] = {
    "calls": 500, "failures": 0, "unasked": 0, "input_tokens": 9000, "output_tokens": 900,
    "cost_usd": 0.5, "max_calls": 600, "max_cost_usd": None, "audit_groups": 125,
    "audit_pairs": 125,
}  # fmt: skip


def write_evaluation(student: float) -> None:
    levels = {"base": 0.75, "student": student}
    unknown = float("nan")
    rest = (1.0, 9)
    rows = [
        dict(
            zip(
                QUERIES.names,
                (
                    f"p{i}",
                    "original",
                    model,
                    f"x{i}",
                    *rest,
                    level,
                    unknown,
                    unknown,
                    unknown,
                    {},
                    [],
                ),
                strict=True,
            )
        )
        for model, level in levels.items()
        for i in range(30)
    ]
    write_rows(check_retrieval.QUERIES_FILE, rows, QUERIES)
    write_rows(CONCEPT_QUERIES_FILE, [], CONCEPT_QUERIES)
    metrics: dict[str, Any] = {
        "persona": {
            model: {"mean_percentile": level, "recall@10": 1.0, "within_kind_percentile": None}
            for model, level in levels.items()
        },
        "caption": {model: {"recall@1": 1.0, "recall@10": 1.0} for model in levels},
    }
    write_json(check_retrieval.EVALUATION, metrics)


HELD_OUT = 60


def write_models() -> None:
    """60 held-out products, and 30 personas that want the first of them, one each."""
    truth = np.random.default_rng(0).normal(size=(HELD_OUT, 8)).astype(np.float32)
    truth /= np.linalg.norm(truth, axis=1, keepdims=True)
    ids = [f"x{number}" for number in range(HELD_OUT)]
    products = [
        dict.fromkeys(PRODUCTS.names, "")
        | {"product_id": i, "price": 1.0, "attributes": {}, "split": "test", "caption": i}
        | {"category": "thing", "image": f"{i}.png"}
        for i in ids
    ]
    personas = [
        {"persona_id": f"p{i}", "text": "A wish.", "split": "test", "wants": {}}
        | {"paraphrase": "", "facets": {}}
        for i in range(30)
    ]
    write_rows(PRODUCTS_FILE, products, PRODUCTS)
    write_rows(PERSONAS_FILE, personas, PERSONAS)
    write_vectors(PERSONA_VECTORS, [f"p{i}" for i in range(30)], truth[:30])
    write_vectors(CAPTION_VECTORS, ids, truth)
    for model in ("c0", "student"):
        write_vectors(product_vectors(model), ids, truth)
    for row in products:
        Image.new("RGB", (8, 8)).save(PRODUCTS_FILE.parent / row["image"])
    write_tiny_model(STUDENT_MODEL)


def make_champion() -> str:
    """What lies here becomes a version and the champion; its digest."""
    row = {"split": "test", "calls": 1, "undecided": 0, "repeats": 1, "confidence": 1.0}
    choices = [
        row | {"persona_id": f"p{i}", "winner": f"x{i}", "finalists": [], "teacher": "simulated"}
        for i in range(30)
    ]
    write_rows(TOURNAMENTS_FILE, choices, TOURNAMENTS)
    write_rows(rankings_file(list(load_params().cycles)[-1]), [], RANKINGS)
    write_json(stage_metrics("concepts"), {"teaching": asdict(Teaching())})
    for stage in ("c0", *load_params().cycles, "concepts", "evaluate"):
        write_json(run_file(stage), {"run_id": f"{stage}-run"})
    for cycle in load_params().cycles:
        verdict = {"gate": "labels", "passed": True, "reasons": []}
        write_json(Path(f"metrics/labels/{cycle}.json"), verdict)
        write_json(ledger_file(cycle), {"calls": 0})
    for ledger in (CAPTIONS_LEDGER, PERSONAS_LEDGER):
        write_json(ledger, {})
    for refused in REJECTS:
        refused.parent.mkdir(exist_ok=True)
        refused.write_text("file,row,id,reason\n")
    write_tiny_model(cycle_model("c0"), 1.0)
    register.main()
    (version,) = list_versions("kindred")
    set_alias(version, CHAMPION)
    return version.digest


def judged() -> Verdict:
    check_retrieval.main()
    return read_verdict(RETRIEVAL_VERDICT)


def data_docs(report: Path) -> str:
    """The text of Great Expectations' pages, to which the report's own page links."""
    docs = report / "data_docs"
    assert stands_alone((report / "index.html").read_text(encoding="utf-8")) == {
        "data_docs/index.html"
    }
    assert (docs / "index.html").is_file()
    return "".join(p.read_text(encoding="utf-8") for p in (docs / "validations").rglob("*.html"))


def test_good_labels_pass_with_the_same_bytes_each_time(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_labels(good=True)
    written = []
    for _ in range(2):
        check_labels.main("c1")
        written.append(Path("metrics/labels/c1.json").read_bytes())
    assert written[0] == written[1]
    verdict = read_verdict(Path("metrics/labels/c1.json"))
    assert verdict.passed
    assert verdict.statistics["truth_agreement"] == 1
    files = [path for path in Path("data").rglob("*.*") if path.suffix != ".png"]
    assert verdict.inputs == {str(path): sha256_file(path) for path in files}
    said = capsys.readouterr()
    assert said.out.startswith("gate labels: passed ")
    assert said.err == ""
    content = json.loads(written[0])
    unknown = {name for name, value in content["statistics"].items() if value is None}
    assert unknown == {"cyclic_share", "winner_drift"}  # one cycle; each group shows everything
    # dvc metrics show makes a column of every string and number outside of lists.
    assert {key for key, value in content.items() if isinstance(value, dict)} == {"statistics"}


def test_bad_labels_exit_1_with_reasons_and_report(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_labels(good=False)
    with pytest.raises(SystemExit) as stop:
        check_labels.main("c1")
    assert stop.value.code == 1
    verdict = read_verdict(Path("metrics/labels/c1.json"))
    assert not verdict.passed
    said = capsys.readouterr()
    assert "positions.winner_position: got 0.99" in said.err
    assert "pairs.pair_agreement: got 0, expected a share of pairs" in said.err
    assert "truth.truth_agreement: got 0.5, expected" in said.err
    assert "report: reports/labels/c1/index.html" in said.err
    assert said.out == ""
    text = data_docs(Path("reports/labels/c1"))
    for check in verdict.checks:
        assert check.name.partition(".")[2] + ":" in text


def test_the_report_shows_the_statistics_and_example_groups(workplace: Path) -> None:
    write_labels(good=True)
    written = []
    for _ in range(2):
        check_labels.main("c1")
        written.append(Path("reports/labels/c1/index.html").read_bytes())
    assert written[0] == written[1]
    page = Page(written[0].decode())
    assert "The labels of cycle c1 passed all" in page.text
    assert "at least 0.3 down to 0.19 over 125 repeats" in page.text
    assert len(page.all("blockquote")) == 6
    pictures = page.all("img")
    assert len(pictures) == 6  # of each group's five products one has a picture
    assert {picture["alt"] for picture in pictures} == {"red thing"}
    docs = data_docs(Path("reports/labels/c1"))
    assert "of at least 0.3 (3 standard errors allowed: 0.19 over 125 repeats)" in docs


@pytest.mark.parametrize("ledger", [{**LEDGER, "calls": "many"}, {"calls": 1}, []])
def test_a_malformed_ledger_is_named(workplace: Path, ledger: Any) -> None:
    write_labels(good=True)
    write_json(check_labels.ledger_file("c1"), ledger)
    with pytest.raises(ValueError, match=r"ledger\.json is no ledger"):
        check_labels.main("c1")
    assert not Path("metrics").exists()


def test_an_unknown_cycle_is_a_usage_error() -> None:
    command = [sys.executable, "-m", "pipelines.check_labels", "c9"]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "choose from" in done.stderr


@pytest.mark.parametrize(("student", "passed"), [(0.9, True), (0.7, False)])
def test_retrieval_exits_0_with_its_verdict(
    workplace: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    student: float,
    passed: bool,
) -> None:
    """Where nothing was ever registered it makes no database and does not import MLflow."""
    monkeypatch.setitem(sys.modules, "mlflow", None)  # importing it would raise
    write_models()
    write_evaluation(student)
    check_retrieval.main()
    verdict = read_verdict(RETRIEVAL_VERDICT)
    assert verdict.passed == passed
    assert json.loads(RETRIEVAL_VERDICT.read_text(encoding="utf-8"))["champion"] is None
    assert verdict.inputs == {path: sha256_file(Path(path)) for path in verdict.inputs}
    assert list(verdict.inputs)[:2] == ["reports/queries.parquet", "metrics/evaluate.json"]
    assert verdict.statistics["index_agreement"] == 1.0
    assert not list(workplace.glob("mlflow.db*"))
    out = capsys.readouterr().out
    assert "no champion to compare with: floors only" in out
    assert ("personas.mean_percentile: got 0.7, expected" in out) != passed
    page = Page((check_retrieval.REPORT / "index.html").read_text(encoding="utf-8"))
    assert ("The student passed all" in page.text) == passed
    assert "There is no champion yet: it was held to floors only." in page.text
    text = data_docs(check_retrieval.REPORT)
    for check in verdict.checks:
        assert check.name.partition(".")[2] + ":" in text


@pytest.mark.slow
def test_a_student_beside_the_champion(workplace: Path) -> None:
    """Equal to it, shuffled, and beside a champion whose files are damaged: exit code 0 always."""
    write_models()
    write_evaluation(0.9)
    write_json(RETRIEVAL_VERDICT, {"gate": "retrieval", "passed": True, "reasons": []})
    digest = make_champion()
    equal = judged()
    assert equal.passed, equal.reasons
    assert equal.champion == digest
    assert equal.statistics["champion_mean_percentile"] == 1.0
    written = RETRIEVAL_VERDICT.read_bytes()
    judged()
    assert RETRIEVAL_VERDICT.read_bytes() == written

    best = read_vectors(product_vectors("student"))
    write_vectors(product_vectors("student"), best.ids, best.vectors[::-1].copy())
    shuffled = judged()
    assert "mean percentile:" in "".join(shuffled.reasons)
    assert {c.name for c in shuffled.checks if not c.passed} == {"champion.no_drop"}

    shutil.rmtree(CACHE / digest)
    for weights in Path("mlruns").rglob("open_clip_config.json"):
        weights.write_text("damaged")
    damaged = judged()
    assert {c.name for c in damaged.checks if not c.passed} == {"champion.compared"}
    assert "version 1 of kindred is damaged in the registry" in damaged.reasons[0]
    assert damaged.champion == digest


def test_vectors_that_no_index_takes_fail_the_gate(workplace: Path) -> None:
    write_models()
    write_evaluation(0.9)
    products = read_rows(PRODUCTS_FILE, PRODUCTS)
    write_rows(PRODUCTS_FILE, products[:-1], PRODUCTS)
    verdict = judged()
    assert {c.name for c in verdict.checks if not c.passed} == {"index.built"}
    assert "got 60 vectors and 59 products" in verdict.reasons[0]
