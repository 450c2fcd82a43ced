import json
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from retrieval.storage.files import write_json
from validation.gate import Check, Verdict, read_verdict, run_gate
from validation.measures import AtLeast, AtMost, Estimate, exact
from validation.suite import Requirement, Suite, held, statistics_suite

pytestmark = pytest.mark.usefixtures("quick_docs")


def need(name: str = "mean", kind: Any = "ExpectColumnMeanToBeBetween", **arguments: Any):
    arguments = arguments or {"column": "x", "min_value": 2.0}
    return Requirement(name, kind, arguments, f"{name} as wanted", "mend it")


def in_set(value: bool = True) -> Requirement:
    return need("ok", "ExpectColumnValuesToBeInSet", column="ok", value_set=[value])


def suite(table: dict[str, list[Any]], *needs: Requirement, min_rows: int = 1) -> Suite:
    frame = pd.DataFrame(table)
    return Suite("numbers", frame, "id", min_rows, "bring more rows", needs or (need(),))


def run(tmp_path: Path, *suites: Suite) -> Verdict:
    return run_gate("test", suites, tmp_path / "docs", {"a.parquet": "0" * 64}).verdict


def failed(verdict: Verdict) -> set[str]:
    return {check.name for check in verdict.checks if not check.passed}


def test_a_good_table_passes_with_its_guards(tmp_path: Path) -> None:
    verdict = run(tmp_path, suite({"x": [1.0, 4.0]}))
    assert verdict.passed
    assert verdict.reasons == []
    assert [check.name for check in verdict.checks] == [
        "numbers.row_count",
        "numbers.x_not_null",
        "numbers.mean",
    ]
    assert [check.observed for check in verdict.checks] == [2, "0 of 2 rows at fault", 2.5]


def test_a_reason_says_got_expected_and_what_to_do(tmp_path: Path) -> None:
    verdict = run(tmp_path, suite({"x": [1.0, 2.0]}))
    assert verdict.reasons == ["numbers.mean: got 1.5, expected mean as wanted; mend it"]
    assert not verdict.passed


def test_a_reason_names_the_first_rows_at_fault(tmp_path: Path) -> None:
    table = {"id": list("abcdef"), "ok": [True, False, True, False, False, False]}
    verdict = run(tmp_path, suite(table, in_set()))
    assert "got 4 of 6 rows at fault (id b, d, e, ...)" in verdict.reasons[0]


def statistic(estimate: Estimate) -> Suite:
    need = held("tau", AtLeast("a mean tau", estimate, 0.3, 2.0), "ask another")
    return statistics_suite("repeats", [need], "nobody was asked")


def test_a_statistic_is_held_to_what_its_sample_allows(tmp_path: Path) -> None:
    for value, passed in ((0.2, True), (0.199, False)):
        judged = run_gate(
            "test", [statistic(Estimate(value, 0.05, 9, "pairs"))], tmp_path / "d", {}
        )
        assert judged.verdict.passed == passed
        result = judged.results[-1]
        assert result.check.observed == value
        assert result.need.measure is not None
        assert judged.failures == ([] if passed else [result])
    assert judged.verdict.reasons == [
        "repeats.tau: got 0.199, expected a mean tau of at least 0.3 (2 standard errors allowed:"
        " 0.2 over 9 pairs); ask another"
    ]


def test_a_statistic_that_is_nan_fails(tmp_path: Path) -> None:
    verdict = run(tmp_path, statistic(Estimate(float("nan"), float("nan"), 9, "pairs")))
    assert failed(verdict) == {"repeats.tau_not_null", "repeats.tau"}


def test_a_statistic_of_nothing_fails_by_its_row_count(tmp_path: Path) -> None:
    verdict = run(tmp_path, statistic(Estimate(float("nan"), float("nan"), 0, "pairs")))
    assert failed(verdict) == {"repeats.row_count", "repeats.tau"}
    assert "expected a row count of at least 1; nobody was asked" in verdict.reasons[0]


def test_a_mean_is_held_by_its_column(tmp_path: Path) -> None:
    for value, passed in ((2.5, True), (2.4, False)):
        need = held("level", AtMost("a mean", exact(2.5), value), "", column="x", is_mean=True)
        assert run(tmp_path, suite({"x": [1.0, 4.0]}, need)).passed == passed


def test_an_empty_table_fails_though_in_set_alone_would_pass(tmp_path: Path) -> None:
    verdict = run(tmp_path, suite({"ok": []}, in_set()))
    assert "numbers.row_count" in failed(verdict)
    assert "got 0, expected a row count of at least 1; bring more rows" in verdict.reasons[0]


def test_too_few_rows_fail(tmp_path: Path) -> None:
    assert failed(run(tmp_path, suite({"x": [3.0, 3.0]}, min_rows=3))) == {"numbers.row_count"}


def test_an_all_null_column_fails_though_in_set_alone_would_pass(tmp_path: Path) -> None:
    assert "numbers.ok_not_null" in failed(run(tmp_path, suite({"ok": [None, None]}, in_set())))


def test_a_missing_column_fails_with_the_exception_as_its_reason(tmp_path: Path) -> None:
    verdict = run(tmp_path, suite({"y": [1.0]}))
    assert failed(verdict) == {"numbers.x_not_null", "numbers.mean"}
    assert 'no result (Error: The column "x" in BatchData does not exist' in verdict.reasons[0]


def test_an_expectation_that_raises_fails_with_its_reason(tmp_path: Path) -> None:
    verdict = run(tmp_path, suite({"x": ["a", "b"]}))
    assert failed(verdict) == {"numbers.mean"}
    assert "no result (" in verdict.reasons[0]


def test_an_expectation_that_is_left_out_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As when a custom expectation's class is not imported: the run succeeds without it.
    from great_expectations.core.factory import SuiteFactory

    real = SuiteFactory.add

    def forgetful(self: Any, suite: Any) -> Any:
        suite.expectations = suite.expectations[:-1]
        return real(self, suite)

    monkeypatch.setattr(SuiteFactory, "add", forgetful)
    verdict = run(tmp_path, suite({"x": [3.0]}))
    assert failed(verdict) == {"numbers.mean"}
    assert "got no result (Great Expectations left it out)" in verdict.reasons[0]


@pytest.mark.parametrize(("needs", "min_rows"), [((), 1), ((need(),), 0)])
def test_a_suite_that_looks_at_nothing_is_refused(tmp_path: Path, needs: Any, min_rows: int):
    empty = Suite("empty", pd.DataFrame({"x": [1.0]}), "id", min_rows, "", needs)
    with pytest.raises(ValueError, match="an empty suite passes any table"):
        run(tmp_path, empty)
    assert not (tmp_path / "docs").exists()


def test_a_gate_without_suites_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="got no suite"):
        run(tmp_path)


def test_requirements_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="several requirements named"):
        run(tmp_path, suite({"x": [1.0]}, need(), need()))


def test_an_unknown_expectation_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(AttributeError):
        run(tmp_path, suite({"x": [1.0]}, need(kind="ExpectNothing")))


def test_data_docs_name_every_expectation_and_replace_older_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # the real ones
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "old.html").touch()
    verdict = run(tmp_path, suite({"x": [3.0]}))
    assert "numbers" in (tmp_path / "docs" / "index.html").read_text(encoding="utf-8")
    assert not (tmp_path / "docs" / "old.html").exists()
    (page,) = (tmp_path / "docs" / "validations").rglob("*.html")
    text = page.read_text(encoding="utf-8")
    for check in verdict.checks:
        assert f"{check.name.removeprefix('numbers.')}: {check.expected}" in text


def test_missing_data_docs_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from great_expectations.data_context import EphemeralDataContext

    monkeypatch.setattr(EphemeralDataContext, "build_data_docs", lambda self, site_names: {})
    with pytest.raises(RuntimeError, match="wrote no Data Docs"):
        run(tmp_path, suite({"x": [3.0]}))
    assert not (tmp_path / "docs").exists()


@pytest.mark.parametrize("before", [None, "true"])
def test_analytics_are_off_during_the_run_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    import great_expectations as gx

    monkeypatch.delenv("GX_ANALYTICS_ENABLED", raising=False)
    if before:
        monkeypatch.setenv("GX_ANALYTICS_ENABLED", before)
    seen = []
    real = gx.get_context
    monkeypatch.setattr(
        gx,
        "get_context",
        lambda **kw: seen.append(os.environ["GX_ANALYTICS_ENABLED"]) or real(**kw),
    )
    run(tmp_path, suite({"x": [3.0]}))
    assert seen == ["false"]
    assert os.environ.get("GX_ANALYTICS_ENABLED") == before


def test_no_progress_bars(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, suite({"x": [3.0]}))
    assert capfd.readouterr() == ("", "")


def test_verdicts_are_deterministic_and_survive_the_file(tmp_path: Path) -> None:
    table = {"id": ["a", "b"], "x": [1.0, float("nan")], "ok": [True, False]}
    for name in ("1", "2"):
        verdict = run(tmp_path, suite(table, need(), in_set()), suite_named("more"))
        write_json(tmp_path / f"{name}.json", verdict.to_json())
    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "2.json").read_bytes()
    assert read_verdict(tmp_path / "1.json") == verdict
    assert read_verdict(tmp_path / "1.json").to_json() == verdict.to_json()


def suite_named(name: str) -> Suite:
    return Suite(name, pd.DataFrame({"x": [3]}), "", 1, "", [need()])


def test_no_time_in_the_verdict_and_its_keys(tmp_path: Path) -> None:
    content = run(tmp_path, suite({"x": [3.0]})).to_json()
    assert sorted(content) == sorted(
        ["gate", "passed", "reasons", "checks", "inputs", "statistics", "notes", "champion"]
    )
    assert content["inputs"] == [{"path": "a.parquet", "sha256": "0" * 64}]
    assert sorted(content["checks"][0]) == ["expected", "name", "observed", "passed", "reason"]


CHECK = {"name": "a.b", "passed": True, "observed": 1, "expected": "", "reason": ""}
GOOD = {"gate": "g", "passed": True, "reasons": [], "checks": [CHECK], "inputs": []}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "is no verdict"),
        ("null", "is no verdict"),
        (json.dumps({"passed": True}), "is no verdict"),
        (json.dumps({**GOOD, "passed": "yes"}), "is no verdict"),
        (json.dumps({**GOOD, "checks": [{**CHECK, "passed": False}]}), "got passed: True"),
        (json.dumps({**GOOD, "checks": []}), "got passed: True, expected False"),
        (json.dumps({**GOOD, "passed": False}), "got passed: False, expected True"),
    ],
)
def test_malformed_verdicts_are_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "verdict.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=message) as error:
        read_verdict(path)
    assert "verdict.json" in str(error.value)


def test_a_good_verdict_is_read_and_a_missing_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "verdict.json"
    with pytest.raises(FileNotFoundError):
        read_verdict(path)
    write_json(path, GOOD)
    assert read_verdict(path).passed


def test_summary_is_for_people() -> None:
    bad = Check("a.b", False, 1, "", "a.b: got 1")
    verdict = Verdict("labels", False, ["a.b: got 1"], [bad], {}, notes=["not checked: c"])
    assert verdict.summary() == (
        "gate labels: failed 1 of 1 checks\n  - a.b: got 1\n  note: not checked: c"
    )
