"""The gate on labels, first half: enough of them, are they rankings, within the budget?"""

from dataclasses import asdict, dataclass

import pandas as pd

from retrieval.storage.schema import RANKINGS
from validation.label_statistics import largest_share, share
from validation.label_tables import Catalogue, answered, coverage, newest
from validation.limits import LabelLimits
from validation.measures import AtLeast, AtMost, exact
from validation.suite import Requirement, Suite, all_rows, held, statistics_suite

SEE_JOURNAL = "look at the replies in var/teacher and at the stage `label`"


@dataclass(frozen=True)
class Ledger:
    """What asking cost in one cycle, what was allowed, and how much the budget left undone."""

    calls: int
    failures: int
    unasked: int  # groups that were not asked because the budget ended
    input_tokens: int
    output_tokens: int
    cost_usd: float
    max_calls: int | None
    max_cost_usd: float | None
    audit_groups: int  # audits of kind group to expect
    audit_pairs: int  # pairs to expect, two audits each

    @property
    def audits(self) -> int:
        """Audits to expect."""
        return self.audit_groups + 2 * self.audit_pairs


def groups_suite(groups: pd.DataFrame) -> Suite:
    """Every group so far: asked once, about distinct pictures, all groups of one size."""
    return Suite(
        "groups",
        groups,
        key="group_id",
        min_rows=1,
        remedy=SEE_JOURNAL,
        required=RANKINGS.names,
        requirements=[
            Requirement(
                "group_id_unique",
                "ExpectColumnValuesToBeUnique",
                {"column": "group_id"},
                "each group_id once",
                "a group was labelled twice: remove the copies",
            ),
            all_rows(
                "presented_distinct",
                "presented_is_distinct",
                True,
                "no picture twice in one group",
                "look at how the stage `label` draws its groups",
            ),
            Requirement(
                "one_group_size",
                "ExpectColumnUniqueValueCountToBeBetween",
                {"column": "group_size", "min_value": 1, "max_value": 1},
                "one group size (different numbers of presented pictures: 1)",
                "label every group anew after a change of label.band_sizes",
            ),
            Requirement(
                "two_pictures",
                "ExpectColumnMinToBeBetween",
                {"column": "group_size", "min_value": 2},
                "at least 2 pictures in the smallest group",
                "raise label.band_sizes",
            ),
        ],
    )


def replies_suite(groups: pd.DataFrame, limits: LabelLimits) -> Suite:
    """The newest cycle's groups: did the teacher answer?"""
    failed = share((newest(groups)["no_label"] == 1).tolist(), "groups")
    measure = AtMost("a share of groups without a ranking", failed, limits.max_failure_rate)
    remedy = f"{SEE_JOURNAL}, or raise check_labels.max_failure_rate"
    return statistics_suite("replies", [held("failure_rate", measure, remedy)], SEE_JOURNAL)


def rankings_suite(groups: pd.DataFrame, limits: LabelLimits) -> Suite:
    """Every ranking so far: enough of them, by enough personas, for more than one product."""
    table = answered(groups)
    return Suite(
        "rankings",
        table,
        key="group_id",
        min_rows=limits.min_rankings,
        remedy="raise label.groups or lower check_labels.min_rankings",
        requirements=[
            Requirement(
                "enough_personas",
                "ExpectColumnUniqueValueCountToBeBetween",
                {"column": "persona_id", "min_value": limits.min_personas},
                f"at least {limits.min_personas} different personas",
                "raise label.groups, add personas, or lower check_labels.min_personas",
            ),
            all_rows(
                "permutation",
                "is_permutation",
                True,
                "each ranking to hold what was presented, each picture once",
                "such a reply is no label: the stage `label` must write an empty ranking for it",
            ),
            held(
                "product_share",
                AtMost(
                    "a share of groups won by one and the same product",
                    largest_share(table["winner"].tolist()),
                    limits.max_product_share,
                    limits.sampling_errors,
                ),
                "one product wins everywhere: look at it, and at how groups are sampled",
                column="winner_share",
            ),
        ],
    )


def coverage_suite(groups: pd.DataFrame, catalogue: Catalogue, limits: LabelLimits) -> Suite:
    """The training products and personas: were they asked about?

    Personas count once there are so many groups that each could have had `min_coverage`.
    """
    table = coverage(groups, catalogue)
    if len(groups) < limits.min_coverage * len(catalogue.personas):
        table = table[table["kind"] == "product"]
    covered = share((table["times"] >= limits.min_coverage).tolist(), "products and personas")
    asked = AtLeast(
        "a share of the training split that was asked about",
        covered,
        limits.min_covered_share,
        reading="products (and personas, once groups suffice) in so many groups or more:"
        f" {limits.min_coverage}",
    )
    return Suite(
        "coverage",
        table,
        key="id",
        min_rows=1,
        remedy="the training split is empty: run the stage `catalog` again",
        requirements=[
            Requirement(
                "min_coverage",
                "ExpectColumnValuesToBeBetween",  # of each row: a reason names some that are left
                {
                    "column": "times",
                    "min_value": limits.min_coverage,
                    "mostly": limits.min_covered_share,
                },
                f"{limits.min_covered_share:.0%} of the training products (and personas, once"
                f" groups suffice) in at least {limits.min_coverage} groups",
                "raise label.groups or the budget, or lower check_labels.min_coverage",
                asked,
            ),
        ],
    )


def ledger_suite(groups: pd.DataFrame, ledger: Ledger, limits: LabelLimits) -> Suite:
    """What the newest cycle cost, in a table of one row."""
    planned = len(newest(groups)) + ledger.unasked
    unasked_share = ledger.unasked / planned if planned else 0.0
    measure = AtMost(
        "a share of groups left unasked by the budget",
        exact(unasked_share),
        limits.max_unasked_share,
    )
    requirements = [
        held(
            "unasked_share",
            measure,
            "raise teacher.max_calls or teacher.max_cost_usd, or lower label.groups",
        ),
        *_within("calls", ledger.max_calls),
        *_within("cost_usd", ledger.max_cost_usd),
    ]
    return Suite(
        "ledger",
        pd.DataFrame([{**asdict(ledger), "unasked_share": unasked_share}]),
        key="calls",
        min_rows=1,
        remedy="run the stage `label` again",
        requirements=requirements,
    )


def _within(what: str, budget: float | None) -> list[Requirement]:
    """The requirement that a budget was kept; none where no budget is set."""
    if budget is None:
        return []
    return [
        Requirement(
            what,
            "ExpectColumnMaxToBeBetween",
            {"column": what, "max_value": budget},
            f"{what} of at most teacher.max_{what}, {budget:g}",
            "the cycle spent more than it was allowed to: look at the stage `label`",
        )
    ]
