"""Tables of labels that are wrong, against the gate with the limits of params.yaml."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from retrieval.storage.schema import RANKINGS
from tests.validation.label_cases import (
    CATALOGUE,
    EVERY,
    GROUPS,
    LIMITS,
    PERSONAS,
    PRODUCTS,
    TRUTH,
    ask,
    ask_again,
    evidence,
    failed,
    good,
    judge,
    ledger_of,
    with_rankings,
    without_audits,
)
from validation.labels import Evidence

pytestmark = pytest.mark.usefixtures("quick_docs")


def changed(table: pd.DataFrame, column: str, change: Callable[[Any], Any], every: int):
    """The table with `change` made to `column` in each `every`-th row."""
    values = [change(v) if row % every == 0 else v for row, v in enumerate(table[column])]
    return table.assign(**{column: pd.Series(values, dtype="object")})


def evidence_of(rankings: pd.DataFrame) -> Evidence:
    """Rankings changed before the audits were asked."""
    audits = ask_again(good, rankings)
    return Evidence(rankings, audits, ledger_of(audits), TRUTH, CATALOGUE)


def of_few_personas() -> Evidence:
    return evidence_of(ask(good, groups=2 * GROUPS).query("persona_id < 'p19'"))


def of_two_sizes() -> Evidence:
    """The last groups show one picture fewer."""
    rankings = ask(good)
    for row in range(GROUPS - 20, GROUPS):
        dropped = rankings.at[row, "presented"].pop()
        rankings.at[row, "ranking"].remove(dropped)
    return evidence_of(rankings)


def of_twice_the_same() -> Evidence:
    """The last groups show a picture twice."""
    rankings = ask(good)
    for row in range(GROUPS - 20, GROUPS):
        gone, doubled = rankings.at[row, "presented"][:2]
        for column in ("presented", "ranking"):
            products = rankings.at[row, column]
            products[products.index(gone)] = doubled
    return evidence_of(rankings)


def changed_ranking(change: Callable[[Any], Any]) -> Evidence:
    return with_rankings(changed(ask(good), "ranking", change, 60))


def changed_audit(column: str, change: Callable[[Any], Any], every: int = 60) -> Evidence:
    case = evidence()
    return replace(case, audits=changed(case.audits, column, change, every))


def first_only(value: Any) -> Any:
    return [min(value)] if isinstance(value, list) else value


def without_audits_of(rankings: pd.DataFrame) -> Evidence:
    return replace(without_audits(calls=0), rankings=rankings)


BAD_TABLES: dict[str, tuple[Callable[[], Evidence], set[str]]] = {
    "a picture left out": (lambda: changed_ranking(lambda r: r[:-1]), {"rankings.permutation"}),
    "a picture twice, or from elsewhere": (
        lambda: changed_ranking(lambda r: [*r[:-1], r[0]] if r[0] < r[1] else ["x999", *r[1:]]),
        {"rankings.permutation"},
    ),
    "two group sizes": (of_two_sizes, {"groups.one_group_size"}),
    "groups twice": (
        lambda: with_rankings(pd.concat([ask(good), ask(good)[:1]], ignore_index=True)),
        {"groups.group_id_unique"},
    ),
    "too few personas": (
        of_few_personas,
        {"rankings.enough_personas", "coverage.min_coverage"},
    ),
    "too few rankings": (
        lambda: with_rankings(ask(good)[:99]),
        {"rankings.row_count", "audits.of_its_group"},
    ),
    "a product twice in a group": (of_twice_the_same, {"groups.presented_distinct"}),
    "groups of one": (
        lambda: without_audits_of(ask(good).map(first_only)),
        {
            "groups.two_pictures",
            "positions.winner_position",
            "positions.winner_position_not_null",
            "truth.row_count",
            "truth.truth_agreement",
            "coverage.min_coverage",
        },
    ),
    "a product that nobody saw": (
        lambda: replace(evidence(), catalogue=replace(CATALOGUE, products=[*PRODUCTS, "x99"])),
        {"coverage.min_coverage"},
    ),
    "no teacher named": (
        lambda: with_rankings(changed(ask(good), "teacher", lambda t: None, 7)),
        {"groups.teacher_not_null"},
    ),
    "audits of another run": (
        lambda: changed_audit("group_id", lambda g: "c9-00000"),
        {"audits.of_its_group"},
    ),
    "audits of another persona": (
        lambda: changed_audit("persona_id", lambda p: "p99"),
        {"audits.of_its_group"},
    ),
    "a malformed audit": (
        lambda: changed_audit("ranking", lambda r: [*r[:-1], r[0]]),
        {"audits.permutation"},
    ),
}


@pytest.mark.slow  # a gate a table, two seconds each
@pytest.mark.parametrize("name", BAD_TABLES)
def test_a_bad_table_is_caught_by_the_right_expectation(tmp_path: Path, name: str) -> None:
    build, caught_by = BAD_TABLES[name]
    assert failed(judge(tmp_path, build(), EVERY)) == caught_by


@pytest.mark.slow
def test_a_product_or_persona_that_was_never_asked_about_is_named(tmp_path: Path) -> None:
    case = replace(evidence(), catalogue=replace(CATALOGUE, personas=[*PERSONAS, "p99"]))
    verdict = judge(tmp_path, case, EVERY)
    assert (
        "got 1 of 61 rows at fault (id p99), expected 100% of the training products"
        in verdict.reasons[0]
    )
    assert verdict.statistics["min_persona_coverage"] == 0


@pytest.mark.slow
@pytest.mark.parametrize(("unseen", "passes"), [(25, True), (70, False)])
def test_a_share_of_the_catalogue_may_be_left_out(
    tmp_path: Path, unseen: int, passes: bool
) -> None:
    """60 products and personas were asked about: more than half of 85, less than half of 130."""
    others = [f"z{number}" for number in range(unseen)]
    case = replace(evidence(), catalogue=replace(CATALOGUE, products=[*PRODUCTS, *others]))
    assert (failed(judge(tmp_path, case)) == set()) == passes


@pytest.mark.slow
def test_personas_count_once_there_are_as_many_groups(tmp_path: Path) -> None:
    everybody = [*PERSONAS, *(f"q{number}" for number in range(GROUPS))]
    case = replace(evidence(), catalogue=replace(CATALOGUE, personas=everybody))
    assert judge(tmp_path, case, EVERY).passed


@pytest.mark.slow
def test_coverage_can_be_switched_off(tmp_path: Path) -> None:
    case = replace(evidence(), catalogue=replace(CATALOGUE, products=[*PRODUCTS, "x99"]))
    verdict = judge(tmp_path, case, LIMITS.model_copy(update={"min_coverage": 0}))
    assert verdict.passed, verdict.reasons
    assert "coverage was not checked: check_labels.min_coverage is 0" in verdict.notes


def test_an_empty_table_fails(tmp_path: Path) -> None:
    verdict = judge(tmp_path, with_rankings(ask(good)[:0]))
    assert {f"{name}.row_count" for name in ("groups", "replies", "rankings", "positions")} <= (
        failed(verdict)
    )
    assert "got 0, expected a row count of at least 1" in verdict.reasons[0]
    assert verdict.statistics["failure_rate"] is None


@pytest.mark.slow
def test_all_null_columns_fail(tmp_path: Path) -> None:
    nothing = ask(good).assign(**dict.fromkeys(RANKINGS.names))
    verdict = judge(tmp_path, with_rankings(nothing))
    assert {f"groups.{column}_not_null" for column in RANKINGS.names} <= failed(verdict)


@pytest.mark.slow
@pytest.mark.parametrize("column", ["group_id", "ranking"])
def test_missing_columns_fail(tmp_path: Path, column: str) -> None:
    verdict = judge(tmp_path, with_rankings(ask(good).drop(columns=column)))
    assert f"groups.{column}_not_null" in failed(verdict)
    assert any(f'column "{column}" in BatchData does not exist' in r for r in verdict.reasons)


def test_without_wants_agreement_is_left_out_and_said_so(tmp_path: Path) -> None:
    verdict = judge(tmp_path, evidence(truth=replace(TRUTH, wants={"p00": {}})))
    assert verdict.passed
    assert not any(check.name.startswith("truth.") for check in verdict.checks)
    assert "agreement with the truth was not checked: no persona here has wants" in verdict.notes
    assert verdict.statistics["truth_agreement"] is None


@pytest.mark.slow
def test_wants_that_no_product_can_meet_fail(tmp_path: Path) -> None:
    nowhere = {persona: {"smell=rose": 1.0} for persona in PERSONAS}
    verdict = judge(tmp_path, evidence(truth=replace(TRUTH, wants=nowhere)))
    assert "truth.row_count" in failed(verdict)
