"""The gate on labels, first half: enough of them, are they rankings, within the budget?"""

from dataclasses import asdict, dataclass

import pandas as pd

from retrieval.storage.schema import RANKINGS
from validation.label_tables import Catalogue, answered, coverage, newest
from validation.limits import LabelLimits
from validation.own_expectations import own
from validation.suite import Requirement, Suite, all_rows

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
    return Suite(
        "replies",
        newest(groups),
        key="group_id",
        min_rows=1,
        remedy=SEE_JOURNAL,
        requirements=[
            Requirement(
                "failure_rate",
                "ExpectColumnMeanToBeBetween",
                {"column": "no_label", "max_value": limits.max_failure_rate},
                f"a share of groups without a ranking of at most {limits.max_failure_rate}",
                f"{SEE_JOURNAL}, or raise check_labels.max_failure_rate",
            ),
        ],
    )


def rankings_suite(groups: pd.DataFrame, limits: LabelLimits) -> Suite:
    """Every ranking so far: enough of them, by enough personas, for more than one product."""
    return Suite(
        "rankings",
        answered(groups),
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
            Requirement(
                "product_share",
                own("ExpectNoWinnerToDominate"),
                {"max_value": limits.max_product_share, "sampling_errors": limits.sampling_errors},
                f"at most {limits.max_product_share} of the groups won by one product"
                f" ({limits.sampling_errors:g} standard errors allowed)",
                "one product wins everywhere: look at it, and at how groups are sampled",
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
    return Suite(
        "coverage",
        table,
        key="id",
        min_rows=1,
        remedy="the training split is empty: run the stage `catalog` again",
        requirements=[
            Requirement(
                "min_coverage",
                "ExpectColumnValuesToBeBetween",
                {
                    "column": "times",
                    "min_value": limits.min_coverage,
                    "mostly": limits.min_covered_share,
                },
                f"{limits.min_covered_share:.0%} of the training products (and personas, once"
                f" groups suffice) in at least {limits.min_coverage} groups",
                "raise label.groups or the budget, or lower check_labels.min_coverage",
            ),
        ],
    )


def ledger_suite(groups: pd.DataFrame, ledger: Ledger, limits: LabelLimits) -> Suite:
    """What the newest cycle cost, in a table of one row."""
    planned = len(newest(groups)) + ledger.unasked
    row = {**asdict(ledger), "unasked_share": ledger.unasked / planned if planned else 0.0}
    requirements = [
        Requirement(
            "unasked_share",
            "ExpectColumnMaxToBeBetween",
            {"column": "unasked_share", "max_value": limits.max_unasked_share},
            f"at most {limits.max_unasked_share} of the groups left unasked by the budget",
            "raise teacher.max_calls or teacher.max_cost_usd, or lower label.groups",
        ),
        *_within("calls", ledger.max_calls),
        *_within("cost_usd", ledger.max_cost_usd),
    ]
    return Suite(
        "ledger",
        pd.DataFrame([row]),
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
