import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines import check_labels, check_retrieval
from pipelines.params import load_params
from pipelines.paths import PERSONAS_FILE, PRODUCTS_FILE, rankings_file
from retrieval.files import sha256_file, write_json
from retrieval.schema import PERSONAS, PRODUCTS, QUERIES, RANKINGS, write_rows
from validation.gate import read_verdict

TOP = Path(__file__).parents[2]
COLORS = ["red", "blue", "green", "grey", "white"]


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    shutil.copy(TOP / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_labels(good: bool) -> None:
    """25 personas that want one colour each; 125 groups of one product a colour, in turn."""
    products = [
        dict.fromkeys(PRODUCTS.names, "")
        | {"product_id": c, "price": 1.0, "attributes": {"color": c}}
        for c in COLORS
    ]
    personas = [
        {
            "persona_id": f"p{i}",
            "text": "",
            "split": "train",
            "wants": {f"color={COLORS[i % 5]}": 1.0},
        }
        for i in range(25)
    ]
    rankings = []
    for i in range(125):
        presented = COLORS[i // 25 :] + COLORS[: i // 25]
        wanted = COLORS[i % 5]
        ranking = [wanted, *(c for c in presented if c != wanted)] if good else presented
        values = (f"g{i}", f"p{i % 25}", presented, ranking, "simulated", "0" * 64)
        rankings.append(dict(zip(RANKINGS.names, values, strict=True)))
    write_rows(PRODUCTS_FILE, products, PRODUCTS)
    write_rows(PERSONAS_FILE, personas, PERSONAS)
    write_rows(rankings_file("c1"), rankings, RANKINGS)


def write_evaluation(student: float) -> None:
    levels = {"base": 0.75, "student": student}
    rows = [
        dict(zip(QUERIES.names, (f"p{i}", model, "x", 1.0, 9, level, float("nan")), strict=True))
        for model, level in levels.items()
        for i in range(30)
    ]
    write_rows(check_retrieval.QUERIES_FILE, rows, QUERIES)
    metrics: dict[str, Any] = {
        "persona": {model: {"mean_percentile": level} for model, level in levels.items()},
        "caption": {model: {"recall@10": 1.0} for model in levels},
    }
    write_json(check_retrieval.EVALUATION, metrics)


def pages(report: Path) -> str:
    assert (report / "index.html").is_file()
    return "".join(p.read_text(encoding="utf-8") for p in (report / "validations").rglob("*.html"))


def test_good_labels_pass_with_the_same_bytes_each_time(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_labels(good=True)
    written = []
    for _ in range(2):
        check_labels.main("c1")
        written.append(Path("metrics/labels_c1.json").read_bytes())
    assert written[0] == written[1]
    verdict = read_verdict(Path("metrics/labels_c1.json"))
    assert verdict.passed
    assert verdict.statistics["truth_agreement"] == 1
    files = Path("data").rglob("*.parquet")
    assert verdict.inputs == {str(path): sha256_file(path) for path in files}
    said = capsys.readouterr()
    assert said.out.startswith("gate labels: passed ")
    assert said.err == ""
    content = json.loads(written[0])
    assert all(isinstance(value, int | float) for value in content["statistics"].values())
    # dvc metrics show makes a column of every string and number outside of lists.
    assert {key for key, value in content.items() if isinstance(value, dict)} == {"statistics"}


def test_bad_labels_exit_1_with_reasons_and_report(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_labels(good=False)
    with pytest.raises(SystemExit) as stop:
        check_labels.main("c1")
    assert stop.value.code == 1
    verdict = read_verdict(Path("metrics/labels_c1.json"))
    assert not verdict.passed
    said = capsys.readouterr()
    assert "rankings.position_share: got 1, expected at most 0.35" in said.err
    assert "truth.truth_agreement: got 0.5, expected" in said.err
    assert "report: reports/labels/c1/index.html" in said.err
    assert said.out == ""
    text = pages(Path("reports/labels/c1"))
    for check in verdict.checks:
        assert check.name.partition(".")[2] + ":" in text


def test_an_unknown_cycle_is_a_usage_error() -> None:
    command = [sys.executable, "-m", "pipelines.check_labels", "c9"]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "choose from" in done.stderr


@pytest.mark.parametrize(("student", "passed"), [(0.9, True), (0.7, False)])
def test_retrieval_exits_0_with_its_verdict(
    workplace: Path, capsys: pytest.CaptureFixture[str], student: float, passed: bool
) -> None:
    write_evaluation(student)
    check_retrieval.main()
    verdict = read_verdict(check_retrieval.VERDICT)
    assert verdict.passed == passed
    assert json.loads(check_retrieval.VERDICT.read_text(encoding="utf-8"))["champion"] is None
    assert list(verdict.inputs) == ["reports/queries.parquet", "metrics/evaluate.json"]
    out = capsys.readouterr().out
    assert "no champion to compare with: floors only" in out
    assert ("personas.mean_percentile: got 0.7, expected" in out) != passed
    text = pages(check_retrieval.REPORT)
    for check in verdict.checks:
        assert check.name.partition(".")[2] + ":" in text


def test_the_limits_take_exactly_their_sections() -> None:
    params = load_params(TOP / "params.yaml")
    check_labels.LabelLimits(**params.check_labels.model_dump())
    check_retrieval.RetrievalLimits(**params.check_retrieval.model_dump())
