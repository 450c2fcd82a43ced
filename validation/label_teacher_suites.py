"""The gate on labels, second half: does the teacher judge the pictures, and is it of one mind?"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from retrieval.storage.schema import AUDITS
from validation.label_suites import SEE_JOURNAL, Ledger
from validation.label_tables import (
    newest,
    pairs,
    repeats,
    valid,
    winners_of_two_cycles,
)
from validation.limits import LabelLimits
from validation.own_expectations import own
from validation.suite import Requirement, Suite, all_rows

_OTHER_TEACHER = "use another teacher, model or prompt"


def positions_suite(groups: pd.DataFrame, limits: LabelLimits) -> Suite:
    """The newest cycle's labels: do they go by the place on the page?"""
    return Suite(
        "positions",
        valid(newest(groups)),
        key="group_id",
        min_rows=1,
        remedy=f"the teacher gave no label in this cycle: {SEE_JOURNAL}",
        requirements=[
            Requirement(
                "winner_position",
                own("ExpectWinnerToBeIndependentOfPosition"),
                _at_most(limits.max_position_v, limits),
                "Cramér's V of the winner's place on the page"
                f" of at most {limits.max_position_v} {_grace(limits)}",
                f"the teacher picks by the place on the page: {_OTHER_TEACHER}",
            ),
            Requirement(
                "rank_shift",
                own("ExpectMeanRankToBeIndependentOfPosition"),
                _at_most(limits.max_rank_shift, limits),
                "the mean rank of each place on the page"
                f" within {limits.max_rank_shift} of the middle {_grace(limits)}",
                f"the teacher orders by the place on the page: {_OTHER_TEACHER}",
            ),
        ],
    )


def audits_suite(audits: pd.DataFrame, ledger: Ledger, limits: LabelLimits) -> Suite:
    """What was asked again: all of it there, about the pictures of its group, and answered?"""
    return Suite(
        "audits",
        audits,
        key="audit_id",
        min_rows=max(1, ledger.audits),
        remedy="audits are missing: run the stage `label` again",
        required=AUDITS.names,
        requirements=[
            Requirement(
                "audit_id_unique",
                "ExpectColumnValuesToBeUnique",
                {"column": "audit_id"},
                "each audit_id once",
                "an audit was asked twice: run the stage `label` again",
            ),
            all_rows(
                "of_its_group",
                "of_its_group",
                True,
                "each audit to ask its group's persona about its group's pictures",
                "audits and rankings are of different runs: run the stage `label` again",
            ),
            all_rows(
                "permutation",
                "well_formed",
                True,
                "each answer to hold what was presented, each picture once, or to be empty",
                "such a reply is no label: the stage `label` must write an empty ranking for it",
            ),
            Requirement(
                "failure_rate",
                own("ExpectShareToBeBetween"),
                _at_most(limits.max_failure_rate, limits),
                "a share of audits without a ranking"
                f" of at most {limits.max_failure_rate} {_grace(limits)}",
                f"{SEE_JOURNAL}, or raise check_labels.max_failure_rate",
            ),
        ],
    )


def repeats_suite(audits: pd.DataFrame, limits: LabelLimits) -> Suite:
    """Groups asked again in another order: is the answer the same?"""
    return Suite(
        "repeats",
        repeats(audits),
        key="group_id",
        min_rows=1,
        remedy=f"no group has two answers: {SEE_JOURNAL}",
        requirements=[
            Requirement(
                "repeat_tau",
                own("ExpectRepeatsToAgree"),
                _at_least(limits.min_repeat_tau, limits),
                "a mean Kendall tau between two orders of presentation"
                f" of at least {limits.min_repeat_tau} {_grace(limits)}",
                f"the teacher changes its mind when asked again: {_OTHER_TEACHER}",
            )
        ],
    )


def pairs_suite(audits: pd.DataFrame, limits: LabelLimits) -> Suite:
    """Pairs asked in both orders: does the same picture win?"""
    return Suite(
        "pairs",
        pairs(audits),
        key="group_id",
        min_rows=1,
        remedy=f"no pair has two answers: {SEE_JOURNAL}",
        requirements=[
            Requirement(
                "pair_agreement",
                own("ExpectShareToBeBetween"),
                _at_least(limits.min_pair_agreement, limits),
                "a share of pairs with the same winner in both orders"
                f" of at least {limits.min_pair_agreement} {_grace(limits)}",
                f"the winner of two changes with their order: {_OTHER_TEACHER}",
            )
        ],
    )


def preferences_suite(judged: pd.DataFrame, limits: LabelLimits) -> Suite:
    """Every label, audits included: do overlapping rankings of a persona fit together?"""
    return Suite(
        "preferences",
        judged,
        key="group_id",
        min_rows=1,
        remedy=SEE_JOURNAL,
        requirements=[
            Requirement(
                "cyclic_share",
                own("ExpectPreferencesToBeTransitive"),
                _at_most(limits.max_cyclic_share, limits),
                "a share of circular triads (a over b over c over a)"
                f" of at most {limits.max_cyclic_share} {_grace(limits)}",
                f"the teacher's choices contradict each other across groups: {_OTHER_TEACHER}",
            )
        ],
    )


def winners_suite(
    groups: pd.DataFrame, categories: Mapping[str, str], limits: LabelLimits
) -> Suite:
    """Winners of the newest cycle and of the one before: are they of the same kinds?"""
    return Suite(
        "winners",
        winners_of_two_cycles(groups, categories),
        key="group_id",
        min_rows=1,
        remedy=SEE_JOURNAL,
        requirements=[
            Requirement(
                "winner_drift",
                own("ExpectWinnersNotToDrift"),
                _at_most(limits.max_winner_drift, limits),
                "a total variation of the winners' categories against the previous cycle"
                f" of at most {limits.max_winner_drift} {_grace(limits)}",
                "winners are of other kinds than before: compare the examples of both cycles",
            )
        ],
    )


def truth_suite(groups: pd.DataFrame, limits: LabelLimits) -> Suite:
    """The newest cycle's groups of which the truth is known."""
    table = newest(groups)
    return Suite(
        "truth",
        table[table["truth_agreement"].notna()],
        key="group_id",
        min_rows=1,
        remedy="no group can be judged: let wants name attributes that the catalogue has",
        requirements=[
            Requirement(
                "truth_agreement",
                "ExpectColumnMeanToBeBetween",
                {"column": "truth_agreement", "min_value": limits.min_truth_agreement},
                "a mean agreement with wants x attributes of at least"
                f" {limits.min_truth_agreement} (a coin: 0.5, reversed: near 0)",
                f"the teacher does not rank by what personas want: {_OTHER_TEACHER}",
            ),
        ],
    )


def _at_most(limit: float, limits: LabelLimits) -> dict[str, Any]:
    return {"max_value": limit, "sampling_errors": limits.sampling_errors}


def _at_least(limit: float, limits: LabelLimits) -> dict[str, Any]:
    return {"min_value": limit, "sampling_errors": limits.sampling_errors}


def _grace(limits: LabelLimits) -> str:
    return f"({limits.sampling_errors:g} standard errors allowed)"
