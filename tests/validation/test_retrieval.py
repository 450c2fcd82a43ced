import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retrieval.slices import is_headline
from tests.validation.evaluation import LIMITS, concepts_of, failed, judge, make, metrics_of
from validation.retrieval import compare_with_base, pair_personas, summarise
from validation.retrieval_champion_suites import IndexTrial

pytestmark = pytest.mark.usefixtures("quick_docs")


def sliced_student(shifts: dict[str, float], aunt_base: float = 0.0) -> pd.DataFrame:
    """A student that lies `shifts` off the base in each slice."""
    queries = make()
    levels = queries["percentile"].where(queries["model"] == "base").dropna()
    relation = pd.Series([slices["relation"] for slices in queries["slices"]])
    levels += aunt_base * (relation[levels.index] == "aunt")
    queries.loc[levels.index, "percentile"] = levels
    students = queries.index[queries["model"] == "student"]
    moved = levels.to_numpy() + relation[students].map(shifts).to_numpy()
    queries.loc[students, "percentile"] = np.clip(moved, 0, 1)
    return queries


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
    assert verdict.notes[1:] == ["no champion to compare with: floors only"]
    assert verdict.notes[0].startswith("held-out wishes (0) were not checked")


def with_new_wishes(base: float, student: float) -> pd.DataFrame:
    """Beside forty personas thirty with six wishes of no training persona."""
    known, new = make(), make(personas=30, seed=1, base=base, student=student)
    new["persona_id"] = [f"new {one}" for one in new["persona_id"]]
    new["slices"] = [
        {"interests": "unseen", "interest": f"i{int(one.split('p')[-1]) % 6}"}
        for one in new["persona_id"]
    ]
    return pd.concat([known, new], ignore_index=True)


def test_held_out_wishes_below_the_base_model_fail_and_the_remedy_is_more_kinds_of_them(
    tmp_path: Path,
) -> None:
    queries = with_new_wishes(base=0.75, student=0.72)
    verdict = judge(tmp_path, queries, metrics_of(queries[queries["slices"].map(is_headline)]))
    assert failed(verdict) == {"held_out_wishes.no_drop"}
    assert "more kinds of them for the training personas" in " ".join(verdict.reasons)


@pytest.mark.parametrize("student", [0.75, 0.85])
def test_held_out_wishes_no_worse_than_the_base_model_pass_and_are_noted(
    tmp_path: Path, student: float
) -> None:
    queries = with_new_wishes(base=0.75, student=student)
    verdict = judge(tmp_path, queries, metrics_of(queries[queries["slices"].map(is_headline)]))
    assert verdict.passed, verdict.reasons
    assert verdict.notes[0].startswith("held-out wishes: ")
    assert "in 6 clusters" in verdict.notes[0]


FIRST_STUDENT_ROW = 3 * 40

BAD_TABLES: dict[str, tuple[Callable[[], pd.DataFrame], set[str]]] = {
    "below the floor": (lambda: make(student=0.78), {"personas.mean_percentile"}),
    "worse than base": (lambda: make(student=0.85, base=0.9), {"personas.gain", "slices.no_drop"}),
    "too few": (lambda: make(personas=29), {"personas.row_count"}),
    "NaN": (
        lambda: edit(
            lambda q: q.__setitem__(
                "percentile", q["percentile"].where(q.index != FIRST_STUDENT_ROW)
            )
        ),
        {
            *(f"{name}_not_null" for name in ("queries.percentile", "personas.student")),
            *("personas.gain_not_null", "slices.floor", "slices.no_drop"),
        },
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
        {"personas.same_personas", "personas.gain_not_null", "slices.no_drop"},
    ),
    "unknown wording": (
        lambda: edit(lambda q: q.__setitem__("wording", q["wording"].where(q.index != 0, "loud"))),
        {"queries.known_wordings"},
    ),
    "a slice below base": (
        lambda: sliced_student({"aunt": -0.1, "uncle": 0.25}),
        {"slices.no_drop"},
    ),
    "a slice below the floor": (
        lambda: sliced_student({"aunt": 0.02, "uncle": 0.25}, aunt_base=-0.3),
        {"slices.floor", "personas.mean_percentile"},
    ),
    "missing column": (lambda: make().drop(columns="winner"), {"queries.winner_not_null"}),
    "all-null column": (lambda: make().assign(winner=None), {"queries.winner_not_null"}),
}


@pytest.mark.parametrize("name", BAD_TABLES)
def test_a_bad_table_is_caught_by_the_right_expectation(tmp_path: Path, name: str) -> None:
    build, caught_by = BAD_TABLES[name]
    assert failed(judge(tmp_path, build())) == caught_by


def test_the_slice_that_is_lost_is_named_with_its_numbers(tmp_path: Path) -> None:
    verdict = judge(tmp_path, sliced_student({"aunt": -0.1, "uncle": 0.25}))
    (reason,) = verdict.reasons
    assert "1 of 2 rows at fault (slice relation=aunt: 6" in reason
    assert "n = 20, limit 5)" in reason


def test_personas_of_unseen_interests_are_a_slice_and_not_in_the_mean(tmp_path: Path) -> None:
    """Ten of forty, all at 0.75: the mean of the table is not that of the metrics."""
    queries = make()
    late = queries["persona_id"].isin([f"p{n}" for n in range(30, 40)])
    unseen = late & (queries["model"] == "student")
    queries.loc[unseen, "percentile"] = 0.75
    queries["slices"] = [{"interests": "unseen" if one else "seen"} for one in late]
    verdict = judge(tmp_path, queries, metrics_of(queries[~late]))
    assert verdict.passed, verdict.reasons
    assert verdict.notes[0].startswith("held-out wishes (10) were not checked")
    assert "were not checked: interests=unseen (10)" in verdict.notes[1]
    whole = judge(tmp_path, queries, metrics_of(queries))
    assert "metrics.student_mean_as_in_table" in failed(whole)


def test_the_other_wording_does_not_count(tmp_path: Path) -> None:
    other = make(student=0.1).assign(wording="paraphrased")
    queries = pd.concat([other, make()], ignore_index=True)
    assert judge(tmp_path, queries, metrics_of(make())).passed


def test_without_wants_the_percentile_within_the_kind_is_not_checked(tmp_path: Path) -> None:
    metrics = metrics_of(make())
    for model in metrics["persona"].values():
        model["within_kind_percentile"] = None
    verdict = judge(tmp_path, make(), metrics)
    assert verdict.passed
    assert "the percentile within the kind was not checked: no persona has wants" in verdict.notes


@pytest.mark.parametrize(
    ("index", "caught_by"),
    [
        (IndexTrial(0.94), "index.agreement"),
        (IndexTrial(0.0, "got a vector of length 0"), "index.built"),
    ],
)
def test_an_index_that_misses_is_caught(tmp_path: Path, index: IndexTrial, caught_by: str) -> None:
    verdict = judge(tmp_path, make(), index=index)
    assert failed(verdict) == {caught_by}
    assert index.fault in verdict.reasons[0]


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


def with_number(name: str, value: Any) -> dict[str, Any]:
    metrics = metrics_of(make())
    metrics["persona"]["student"][name] = value
    return metrics


WITHIN = "student_within_kind_percentile"
NO_CAPTIONS = {
    "metrics.student_caption_recall@10_not_null",
    "metrics.student_caption_recall@10",
    *(f"metrics.caption_drop@{k}{end}" for k in (1, 10) for end in ("", "_not_null")),
}
NAN = float("nan")
BAD_METRICS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "caption drop": (
        metrics_of(make(), student=0.94),
        {"metrics.caption_drop@1", "metrics.caption_drop@10"},
    ),
    "captions forgotten by both": (
        metrics_of(make(), base=0.8, student=0.8),
        {"metrics.student_caption_recall@10"},
    ),
    "within the kind a coin": (with_number("within_kind_percentile", 0.5), {f"metrics.{WITHIN}"}),
    "nobody's winner in reach": (with_number("recall@10", 0.0), {"metrics.student_recall@10"}),
    "subjects not found": (
        {**metrics_of(make()), "concept": concepts_of(alone=0.59)},
        {"metrics.concept_map"},
    ),
    "not found in scenes": (
        {**metrics_of(make()), "concept": concepts_of(scene=0.59)},
        {"metrics.context_mrr"},
    ),
    "a concept spoils captions": (
        {**metrics_of(make()), "concept": concepts_of(captions=0.89)},
        {"metrics.concept_caption_recall@10"},
    ),
    "another student": (with_mean("student", 0.91), {"metrics.student_mean_as_in_table"}),
    "another base": (with_mean("base", 0.5), {"metrics.base_mean_as_in_table"}),
    "null": (
        with_mean("student", None),
        {"metrics.student_mean_off_not_null", "metrics.student_mean_as_in_table"},
    ),
    "NaN elsewhere": ({**metrics_of(make()), "concept": {"map": [1, NAN]}}, {"metrics.finite"}),
    "no captions": (
        {**metrics_of(make()), "caption": {}},
        NO_CAPTIONS,
    ),
    "nothing": (
        {},
        {
            *(f"metrics.{model}_mean_off_not_null" for model in ("base", "student")),
            *(f"metrics.{model}_mean_as_in_table" for model in ("base", "student")),
            "metrics.student_recall@10_not_null",
            "metrics.student_recall@10",
            *NO_CAPTIONS,
        },
    ),
}


@pytest.mark.parametrize("name", BAD_METRICS)
def test_bad_metrics_are_caught_by_the_right_expectation(tmp_path: Path, name: str) -> None:
    metrics, caught_by = BAD_METRICS[name]
    verdict = judge(tmp_path, make(), metrics)
    assert failed(verdict) == caught_by
    json.dumps(verdict.to_json(), allow_nan=False)


def test_without_subjects_concepts_are_not_checked_and_a_note_says_so(tmp_path: Path) -> None:
    verdict = judge(tmp_path, make(), {**metrics_of(make()), "concept": None})
    assert verdict.passed, verdict.reasons
    assert verdict.notes[1] == (
        "concept map, context mrr, concept caption recall@10 not checked: the evaluation has no"
        " subjects asked for so"
    )


def test_what_few_personas_say_is_said_to_be_little(tmp_path: Path) -> None:
    """Gains of 10 and 20 points, half of ten personas each: two standard errors are 3.33."""
    queries = make(personas=10)
    gains = queries["persona_id"].map(lambda name: 0.1 + 0.1 * (int(name[1:]) % 2))
    for model, gain in (("base", 0.0), ("student", gains)):
        rows = queries["model"] == model
        queries["percentile"] = queries["percentile"].mask(rows, 0.7 + gain)
    limits = LIMITS.model_copy(update={"min_queries": 8})
    verdict = judge(tmp_path, queries, limits=limits)
    assert verdict.passed, verdict.reasons
    assert verdict.notes[1] == (
        "only 10 personas judged it, so this says little: the gain over the base model is +15.0"
        " points, give or take 3.3 (two standard errors); write more personas"
    )


def test_a_limit_of_0_is_a_check_that_was_not_made(tmp_path: Path) -> None:
    limits = LIMITS.model_copy(update={"min_recall_at_10": 0.0})
    verdict = judge(tmp_path, make(), limits=limits)
    assert (
        "what these limits hold was not judged, since they are 0: min_recall_at_10" in verdict.notes
    )


def test_a_drop_of_just_the_limit_passes(tmp_path: Path) -> None:
    assert LIMITS.max_caption_drop < 1 - 0.95  # by rounding alone
    assert judge(tmp_path, make(), metrics_of(make(), student=0.95)).passed


def test_pairs_by_hand() -> None:
    queries = pd.DataFrame(
        {
            "persona_id": ["a", "b", "a", "c", "a"],
            "wording": ["original"] * 5,
            "model": ["base", "base", "student", "student", "text"],
            "percentile": [0.5, 0.6, 0.75, 1.0, 0.1],
        }
    )
    pairs = pair_personas(queries).set_index("persona_id")
    assert pairs["gain"].tolist()[:1] == [0.25]
    assert pairs["in_both"].to_dict() == {"a": True, "b": False, "c": False}
    assert pairs["gain"].isna().to_dict() == {"a": False, "b": True, "c": True}


def test_the_difference_to_the_base_model_is_paired_and_over_the_headline() -> None:
    queries = pd.DataFrame(
        {
            "persona_id": ["a", "b", "c", "b", "a", "c", "late", "late", "alone"],
            "wording": ["original"] * 9,
            "model": ["base"] * 3 + ["student"] * 3 + ["base", "student", "student"],
            "rank": [1.0, 11.0, 20.0, 10.0, 2.0, 30.0, 1.0, 1.0, 1.0],
            "percentile": [0.5, 0.5, 0.6, 0.9, 0.7, 0.6, 0.0, 1.0, 1.0],
            "within_kind_percentile": [0.5, NAN, 0.5, NAN, 0.7, 0.9, 0.0, 1.0, 1.0],
            "slices": [{"interests": "seen"}] * 6 + [{"interests": "unseen"}] * 2 + [{}],
        }
    )
    percentile, within, recall = compare_with_base(queries, 0.95)
    assert (percentile.what, percentile.queries) == ("mean percentile", 3)
    assert percentile.difference == pytest.approx((0.2 + 0.4 + 0.0) / 3)
    assert percentile.low < percentile.difference < percentile.high
    assert (within.queries, within.difference) == (2, pytest.approx(0.3))
    assert recall.difference == pytest.approx(1 / 3)  # b's 11th became its 10th
    assert not any(drop.is_worse for drop in (percentile, within, recall))


def test_summary_by_hand() -> None:
    queries = pd.DataFrame(
        {
            "persona_id": ["a", "b"],
            "wording": ["original"] * 2,
            "model": ["student"] * 2,
            "percentile": [0.5, 1.0],
        }
    )
    metrics = {
        "persona": {"student": {"mean_percentile": 0.75}, "ceiling": {"ci95": [0.1, float("inf")]}},
        "caption": {"base": {"recall@10": 1.0}, "student": {"recall@10": True}},
    }
    row = summarise(queries, metrics).iloc[0]
    assert row["student_mean_off"] == 0
    assert row["not_finite"] == 1
    assert np.isnan(row["base_mean_off"])
    assert np.isnan(row["caption_drop@10"])  # true is no recall
