"""The gate on labels, second half: does the teacher judge the pictures, and is it of one mind?"""

import pandas as pd

from retrieval.storage.schema import AUDITS
from validation.label_statistics import (
    largest_rank_shift,
    mean_repeat_tau,
    share,
    winner_drift,
    winner_position_v,
)
from validation.label_suites import SEE_JOURNAL, Ledger
from validation.label_tables import newest, pairs, repeats, valid, values
from validation.limits import LabelLimits
from validation.measures import AtLeast, AtMost, Estimate, exact
from validation.suite import Requirement, Suite, all_rows, held, statistics_suite

_OTHER_TEACHER = "use another teacher, model or prompt"


def positions_suite(groups: pd.DataFrame, limits: LabelLimits) -> Suite:
    """The newest cycle's labels: do they go by the place on the page?"""
    labels = valid(newest(groups))
    sizes = labels["group_size"].tolist()
    winner = AtMost(
        "Cramér's V of the winner's place on the page",
        winner_position_v(labels["winner_position"].tolist(), sizes),
        limits.max_position_v,
        limits.sampling_errors,
        reading="0 all places win alike, 1 one place always wins",
    )
    shift = AtMost(
        "a distance of each place's mean rank from the middle",
        largest_rank_shift(values(labels, "presented"), values(labels, "ranking")),
        limits.max_rank_shift,
        limits.sampling_errors,
        worst=(max(sizes, default=1) - 1) / 2,
        reading="in ranks: 0 a fair teacher, half the group's size one that repeats the page",
    )
    return statistics_suite(
        "positions",
        [
            held(
                "winner_position",
                winner,
                f"the teacher picks by the place on the page: {_OTHER_TEACHER}",
            ),
            held(
                "rank_shift",
                shift,
                f"the teacher orders by the place on the page: {_OTHER_TEACHER}",
            ),
        ],
        remedy=f"the teacher gave no label in this cycle: {SEE_JOURNAL}",
    )


def audits_suite(audits: pd.DataFrame, ledger: Ledger, limits: LabelLimits) -> Suite:
    """What was asked again: all of it there, about the pictures of its group, and answered?"""
    failed = AtMost(
        "a share of audits without a ranking",
        share((audits["no_label"] == 1).tolist(), "audits"),
        limits.max_failure_rate,
        limits.sampling_errors,
    )
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
            held(
                "failure_rate",
                failed,
                f"{SEE_JOURNAL}, or raise check_labels.max_failure_rate",
                column="no_label",
                is_mean=True,
            ),
        ],
    )


def repeats_suite(audits: pd.DataFrame, limits: LabelLimits) -> Suite:
    """Groups asked again in another order: is the answer the same?"""
    both = repeats(audits)
    measure = AtLeast(
        "a mean Kendall tau between two orders of presentation",
        mean_repeat_tau(both["first"].tolist(), both["again"].tolist()),
        limits.min_repeat_tau,
        limits.sampling_errors,
        worst=-1.0,
        reading="1 the same ranking, 0 a coin, \N{MINUS SIGN}1 reversed",
    )
    remedy = f"the teacher changes its mind when asked again: {_OTHER_TEACHER}"
    return statistics_suite(
        "repeats",
        [held("repeat_tau", measure, remedy)],
        remedy=f"no group has two answers: {SEE_JOURNAL}",
    )


def pairs_suite(audits: pd.DataFrame, limits: LabelLimits) -> Suite:
    """Pairs asked in both orders: does the same picture win?"""
    measure = AtLeast(
        "a share of pairs with the same winner in both orders",
        share(pairs(audits)["met"].tolist(), "pairs"),
        limits.min_pair_agreement,
        limits.sampling_errors,
        reading="0.5 a coin, near 0 always the first",
    )
    remedy = f"the winner of two changes with their order: {_OTHER_TEACHER}"
    return statistics_suite(
        "pairs",
        [held("pair_agreement", measure, remedy)],
        remedy=f"no pair has two answers: {SEE_JOURNAL}",
    )


def preferences_suite(triples: Estimate, limits: LabelLimits) -> Suite:
    """Every label, audits included: do overlapping rankings of a persona fit together?"""
    measure = AtMost(
        "a share of circular triads (a over b over c over a)",
        triples,
        limits.max_cyclic_share,
        limits.sampling_errors,
        reading="0 of one mind, 0.25 a coin",
    )
    remedy = f"the teacher's choices contradict each other across groups: {_OTHER_TEACHER}"
    return statistics_suite("preferences", [held("cyclic_share", measure, remedy)], SEE_JOURNAL)


def winners_suite(before: list[str], now: list[str], limits: LabelLimits) -> Suite:
    """The winners' categories, one cycle ago and in the newest: are they of the same kinds?"""
    measure = AtMost(
        "a total variation of the winners' categories against the previous cycle",
        winner_drift(before, now),
        limits.max_winner_drift,
        limits.sampling_errors,
        reading="0 the same mixture of kinds, 1 none in common",
    )
    remedy = "winners are of other kinds than before: compare the examples of both cycles"
    return statistics_suite("winners", [held("winner_drift", measure, remedy)], SEE_JOURNAL)


def truth_suite(groups: pd.DataFrame, limits: LabelLimits) -> Suite:
    """The newest cycle's groups of which the truth is known."""
    agreement = newest(groups)["truth_agreement"].dropna()
    measure = AtLeast(
        "a mean agreement with wants x attributes",
        exact(agreement.mean(), len(agreement), "groups"),
        limits.min_truth_agreement,
        reading="0.5 a coin, near 0 reversed",
    )
    remedy = f"the teacher does not rank by what personas want: {_OTHER_TEACHER}"
    return statistics_suite(
        "truth",
        [held("truth_agreement", measure, remedy)],
        remedy="no group can be judged: let wants name attributes that the catalogue has",
    )
