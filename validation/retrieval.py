"""The gate on a model: does the student find what personas want, and still what captions say?"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retrieval.slices import is_headline, is_held_out
from retrieval.storage.files import number_at
from validation.gate import Judged, run_gate
from validation.limits import RetrievalLimits
from validation.retrieval_champion import (
    HEADLINE,
    Comparison,
    Regression,
    Uncompared,
    find_regression,
)
from validation.retrieval_champion_suites import IndexTrial, champion_suites, index_suite
from validation.retrieval_drops import (
    Drop,
    Pair,
    SliceDrop,
    judge,
    judge_slices,
    persona_units,
    slice_pairs,
)
from validation.retrieval_suites import (
    CONCEPT_FLOORS,
    WITHIN,
    held_out_suite,
    metrics_suite,
    personas_suite,
    queries_suite,
    slices_suite,
)

Numbers = dict[str, int | float | None]

FEW = 30  # personas, from which on a mean of them says something
MAY_BE_OFF = ("min_within_kind_percentile", "min_recall_at_10")  # limits that 0 turns off


@dataclass(frozen=True)
class Evidence:
    """All that the gate judges by."""

    queries: pd.DataFrame  # reports/queries.parquet
    metrics: Mapping[str, Any]  # metrics/evaluate.json
    index: IndexTrial
    champion: Comparison | Uncompared | None  # None: there is no champion


@dataclass(frozen=True)
class JudgedModel:
    """The gate's verdict, and what the student was compared with."""

    judged: Judged
    base: Sequence[Drop]  # against the base model: the headline, which cannot fail; held-out wishes
    slices: Sequence[SliceDrop]  # likewise, the largest drop first
    champion: Regression | Uncompared | None  # None: there is no champion
    version: int | None  # the champion's


def check_retrieval(
    evidence: Evidence, limits: RetrievalLimits, docs: Path, inputs: Mapping[str, str]
) -> JudgedModel:
    """Judge a student, and write Data Docs into `docs`. Raises as `run_gate`."""
    summary = summarise(evidence.queries, evidence.metrics)
    pairs = pair_personas(evidence.queries)
    slices, small = judge_slices(
        _slices(pairs, limits),
        limits.confidence,
        limits.min_slice_queries,
        limits.min_slice_percentile,
    )
    held_out, too_few = judge(
        [_held_out(pairs, limits)], limits.confidence, limits.min_slice_queries
    )
    found = _regression(evidence.champion, limits)
    suites = [
        queries_suite(evidence.queries),
        personas_suite(_headline(pairs), limits),
        metrics_suite(summary, limits),
        index_suite(evidence.index, limits.min_index_agreement),
        *(held_out_suite(drop) for drop in held_out),
        *([slices_suite(slices, limits)] if slices else []),
        *(champion_suites(found) if found else []),
    ]
    judged = run_gate("retrieval", suites, docs, inputs)
    verdict = replace(
        judged.verdict,
        statistics=_statistics(summary, evidence.index, found, limits),
        notes=[
            *_held_out_note(held_out, too_few, limits),
            *_few_note(_headline(pairs)),
            *_notes(slices, small, summary, limits),
            _champion_note(evidence.champion),
            *_concepts_note(evidence.champion, summary),
        ],
        champion=evidence.champion.champion if evidence.champion else None,
    )
    return JudgedModel(
        judged=replace(judged, verdict=verdict),
        base=[*compare_with_base(evidence.queries, limits.confidence), *held_out],
        slices=slices,
        champion=found,
        version=evidence.champion.version if evidence.champion else None,
    )


def compare_with_base(queries: pd.DataFrame, confidence: float) -> list[Drop]:
    """The student's difference to the base model in each of `HEADLINE`, over the headline."""
    headline = _headline(pair_personas(queries))
    both = headline.loc[headline["in_both"], "persona_id"]
    ours, theirs = (_answers(_rows(queries, model).loc[both]) for model in ("student", "base"))
    units = persona_units(headline.loc[headline["in_both"], "slices"].tolist())
    pairs = [Pair(name, ours[key], theirs[key], math.inf, units) for key, name in HEADLINE.items()]
    return judge(pairs, confidence)[0]


def _answers(rows: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
    """Of `HEADLINE`, a number a row."""
    table = rows[["rank", "percentile", "within_kind_percentile"]].astype("float64")
    table["recall@10"] = (table["rank"] <= 10).where(table["rank"].notna())
    return {key: table[key].to_numpy(dtype="float64") for key in HEADLINE}


def pair_personas(queries: pd.DataFrame) -> pd.DataFrame:
    """One row a persona of base or student: both percentiles (NaN: none), gain, and slices."""
    base, student = (_rows(queries, model) for model in ("base", "student"))
    pairs = pd.DataFrame({"base": base["percentile"], "student": student["percentile"]})
    pairs = pairs.astype("float64").rename_axis("persona_id")
    pairs["gain"] = pairs["student"] - pairs["base"]
    pairs["in_both"] = pairs.index.isin(base.index) & pairs.index.isin(student.index)
    slices = student["slices"].reindex(pairs.index)
    known = [value if isinstance(value, Mapping) else {} for value in slices]
    pairs["slices"] = pd.Series(known, index=pairs.index, dtype="object")
    return pairs.reset_index()


def summarise(queries: pd.DataFrame, metrics: Mapping[str, Any]) -> pd.DataFrame:
    """One row of numbers from the metrics and the table; NaN where one is missing.

    What the metrics say null of is left out: the percentile within the kind where nobody has
    wants, concepts where there are no subjects.
    """
    headline = _headline(pair_personas(queries))
    row: dict[str, float] = {"not_finite": sum(not math.isfinite(n) for n in _numbers(metrics))}
    for model in ("base", "student"):
        mean = _lookup(metrics, "persona", model, "mean_percentile")
        row[f"{model}_mean_percentile"] = mean
        row[f"{model}_mean_off"] = abs(mean - float(headline[model].mean()))
        for k in (1, 10):
            row[f"{model}_caption_recall@{k}"] = _lookup(metrics, "caption", model, f"recall@{k}")
    for k in (1, 10):
        drop = row[f"base_caption_recall@{k}"] - row[f"student_caption_recall@{k}"]
        row[f"caption_drop@{k}"] = round(drop, 12)  # 1 - 0.95 must not exceed 0.05 by rounding
    row["student_recall@10"] = _lookup(metrics, "persona", "student", "recall@10")
    where: dict[str, tuple[str, ...]] = {WITHIN: ("persona", "student", "within_kind_percentile")}
    where |= {name: ("concept", *keys) for name, keys in CONCEPT_FLOORS.items()}
    maybe = {name: _lookup(metrics, *keys) for name, keys in where.items()}
    return pd.DataFrame([row | {name: n for name, n in maybe.items() if not math.isnan(n)}])


def _headline(pairs: pd.DataFrame) -> pd.DataFrame:
    return pairs[pairs["slices"].map(is_headline).astype(bool)]


def _rows(queries: pd.DataFrame, model: str) -> pd.DataFrame:
    """A model's rows in the original wording, by persona; each once, whatever the table holds."""
    columns = ["persona_id", "wording", "model", "rank", "percentile", "within_kind_percentile"]
    whole = queries.reindex(columns=[*columns, "slices"])
    rows = whole[(whole["model"] == model) & (whole["wording"] == "original")]
    return rows.drop_duplicates("persona_id").set_index("persona_id")


def _slices(pairs: pd.DataFrame, limits: RetrievalLimits) -> list[Pair]:
    student, base = (pairs[model].to_numpy(dtype="float64") for model in ("student", "base"))
    return slice_pairs(pairs["slices"].tolist(), student, base, limits.max_slice_drop)


def _held_out(pairs: pd.DataFrame, limits: RetrievalLimits) -> Pair:
    new = pairs[pairs["slices"].map(is_held_out).astype(bool)]
    student, base = (new[model].to_numpy(dtype="float64") for model in ("student", "base"))
    units = persona_units(new["slices"].tolist())
    return Pair("held-out wishes", student, base, limits.max_held_out_drop, units)


def _held_out_note(
    judged: Sequence[Drop], too_few: Sequence[str], limits: RetrievalLimits
) -> Iterator[str]:
    """What the student does for wishes of no training persona, or that nobody can tell."""
    for drop in judged:
        yield drop.summary()
    for name in too_few:
        yield (
            f"{name} were not checked, fewer than {limits.min_slice_queries} personas have them:"
            " whether a kind of wish that training never saw is served worse is not known"
            " (catalog.held_out_wishes)"
        )


def _regression(
    champion: Comparison | Uncompared | None, limits: RetrievalLimits
) -> Regression | Uncompared | None:
    if isinstance(champion, Comparison):
        return find_regression(champion, limits.regression)
    return champion


def _few_note(headline: pd.DataFrame) -> Iterator[str]:
    """That the numbers are means of few, and how far chance moves them."""
    count = len(headline)
    if 1 < count < FEW:
        error = float(headline["gain"].std(ddof=1)) / math.sqrt(count)
        yield (
            f"only {count} personas judged it, so this says little: the gain over the base model is"
            f" {100 * headline['gain'].mean():+.1f} points, give or take {200 * error:.1f} (two"
            " standard errors); write more personas"
        )


def _notes(
    slices: Sequence[SliceDrop], small: list[str], summary: pd.DataFrame, limits: RetrievalLimits
) -> Iterator[str]:
    if not slices and not small:
        yield "slices were not checked: the table has none"
    if small:
        yield (
            f"slices of fewer than {limits.min_slice_queries} personas were not checked:"
            f" {', '.join(small)}"
        )
    if off := [name for name in MAY_BE_OFF if not getattr(limits, name)]:
        yield f"what these limits hold was not judged, since they are 0: {', '.join(off)}"
    if WITHIN not in summary:
        yield "the percentile within the kind was not checked: no persona has wants"
    if missing := [name.replace("_", " ") for name in CONCEPT_FLOORS if name not in summary]:
        yield f"{', '.join(missing)} not checked: the evaluation has no subjects asked for so"


def _champion_note(champion: Comparison | Uncompared | None) -> str:
    if champion is None:
        return "no champion to compare with: floors only"
    if isinstance(champion, Uncompared):
        return f"the champion, version {champion.version}, could not be compared with"
    products = len(champion.candidate.captions["recall@1"])
    subjects = {name for one in champion.concepts for name in one.subjects}
    concepts = f", and {len(subjects)} subjects of concepts" if subjects else ""
    return (
        f"compared with the champion, version {champion.version}, on {len(champion.slices_Q)}"
        f" held-out personas and {products} held-out products{concepts}"
    )


def _concepts_note(
    champion: Comparison | Uncompared | None, summary: pd.DataFrame
) -> Iterator[str]:
    """That there are concepts, and the champion was not asked about these subjects."""
    asked = any(name in summary for name in CONCEPT_FLOORS)
    if asked and isinstance(champion, Comparison) and not champion.concepts:
        yield "concepts were not compared with the champion's: it was asked about other subjects"


def _statistics(
    summary: pd.DataFrame,
    index: IndexTrial,
    found: Regression | Uncompared | None,
    limits: RetrievalLimits,
) -> Numbers:
    """Numbers for people, and the limits by which promotion compares with a later champion."""
    numbers = {str(name): float(value) for name, value in summary.iloc[0].items()}
    numbers["index_agreement"] = index.agreement
    for drop in found.overall if isinstance(found, Regression) else []:
        name = drop.what.replace(" ", "_")
        numbers |= {f"champion_{name}": drop.reference, f"difference_{name}": drop.difference}
        numbers |= {f"difference_low_{name}": drop.low, f"difference_high_{name}": drop.high}
    numbers |= limits.regression.model_dump()
    return {name: value if math.isfinite(value) else None for name, value in numbers.items()}


def _lookup(metrics: Any, *keys: str) -> float:
    number = number_at(metrics, *keys)
    return math.nan if number is None else number


def _numbers(metrics: Any) -> Iterator[float]:
    if isinstance(metrics, Mapping | list):
        for value in metrics.values() if isinstance(metrics, Mapping) else metrics:
            yield from _numbers(value)
    elif isinstance(metrics, int | float):
        yield metrics
