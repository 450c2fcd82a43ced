"""The gate on a teacher's labels: are they rankings, of the pictures, and of one mind?"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from validation.gate import Judged, run_gate
from validation.label_statistics import cyclic_share
from validation.label_suites import (
    Ledger,
    coverage_suite,
    groups_suite,
    ledger_suite,
    rankings_suite,
    replies_suite,
)
from validation.label_tables import (
    Catalogue,
    Truth,
    answered,
    coverage,
    describe_audits,
    describe_groups,
    judgements,
    newest,
    winners_of_two_cycles,
)
from validation.label_teacher_suites import (
    audits_suite,
    pairs_suite,
    positions_suite,
    preferences_suite,
    repeats_suite,
    truth_suite,
    winners_suite,
)
from validation.limits import LabelLimits
from validation.measures import Estimate
from validation.suite import Suite

# The numbers in the verdict that a check observed; None where it was not made.
_OBSERVED = {
    "failure_rate": "replies.failure_rate",
    "max_product_share": "rankings.product_share",
    "position_v": "positions.winner_position",
    "rank_shift": "positions.rank_shift",
    "repeat_tau": "repeats.repeat_tau",
    "pair_agreement": "pairs.pair_agreement",
    "cyclic_share": "preferences.cyclic_share",
    "winner_drift": "winners.winner_drift",
    "truth_agreement": "truth.truth_agreement",
}
_NO_AUDITS = "the cycle asked for none"

Entry = Suite | str  # a suite, or the note that says why there is none


@dataclass(frozen=True)
class Evidence:
    """All that the gate judges by."""

    rankings: pd.DataFrame  # cumulative over the cycles, the newest last
    audits: pd.DataFrame  # of the newest cycle
    ledger: Ledger  # likewise
    truth: Truth
    catalogue: Catalogue


def check_labels(
    evidence: Evidence, limits: LabelLimits, docs: Path, inputs: Mapping[str, str]
) -> Judged:
    """Judge a teacher's labels, and write Data Docs into `docs`. Raises as `run_gate`.

    What the teacher does is judged by the newest cycle's labels, which older ones would water
    down; what training gets, and whether choices fit together, by all of them.
    """
    groups = describe_groups(evidence.rankings, evidence.truth)
    audits = describe_audits(evidence.audits, evidence.rankings)
    judged = judgements(groups, audits)
    triples = cyclic_share(judged["persona_id"].tolist(), judged["ranking"].tolist())
    entries: list[Entry] = [
        groups_suite(groups),
        replies_suite(groups, limits),
        rankings_suite(groups, limits),
        positions_suite(groups, limits),
        ledger_suite(groups, evidence.ledger, limits),
        _coverage(groups, evidence.catalogue, limits),
        *_audits(audits, evidence.ledger, limits),
        _preferences(triples, limits),
        _drift(groups, evidence.catalogue, limits),
        _truth(groups, evidence.truth, limits),
    ]
    notes = [entry for entry in entries if isinstance(entry, str)]
    suites = [entry for entry in entries if isinstance(entry, Suite)]
    found = run_gate("labels", suites, docs, inputs)
    numbers = _counts(groups, evidence, triples)
    observed = {check.name: check.observed for check in found.verdict.checks}
    for name, check in _OBSERVED.items():
        value = observed.get(check)
        numbers[name] = None if isinstance(value, str) else value
    return replace(found, verdict=replace(found.verdict, statistics=numbers, notes=notes))


def _coverage(groups: pd.DataFrame, catalogue: Catalogue, limits: LabelLimits) -> Entry:
    if limits.min_coverage:
        return coverage_suite(groups, catalogue, limits)
    return "coverage was not checked: check_labels.min_coverage is 0"


def _audits(audits: pd.DataFrame, ledger: Ledger, limits: LabelLimits) -> list[Entry]:
    """After an early stop nothing was asked, so nothing was asked again."""
    if not len(audits) and not ledger.calls:
        return ["repeat agreement was not checked: no call was made in this cycle"]
    kinds = audits["kind"].tolist()
    entries: list[Entry] = []
    if len(audits) or ledger.audits:
        entries.append(audits_suite(audits, ledger, limits))
    if ledger.audit_groups or "group" in kinds:
        entries.append(repeats_suite(audits, limits))
    else:
        entries.append(f"repeat agreement was not checked: {_NO_AUDITS}")
    if ledger.audit_pairs or "pair" in kinds:
        entries.append(pairs_suite(audits, limits))
    else:
        entries.append(f"agreement of pairs was not checked: {_NO_AUDITS}")
    return entries


def _preferences(triples: Estimate, limits: LabelLimits) -> Entry:
    if triples.count >= limits.min_triples:
        return preferences_suite(triples, limits)
    return (
        f"transitivity was not checked: rankings overlap in {triples.count} triples only,"
        f" check_labels.min_triples is {limits.min_triples}"
    )


def _drift(groups: pd.DataFrame, catalogue: Catalogue, limits: LabelLimits) -> Entry:
    if groups["cycle"].nunique() > 1:
        return winners_suite(*winners_of_two_cycles(groups, catalogue.categories), limits)
    return "drift of winners was not checked: there is no previous cycle"


def _truth(groups: pd.DataFrame, truth: Truth, limits: LabelLimits) -> Entry:
    if any(truth.knows(row.get("persona_id", "")) for row in newest(groups).to_dict("records")):
        return truth_suite(groups, limits)
    return "agreement with the truth was not checked: no persona here has wants"


def _counts(
    groups: pd.DataFrame, evidence: Evidence, triples: Estimate
) -> dict[str, int | float | None]:
    """The numbers in the verdict beside those that a check observed."""
    answers, ledger = answered(groups), evidence.ledger
    times = coverage(groups, evidence.catalogue).groupby("kind")["times"].min()
    return {
        "groups": len(groups),
        "rankings": len(answers),
        "personas": answers["persona_id"].nunique() if "persona_id" in answers else None,
        "judged_groups": int(newest(groups)["truth_agreement"].notna().sum()),
        "audits": len(evidence.audits),
        "triples": triples.count,
        "min_product_coverage": _or_none(times.get("product")),
        "min_persona_coverage": _or_none(times.get("persona")),
        "calls": ledger.calls,
        "failed_calls": ledger.failures,
        "unasked": ledger.unasked,
        "input_tokens": ledger.input_tokens,
        "output_tokens": ledger.output_tokens,
        "cost_usd": ledger.cost_usd,
    }


def _or_none(value: float | None) -> int | None:
    return None if value is None else int(value)
