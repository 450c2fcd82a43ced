import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retrieval.schema import QUERIES
from validation.gate import Verdict
from validation.retrieval import RetrievalLimits, check_retrieval, pair_personas, summarise

pytestmark = pytest.mark.usefixtures("quick_docs")

LIMITS = RetrievalLimits(30, 0.8, 0.0, 0.05)
LEVELS = {"random": 0.5, "base": 0.75, "text": 0.7, "student": 0.9, "ceiling": 0.95}


def make(personas: int = 40, seed: int = 0, **levels: float) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = []
    for model, level in {**LEVELS, **levels}.items():
        for number in range(personas):
            percentile = float(np.clip(level + rng.normal(scale=0.02), 0, 1))
            rank = 101 - 100 * percentile
            rank_and_place = (rank, 101, percentile, float("nan"), float("nan"), float("nan"))
            rows.append((f"p{number}", "original", model, "x1", *rank_and_place, {}, []))
    return pd.DataFrame(rows, columns=QUERIES.names)


def metrics_of(queries: pd.DataFrame, base: float = 1.0, student: float = 0.97) -> dict[str, Any]:
    means = queries.groupby("model")["percentile"].mean()
    persona = {str(model): {"mean_percentile": float(mean)} for model, mean in means.items()}
    caption = {"base": {"recall@10": base}, "student": {"recall@10": student}}
    return {"persona": persona, "caption": caption, "concept": None}


def judge(tmp_path: Path, queries: pd.DataFrame, metrics: Any = None) -> Verdict:
    metrics = metrics_of(queries) if metrics is None else metrics
    return check_retrieval(queries, metrics, LIMITS, tmp_path / "docs", {})


def failed(verdict: Verdict) -> set[str]:
    return {check.name for check in verdict.checks if not check.passed}


def edit(change: Callable[[pd.DataFrame], Any]) -> pd.DataFrame:
    queries = make()
    change(queries)
    return queries


@pytest.mark.parametrize("seed", range(2))
def test_a_good_student_passes_without_champion_and_says_so(tmp_path: Path, seed: int) -> None:
    verdict = judge(tmp_path, make(seed=seed))
    assert verdict.passed, verdict.reasons
    assert verdict.champion is None
    assert verdict.to_json()["champion"] is None
    assert verdict.notes == ["no champion to compare with: floors only"]


FIRST_STUDENT_ROW = 3 * 40

BAD_TABLES: dict[str, tuple[Callable[[], pd.DataFrame], set[str]]] = {
    "below the floor": (lambda: make(student=0.78), {"personas.mean_percentile"}),
    "worse than base": (lambda: make(student=0.85, base=0.9), {"personas.gain"}),
    "too few": (lambda: make(personas=29), {"personas.row_count"}),
    "NaN": (
        lambda: edit(
            lambda q: q.__setitem__(
                "percentile", q["percentile"].where(q.index != FIRST_STUDENT_ROW)
            )
        ),
        {"queries.percentile_not_null", "personas.student_not_null", "personas.gain_not_null"},
    ),
    "out of range": (
        lambda: edit(
            lambda q: q.__setitem__("percentile", q["percentile"].where(q.index != 0, 1.5))
        ),
        {"queries.percentile_range"},
    ),
    "unknown model": (
        lambda: pd.concat([make(), make()[:1].assign(model="champion")], ignore_index=True),
        {"queries.known_models"},
    ),
    "a persona without base": (
        lambda: make().drop(index=40),
        {"personas.same_personas", "personas.gain_not_null"},
    ),
    "missing column": (lambda: make().drop(columns="winner"), {"queries.winner_not_null"}),
    "all-null column": (lambda: make().assign(winner=None), {"queries.winner_not_null"}),
}


@pytest.mark.parametrize("name", BAD_TABLES)
def test_a_bad_table_is_caught_by_the_right_expectation(tmp_path: Path, name: str) -> None:
    build, caught_by = BAD_TABLES[name]
    assert failed(judge(tmp_path, build())) == caught_by


def test_a_row_twice_is_caught(tmp_path: Path) -> None:
    queries = pd.concat([make(), make()[:1]], ignore_index=True)
    assert failed(judge(tmp_path, queries)) == {"queries.one_row_each"}


@pytest.mark.parametrize("missing", ["base", "student"])
def test_a_missing_model_is_caught(tmp_path: Path, missing: str) -> None:
    queries = make()
    verdict = judge(tmp_path, queries[queries["model"] != missing])
    assert {
        "personas.same_personas",
        "personas.gain_not_null",
        f"metrics.{missing}_mean_off_not_null",
    } <= failed(verdict)


def test_an_empty_table_fails(tmp_path: Path) -> None:
    verdict = judge(tmp_path, make()[:0], metrics_of(make()))
    assert {"queries.row_count", "personas.row_count", "personas.mean_percentile"} <= failed(
        verdict
    )
    assert "got 0, expected a row count of at least 1" in verdict.reasons[0]


def with_mean(model: str, mean: Any) -> dict[str, Any]:
    metrics = metrics_of(make())
    metrics["persona"][model]["mean_percentile"] = mean
    return metrics


NAN = float("nan")
BAD_METRICS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "caption drop": (metrics_of(make(), student=0.94), {"metrics.caption_drop"}),
    "another student": (with_mean("student", 0.91), {"metrics.student_mean_as_in_table"}),
    "another base": (with_mean("base", 0.5), {"metrics.base_mean_as_in_table"}),
    "null": (
        with_mean("student", None),
        {"metrics.student_mean_off_not_null", "metrics.student_mean_as_in_table"},
    ),
    "NaN elsewhere": ({**metrics_of(make()), "concept": {"map": [1, NAN]}}, {"metrics.finite"}),
    "no captions": (
        {**metrics_of(make()), "caption": {}},
        {"metrics.caption_drop_not_null", "metrics.caption_drop"},
    ),
    "nothing": (
        {},
        {
            *(f"metrics.{model}_mean_off_not_null" for model in ("base", "student")),
            *(f"metrics.{model}_mean_as_in_table" for model in ("base", "student")),
            "metrics.caption_drop_not_null",
            "metrics.caption_drop",
        },
    ),
}


@pytest.mark.parametrize("name", BAD_METRICS)
def test_bad_metrics_are_caught_by_the_right_expectation(tmp_path: Path, name: str) -> None:
    metrics, caught_by = BAD_METRICS[name]
    verdict = judge(tmp_path, make(), metrics)
    assert failed(verdict) == caught_by
    json.dumps(verdict.to_json(), allow_nan=False)


def test_a_drop_of_just_the_limit_passes(tmp_path: Path) -> None:
    assert LIMITS.max_caption_drop < 1 - 0.95  # by rounding alone
    assert judge(tmp_path, make(), metrics_of(make(), student=0.95)).passed


def test_pairs_by_hand() -> None:
    queries = pd.DataFrame(
        {
            "persona_id": ["a", "b", "a", "c", "a"],
            "model": ["base", "base", "student", "student", "text"],
            "percentile": [0.5, 0.6, 0.75, 1.0, 0.1],
        }
    )
    pairs = pair_personas(queries).set_index("persona_id")
    assert pairs["gain"].tolist()[:1] == [0.25]
    assert pairs["in_both"].to_dict() == {"a": True, "b": False, "c": False}
    assert pairs["gain"].isna().to_dict() == {"a": False, "b": True, "c": True}


def test_summary_by_hand() -> None:
    queries = pd.DataFrame(
        {"persona_id": ["a", "b"], "model": ["student"] * 2, "percentile": [0.5, 1.0]}
    )
    metrics = {
        "persona": {"student": {"mean_percentile": 0.75}, "ceiling": {"ci95": [0.1, float("inf")]}},
        "caption": {"base": {"recall@10": 1.0}, "student": {"recall@10": True}},
    }
    row = summarise(queries, metrics).iloc[0]
    assert row["student_mean_off"] == 0
    assert row["not_finite"] == 1
    assert np.isnan(row["base_mean_off"])
    assert np.isnan(row["caption_drop"])  # true is no recall
