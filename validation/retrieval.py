"""The gate on a model: does the student find what personas want, and still what captions say?"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from retrieval.schema import QUERIES
from validation.gate import Verdict, run_gate
from validation.suite import Requirement, Suite

MODELS = ("random", "base", "text", "student", "ceiling")
MAY_BE_UNKNOWN = ("within_kind_percentile", "ndcg@10", "tau")

_SAME = 1e-6  # how far a mean in the metrics may lie from the table's
_AGAIN = "run the stage `evaluate` again"
_NO_CHAMPION = "no champion to compare with: floors only"


@dataclass(frozen=True)
class RetrievalLimits:
    """The numbers of section `check_retrieval` in params.yaml, where each is explained."""

    min_queries: int
    min_mean_percentile: float
    min_gain: float
    max_caption_drop: float


def check_retrieval(
    queries: pd.DataFrame,
    metrics: Mapping[str, Any],
    limits: RetrievalLimits,
    docs: Path,
    inputs: Mapping[str, str],
) -> Verdict:
    """Judge a student, and write Data Docs into `docs`. Raises as `run_gate`."""
    summary = summarise(queries, metrics)
    suites = [
        _queries_suite(queries),
        _personas_suite(pair_personas(queries), limits),
        _metrics_suite(summary, limits),
    ]
    verdict = run_gate("retrieval", suites, docs, inputs)
    statistics: dict[str, int | float | None] = {
        str(name): float(value) if math.isfinite(value) else None
        for name, value in summary.iloc[0].items()
    }
    return replace(verdict, statistics=statistics, notes=[_NO_CHAMPION], champion=None)


def pair_personas(queries: pd.DataFrame) -> pd.DataFrame:
    """One row a persona of base or student: both percentiles (NaN: none), and the gain."""
    base, student = (_percentiles(queries, model) for model in ("base", "student"))
    pairs = pd.DataFrame({"base": base, "student": student}).rename_axis("persona_id")
    pairs["gain"] = pairs["student"] - pairs["base"]
    pairs["in_both"] = pairs.index.isin(base.index) & pairs.index.isin(student.index)
    return pairs.reset_index()


def summarise(queries: pd.DataFrame, metrics: Mapping[str, Any]) -> pd.DataFrame:
    """One row of numbers from the metrics and the table; NaN where one is missing."""
    row: dict[str, float] = {"not_finite": sum(not math.isfinite(n) for n in _numbers(metrics))}
    for model in ("base", "student"):
        mean = _lookup(metrics, "persona", model, "mean_percentile")
        row[f"{model}_mean_percentile"] = mean
        row[f"{model}_mean_off"] = abs(mean - float(_percentiles(queries, model).mean()))
        row[f"{model}_caption_recall@10"] = _lookup(metrics, "caption", model, "recall@10")
    drop = row["base_caption_recall@10"] - row["student_caption_recall@10"]
    row["caption_drop"] = round(drop, 12)  # 1 - 0.95 must not exceed 0.05 by rounding
    return pd.DataFrame([row])


def _percentiles(queries: pd.DataFrame, model: str) -> "pd.Series[float]":
    whole = queries.reindex(columns=["persona_id", "model", "percentile"])
    rows = whole[whole["model"] == model].drop_duplicates("persona_id")
    return rows.set_index("persona_id")["percentile"].astype("float64")


def _lookup(metrics: Any, *keys: str) -> float:
    for key in keys:
        metrics = metrics.get(key) if isinstance(metrics, Mapping) else None
    is_number = isinstance(metrics, int | float) and not isinstance(metrics, bool)
    return float(metrics) if is_number else float("nan")


def _numbers(metrics: Any) -> Iterator[float]:
    if isinstance(metrics, Mapping | list):
        for value in metrics.values() if isinstance(metrics, Mapping) else metrics:
            yield from _numbers(value)
    elif isinstance(metrics, int | float):
        yield metrics


def _queries_suite(queries: pd.DataFrame) -> Suite:
    return Suite(
        "queries",
        queries,
        key="persona_id",
        min_rows=1,
        remedy=_AGAIN,
        required=[name for name in QUERIES.names if name not in MAY_BE_UNKNOWN],
        requirements=[
            Requirement(
                "percentile_range",
                "ExpectColumnValuesToBeBetween",
                {"column": "percentile", "min_value": 0, "max_value": 1},
                "each percentile in [0, 1]",
                _AGAIN,
            ),
            Requirement(
                "known_models",
                "ExpectColumnValuesToBeInSet",
                {"column": "model", "value_set": list(MODELS)},
                f"no model but {', '.join(MODELS)}",
                _AGAIN,
            ),
            Requirement(
                "one_row_each",
                "ExpectCompoundColumnsToBeUnique",
                {"column_list": ["persona_id", "model"]},
                "one row a persona and model",
                _AGAIN,
            ),
        ],
    )


def _personas_suite(pairs: pd.DataFrame, limits: RetrievalLimits) -> Suite:
    return Suite(
        "personas",
        pairs,
        key="persona_id",
        min_rows=limits.min_queries,
        remedy="evaluate base and student on the same personas, enough of them"
        " (tournaments.max_test_personas), or lower check_retrieval.min_queries",
        requirements=[
            Requirement(
                "same_personas",
                "ExpectColumnValuesToBeInSet",
                {"column": "in_both", "value_set": [True]},
                "each persona queried with base and with student",
                _AGAIN,
            ),
            Requirement(
                "mean_percentile",
                "ExpectColumnMeanToBeBetween",
                {"column": "student", "min_value": limits.min_mean_percentile},
                f"a mean percentile of the student of at least {limits.min_mean_percentile}",
                "label more (label.groups, another cycle) or train longer (distill.steps)",
            ),
            Requirement(
                "gain",
                "ExpectColumnMeanToBeBetween",
                {"column": "gain", "min_value": limits.min_gain},
                f"a mean gain of the student over the base model of at least {limits.min_gain}",
                "distillation did not help: look at the labels' report and the training curves",
            ),
        ],
    )


def _metrics_suite(summary: pd.DataFrame, limits: RetrievalLimits) -> Suite:
    return Suite(
        "metrics",
        summary,
        key="",
        min_rows=1,
        remedy=f"metrics/evaluate.json lacks this number: {_AGAIN}",
        requirements=[
            Requirement(
                "caption_drop",
                "ExpectColumnMaxToBeBetween",
                {"column": "caption_drop", "max_value": limits.max_caption_drop},
                f"a caption recall@10 lost from base to student of at most"
                f" {limits.max_caption_drop}",
                "raise distill.retention_weight",
            ),
            Requirement(
                "finite",
                "ExpectColumnMaxToBeBetween",
                {"column": "not_finite", "max_value": 0},
                "0 metrics that are NaN or infinite",
                _AGAIN,
            ),
            *(
                Requirement(
                    f"{model}_mean_as_in_table",
                    "ExpectColumnMaxToBeBetween",
                    {"column": f"{model}_mean_off", "max_value": _SAME},
                    f"persona.{model}.mean_percentile within {_SAME} of the table's mean",
                    f"metrics and table are not of one run: {_AGAIN}",
                )
                for model in ("base", "student")
            ),
        ],
    )
