"""What the gate on a model demands of the evaluation's tables and numbers."""

from collections.abc import Sequence

import pandas as pd

from retrieval.storage.schema import QUERIES
from validation.limits import RetrievalLimits
from validation.measures import AtLeast, AtMost, exact
from validation.retrieval_drops import Drop, SliceDrop
from validation.suite import Requirement, Suite, all_rows, held

MODELS = ("random", "base", "text", "student", "ceiling")
WORDINGS = ("original", "paraphrased")
WITHIN = "student_within_kind_percentile"  # a column of the summary where personas have wants
# Columns of the summary where there are subjects -> where the number lies in the metrics.
CONCEPT_FLOORS = {
    "concept_map": ("kindred", "concept_only", "map"),
    "context_mrr": ("kindred", "context", "mrr"),
    "concept_caption_recall@10": ("caption_recall@10", "adapted"),
}
MAY_BE_UNKNOWN = ("within_kind_percentile", "ndcg@10", "tau")

_SAME = 1e-6  # how far a mean in the metrics may lie from the table's
_AGAIN = "run the stage `evaluate` again"
_TRAIN = "label more (label.groups, another cycle) or train longer (distill.epochs)"
_TEACH = "raise concepts.steps, or try other values of concepts.l2 and concepts.learning_rate"
_RETAIN = "raise distill.retention_weight"


def queries_suite(queries: pd.DataFrame) -> Suite:
    """Every row of the evaluation's table."""
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
            *(
                Requirement(
                    f"known_{column}s",
                    "ExpectColumnValuesToBeInSet",
                    {"column": column, "value_set": list(known)},
                    f"no {column} but {', '.join(known)}",
                    _AGAIN,
                )
                for column, known in (("model", MODELS), ("wording", WORDINGS))
            ),
            Requirement(
                "one_row_each",
                "ExpectCompoundColumnsToBeUnique",
                {"column_list": ["persona_id", "wording", "model"]},
                "one row a persona, wording and model",
                _AGAIN,
            ),
        ],
    )


def personas_suite(pairs: pd.DataFrame, limits: RetrievalLimits) -> Suite:
    """Base and student on each persona of the headline."""
    base, student, gain = (
        exact(pairs[column].mean(), len(pairs), "personas")
        for column in ("base", "student", "gain")
    )
    return Suite(
        "personas",
        pairs.drop(columns="slices"),
        key="persona_id",
        min_rows=limits.min_queries,
        remedy="evaluate base and student on the same personas, enough of them"
        " (test in catalog.split, tournaments.max_test_personas), or lower"
        " check_retrieval.min_queries",
        requirements=[
            all_rows(
                "same_personas",
                "in_both",
                True,
                "each persona queried with base and with student",
                _AGAIN,
            ),
            held(
                "mean_percentile",
                AtLeast("a mean percentile of the student", student, limits.min_mean_percentile),
                _TRAIN,
                column="student",
                is_mean=True,
            ),
            held(
                "gain",
                AtLeast(
                    "a mean gain of the student over the base model",
                    gain,
                    limits.min_gain,
                    best=1 - base.value,
                    worst=-1.0,
                ),
                "distillation did not help: look at the labels' report and the training curves",
                column="gain",
                is_mean=True,
            ),
        ],
    )


def held_out_suite(drop: Drop) -> Suite:
    """The student beside the base model on wishes that no training persona has."""
    return Suite(
        "held_out_wishes",
        pd.DataFrame({"wishes": [drop.summary()], "falls_below_base": [drop.is_worse]}),
        key="wishes",
        min_rows=1,
        remedy=_AGAIN,
        requirements=[
            all_rows(
                "no_drop",
                "falls_below_base",
                False,
                f"wishes of no training persona no more than {drop.limit:g} below the base model by"
                " more than chance explains",
                "the student memorised its wishes: write more kinds of them for the training"
                " personas (personas.kind), or try smaller distill.blends",
            )
        ],
    )


def slices_suite(slices: Sequence[SliceDrop], limits: RetrievalLimits) -> Suite:
    """Every slice with enough personas, against the floor and the base.

    Both by the rule of `validation.retrieval_drops`: more than chance explains.
    """
    table = pd.DataFrame(
        {
            "slice": [each.drop.summary() for each in slices],
            "falls_below_base": [each.drop.is_worse for each in slices],
            "falls_below_floor": [each.is_below_floor for each in slices],
        }
    )
    return Suite(
        "slices",
        table,
        key="slice",
        min_rows=1,
        remedy=_AGAIN,
        requirements=[
            all_rows(
                "floor",
                "falls_below_floor",
                False,
                f"no slice's mean percentile below {limits.min_slice_percentile} by more than"
                " chance explains",
                _TRAIN,
            ),
            all_rows(
                "no_drop",
                "falls_below_base",
                False,
                f"no slice more than {limits.max_slice_drop} below the base model and by more than"
                " chance explains",
                "distillation harms it: label more of it, or train less",
            ),
        ],
    )


def metrics_suite(summary: pd.DataFrame, limits: RetrievalLimits) -> Suite:
    """The numbers in metrics/evaluate.json, in a table of one row."""
    row = summary.iloc[0]
    floors = {
        WITHIN: ("a percentile within the kind", limits.min_within_kind_percentile, _TRAIN),
        "student_recall@10": ("a recall@10 of personas", limits.min_recall_at_10, _TRAIN),
        "student_caption_recall@10": (
            "a caption recall@10", limits.min_caption_recall_at_10, _RETAIN
        ),
        "concept_map": ("a mean average precision of concepts", limits.min_concept_map, _TEACH),
        "context_mrr": ("a reciprocal rank of concepts in scenes", limits.min_context_mrr, _TEACH),
        "concept_caption_recall@10": (
            "a caption recall@10 with a concept on",
            limits.min_concept_caption_recall_at_10,
            "add larger values to concepts.l2",
        ),
    }  # fmt: skip
    return Suite(
        "metrics",
        summary,
        key="",
        min_rows=1,
        remedy=f"metrics/evaluate.json lacks this number: {_AGAIN}",
        requirements=[
            *(
                held(column, AtLeast(f"{what} of the student", exact(row[column]), floor), remedy)
                for column, (what, floor, remedy) in floors.items()
                if column in summary
            ),
            *(
                held(
                    f"caption_drop@{k}",
                    AtMost(
                        f"a caption recall@{k} lost from base to student",
                        exact(row[f"caption_drop@{k}"]),
                        limits.max_caption_drop,
                    ),
                    _RETAIN,
                )
                for k in (1, 10)
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
