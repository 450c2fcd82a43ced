"""What the gate on a model demands of the evaluation's tables and numbers."""

import pandas as pd

from retrieval.storage.schema import QUERIES
from validation.limits import RetrievalLimits
from validation.retrieval_drops import Pair, judge, largest_first, mean_interval
from validation.suite import Requirement, Suite, all_rows

MODELS = ("random", "base", "text", "student", "ceiling")
WORDINGS = ("original", "paraphrased")
MAY_BE_UNKNOWN = ("within_kind_percentile", "ndcg@10", "tau")

_SAME = 1e-6  # how far a mean in the metrics may lie from the table's
_AGAIN = "run the stage `evaluate` again"
_TRAIN = "label more (label.groups, another cycle) or train longer (distill.epochs)"
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
            Requirement(
                "mean_percentile",
                "ExpectColumnMeanToBeBetween",
                {"column": "student", "min_value": limits.min_mean_percentile},
                f"a mean percentile of the student of at least {limits.min_mean_percentile}",
                _TRAIN,
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


def slices_suite(pairs: list[Pair], limits: RetrievalLimits) -> Suite | None:
    """Every slice with enough personas, against the floor and the base; None without any.

    Both by the rule of `validation.retrieval_drops`: more than chance explains.
    """
    drops = largest_first(judge(pairs, limits.confidence, limits.min_slice_queries)[0])
    if not drops:
        return None
    student = {pair.what: pair.candidate_Q for pair in pairs}
    level = 1 - (1 - limits.confidence) / len(drops)
    table = pd.DataFrame(
        {
            "slice": [drop.summary() for drop in drops],
            "falls_below_base": [drop.is_worse for drop in drops],
            "falls_below_floor": [
                not mean_interval(student[drop.what], level)[1] >= limits.min_slice_percentile
                for drop in drops
            ],
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
    floors = {
        "student_recall@10": ("recall@10 of personas", limits.min_recall_at_10, _TRAIN),
        "student_caption_recall@10": ("caption recall", limits.min_caption_recall_at_10, _RETAIN),
    }
    if "student_within_kind_percentile" in summary:
        within = ("percentile within the kind", limits.min_within_kind_percentile, _TRAIN)
        floors["student_within_kind_percentile"] = within
    return Suite(
        "metrics",
        summary,
        key="",
        min_rows=1,
        remedy=f"metrics/evaluate.json lacks this number: {_AGAIN}",
        requirements=[
            *(
                Requirement(
                    column,
                    "ExpectColumnMinToBeBetween",
                    {"column": column, "min_value": floor},
                    f"a {what} of the student of at least {floor}",
                    remedy,
                )
                for column, (what, floor, remedy) in floors.items()
            ),
            *(
                Requirement(
                    f"caption_drop@{k}",
                    "ExpectColumnMaxToBeBetween",
                    {"column": f"caption_drop@{k}", "max_value": limits.max_caption_drop},
                    f"a caption recall@{k} lost from base to student of at most"
                    f" {limits.max_caption_drop}",
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
