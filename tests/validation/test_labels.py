"""Seeded teachers, good and bad, against the gate with the limits of params.yaml."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.validation.label_cases import (
    CATALOGUE,
    GROUPS,
    HUB,
    LIMITS,
    NO_TRUTH,
    STRICT,
    TINY,
    Ranker,
    ask,
    ask_again,
    evidence,
    failed,
    good,
    good_case,
    judge,
    ledger_of,
    mostly_slow,
    seeds,
    with_rankings,
    without_audits,
)
from validation.labels import Evidence

pytestmark = pytest.mark.usefixtures("quick_docs")


@pytest.mark.parametrize("seed", seeds(20, fast=1))
def test_a_good_noisy_teacher_passes(tmp_path: Path, seed: int) -> None:
    verdict = judge(tmp_path, good_case(seed, 0.2 + 0.1 * (seed % 2), GROUPS, (15, 6)))
    assert verdict.passed, verdict.reasons
    assert verdict.notes == []
    assert None not in verdict.statistics.values()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_a_good_noisy_teacher_passes_on_a_tiny_sample(tmp_path: Path, seed: int) -> None:
    verdict = judge(tmp_path, good_case(seed, 0.3, 60, (3, 1)), TINY)
    assert verdict.passed, verdict.reasons


def as_shown(rng: np.random.Generator, persona: str, shown: list[str]) -> list[str]:
    return shown


def first_wins(rng: np.random.Generator, persona: str, shown: list[str]) -> list[str]:
    return shown[:1] + (good(rng, persona, shown[1:]) if len(shown) > 2 else shown[1:])


def best_then_as_shown(rng: np.random.Generator, persona: str, shown: list[str]) -> list[str]:
    best = good(rng, persona, shown)[0]
    return [best, *(x for x in shown if x != best)]


def reversed_(rng: np.random.Generator, persona: str, shown: list[str]) -> list[str]:
    return good(rng, persona, shown)[::-1]


def at_random(rng: np.random.Generator, persona: str, shown: list[str]) -> list[str]:
    return [str(x) for x in rng.permutation(shown)]


def by_company(rng: np.random.Generator, persona: str, shown: list[str]) -> list[str]:
    """Of one mind about each set of pictures, of another about the next."""
    company = "".join(sorted(shown))
    return sorted(shown, key=lambda x: hashlib.sha256(f"{company}{persona}{x}".encode()).digest())


def first_of_two(rng: np.random.Generator, persona: str, shown: list[str]) -> list[str]:
    return shown if len(shown) == 2 else good(rng, persona, shown)


def forgetful(rng: np.random.Generator, persona: str, shown: list[str]) -> list[str]:
    return at_random(rng, persona, shown) if len(shown) > 2 else good(rng, persona, shown)


def one_wins(rng: np.random.Generator, persona: str, shown: list[str]) -> list[str]:
    return sorted(good(rng, persona, shown), key=lambda x: x != HUB)


def malformed(share: float) -> Ranker:
    def rank(rng: np.random.Generator, persona: str, shown: list[str]) -> list[str]:
        return [] if rng.random() < share else good(rng, persona, shown)

    return rank


BAD_TEACHERS: dict[str, tuple[Callable[[], Evidence], set[str]]] = {
    "always as presented": (
        lambda: evidence(as_shown),
        {
            "positions.winner_position",
            "positions.rank_shift",
            "repeats.repeat_tau",
            "pairs.pair_agreement",
            "preferences.cyclic_share",
            "truth.truth_agreement",
        },
    ),
    "the first place wins, the rest is judged": (
        lambda: evidence(first_wins),
        {"positions.winner_position", "positions.rank_shift", "pairs.pair_agreement"},
    ),
    "the winner is judged, the rest stays": (
        lambda: evidence(best_then_as_shown),
        {"positions.rank_shift", "repeats.repeat_tau", "truth.truth_agreement"},
    ),
    "reversed": (lambda: evidence(reversed_), {"truth.truth_agreement"}),
    "random": (
        lambda: evidence(at_random),
        {
            "repeats.repeat_tau",
            "pairs.pair_agreement",
            "preferences.cyclic_share",
            "truth.truth_agreement",
        },
    ),
    "another mind for each company": (
        lambda: evidence(by_company, truth=NO_TRUTH),
        {"preferences.cyclic_share"},
    ),
    "the first of two": (lambda: evidence(first_of_two), {"pairs.pair_agreement"}),
    "another answer when asked again": (
        lambda: evidence(again=forgetful),
        {"repeats.repeat_tau"},
    ),
    "one product wins": (
        lambda: evidence(one_wins, hub=0.3, truth=NO_TRUTH),
        {"rankings.product_share"},
    ),
    "malformed replies": (
        lambda: evidence(malformed(0.15)),
        {"replies.failure_rate", "audits.failure_rate"},
    ),
    "silence": (
        lambda: evidence(lambda *_: []),
        {
            "replies.failure_rate",
            "rankings.row_count",
            "rankings.enough_personas",
            "rankings.product_share",
            "positions.row_count",
            "positions.winner_position",
            "positions.rank_shift",
            "audits.failure_rate",
            "repeats.row_count",
            "repeats.repeat_tau",
            "pairs.row_count",
            "pairs.pair_agreement",
            "truth.row_count",
            "truth.truth_agreement",
        },
    ),
}


@pytest.mark.parametrize("name", mostly_slow(BAD_TEACHERS))
def test_a_bad_teacher_is_caught_by_the_right_expectation(tmp_path: Path, name: str) -> None:
    build, caught_by = BAD_TEACHERS[name]
    verdict = judge(tmp_path, build(), STRICT)
    assert failed(verdict) == caught_by
    assert not verdict.passed


@pytest.mark.slow
def test_a_cycle_with_other_winners_is_caught(tmp_path: Path) -> None:
    def fashionable(rng: np.random.Generator, persona: str, shown: list[str]) -> list[str]:
        return sorted(good(rng, persona, shown), key=lambda x: CATALOGUE.categories[x] > "kind2")

    now = ask(fashionable, "c2", seed=1)
    rankings = pd.concat([ask(good), now], ignore_index=True)
    audits = ask_again(fashionable, now)
    case = Evidence(rankings, audits, ledger_of(audits), NO_TRUTH, CATALOGUE)
    assert failed(judge(tmp_path, case)) == {"winners.winner_drift"}


@pytest.mark.slow
def test_old_good_labels_do_not_hide_a_new_bad_cycle(tmp_path: Path) -> None:
    rankings = pd.concat([ask(good), ask(reversed_, "c2", 1, 100)], ignore_index=True)
    verdict = judge(tmp_path, with_rankings(rankings), STRICT)
    # New choices contradict old ones, too.
    assert failed(verdict) == {"truth.truth_agreement", "preferences.cyclic_share"}
    assert verdict.statistics["judged_groups"] == 100


BAD_LEDGERS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "dearer than allowed": ({"cost_usd": 2.5, "max_cost_usd": 2.0}, {"ledger.cost_usd"}),
    "more calls than allowed": ({"calls": 11, "max_calls": 10}, {"ledger.calls"}),
    "the budget ended early": ({"unasked": 3 * GROUPS}, {"ledger.unasked_share"}),
    "audits are missing": ({"audit_groups": 101}, {"audits.row_count"}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BAD_LEDGERS)
def test_a_bad_ledger_is_caught_by_the_right_expectation(tmp_path: Path, name: str) -> None:
    changes, caught_by = BAD_LEDGERS[name]
    case = evidence()
    verdict = judge(tmp_path, replace(case, ledger=replace(case.ledger, **changes)))
    assert failed(verdict) == caught_by


@pytest.mark.slow
def test_a_kept_budget_passes(tmp_path: Path) -> None:
    case = evidence()
    kept = replace(case.ledger, cost_usd=2.0, max_cost_usd=2.0, calls=10, max_calls=10)
    verdict = judge(tmp_path, replace(case, ledger=kept))
    assert verdict.passed, verdict.reasons
    assert {"ledger.cost_usd", "ledger.calls"} <= {check.name for check in verdict.checks}
    assert verdict.statistics["cost_usd"] == 2.0


def test_silent_lack_of_audits_is_caught(tmp_path: Path) -> None:
    verdict = judge(tmp_path, without_audits())
    assert {"audits.row_count", "repeats.row_count", "pairs.row_count"} <= failed(verdict)
    assert "got 0, expected a row count of at least 500; audits are missing" in verdict.summary()


@pytest.mark.slow
def test_after_an_early_stop_audits_are_not_missed(tmp_path: Path) -> None:
    verdict = judge(tmp_path, without_audits(calls=0))
    assert verdict.passed, verdict.reasons
    assert "repeat agreement was not checked: no call was made in this cycle" in verdict.notes
    assert verdict.statistics["repeat_tau"] is None


@pytest.mark.slow
def test_audits_that_nobody_asked_for_are_not_missed(tmp_path: Path) -> None:
    verdict = judge(tmp_path, without_audits(audit_groups=0, audit_pairs=0))
    assert verdict.passed, verdict.reasons
    assert "repeat agreement was not checked: the cycle asked for none" in verdict.notes
    assert "agreement of pairs was not checked: the cycle asked for none" in verdict.notes


@pytest.mark.slow
def test_few_triples_say_nothing(tmp_path: Path) -> None:
    verdict = judge(tmp_path, evidence(), LIMITS.model_copy(update={"min_triples": 10**6}))
    assert verdict.passed
    assert any("transitivity was not checked: rankings overlap in" in n for n in verdict.notes)
