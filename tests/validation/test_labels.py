from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retrieval.schema import RANKINGS
from validation.gate import Verdict
from validation.labels import (
    LabelLimits,
    Truth,
    check_labels,
    describe_groups,
    label_statistics,
    pairwise_agreement,
)

pytestmark = pytest.mark.usefixtures("quick_docs")

LIMITS = LabelLimits(100, 20, 0.05, 0.35, 0.65)
PERSONAS, PRODUCTS, GROUPS, SIZE = 40, 200, 300, 5
COLORS = ("red", "blue", "green", "grey")

Ranker = Callable[[np.random.Generator, str, list[str]], list[str]]


def make_truth(seed: int = 0) -> Truth:
    rng = np.random.default_rng(seed)
    wants = {
        f"p{i:02}": {f"color={c}": float(w) for c, w in zip(COLORS, rng.random(4), strict=True)}
        for i in range(PERSONAS)
    }
    attributes = {f"x{i:03}": {"color": str(rng.choice(COLORS))} for i in range(PRODUCTS)}
    return Truth(wants, attributes)


TRUTH = make_truth()


def noisy(rng: np.random.Generator, persona: str, presented: list[str]) -> list[str]:
    noise = dict(zip(presented, rng.gumbel(scale=0.1, size=len(presented)), strict=True))
    return sorted(presented, key=lambda x: -TRUTH.utilities(persona, [x])[0] - noise[x])


def make(rank: Ranker = noisy, seed: int = 0, groups: int = GROUPS) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(groups):
        persona = f"p{number % PERSONAS:02}"
        presented = [f"x{i:03}" for i in rng.choice(PRODUCTS, SIZE, replace=False)]
        ranking = rank(rng, persona, presented)
        rows.append((f"g{number:04}", persona, presented, ranking, "simulated", "0" * 64))
    return pd.DataFrame(rows, columns=RANKINGS.names)


def judge(tmp_path: Path, rankings: pd.DataFrame, truth: Truth = TRUTH) -> Verdict:
    return check_labels(rankings, truth, LIMITS, tmp_path / "docs", {})


def failed(verdict: Verdict) -> set[str]:
    return {check.name for check in verdict.checks if not check.passed}


def changed(column: str, change: Callable[[Any], Any], every: int) -> pd.DataFrame:
    """A good table with `change` made to `column` in each `every`-th row."""
    table = make()
    table[column] = [
        change(value) if row % every == 0 else value for row, value in enumerate(table[column])
    ]
    return table


@pytest.mark.parametrize("seed", range(3))
def test_a_good_noisy_teacher_passes(tmp_path: Path, seed: int) -> None:
    table = make(seed=seed)
    table.at[7, "ranking"] = []
    verdict = judge(tmp_path, table)
    assert verdict.passed, verdict.reasons
    assert verdict.notes == []
    assert verdict.statistics["failure_rate"] == pytest.approx(1 / GROUPS)


BAD_TEACHERS: dict[str, tuple[Ranker, set[str]]] = {
    "always the first": (
        lambda rng, persona, shown: shown,
        {"rankings.position_share", "truth.truth_agreement"},
    ),
    "best of the truth, but first stays first": (
        lambda rng, persona, shown: shown[:1] + noisy(rng, persona, shown[1:]),
        {"rankings.position_share"},
    ),
    "reversed": (
        lambda rng, persona, shown: noisy(rng, persona, shown)[::-1],
        {"truth.truth_agreement"},
    ),
    "random": (
        lambda rng, persona, shown: [str(x) for x in rng.permutation(shown)],
        {"truth.truth_agreement"},
    ),
}


@pytest.mark.parametrize("name", BAD_TEACHERS)
def test_a_bad_teacher_is_caught_by_the_right_expectation(tmp_path: Path, name: str) -> None:
    rank, caught_by = BAD_TEACHERS[name]
    verdict = judge(tmp_path, make(rank))
    assert failed(verdict) == caught_by
    assert not verdict.passed


BAD_TABLES: dict[str, tuple[Callable[[], pd.DataFrame], set[str]]] = {
    "malformed replies": (lambda: changed("ranking", lambda r: [], 10), {"groups.failure_rate"}),
    "a picture left out": (
        lambda: changed("ranking", lambda r: r[:-1], 60),
        {"rankings.permutation"},
    ),
    "a picture twice": (
        lambda: changed("ranking", lambda r: [*r[:-1], r[0]], 60),
        {"rankings.permutation"},
    ),
    "a picture from elsewhere": (
        lambda: changed("ranking", lambda r: ["x999", *r[1:]], 60),
        {"rankings.permutation"},
    ),
    "presented twice": (
        lambda: make(repeating),
        {"groups.presented_distinct"},
    ),
    "two group sizes": (
        lambda: pd.concat([make(), small_groups(4)], ignore_index=True),
        {"groups.one_group_size"},
    ),
    "groups of one": (lambda: small_groups(1), {"groups.two_pictures", "rankings.position_share"}),
    "duplicate groups": (
        lambda: pd.concat([make(), make()[:1]], ignore_index=True),
        {"groups.group_id_unique"},
    ),
    "too few personas": (lambda: make().assign(persona_id="p01"), {"rankings.enough_personas"}),
    "too few rankings": (lambda: make(groups=99), {"rankings.row_count"}),
    "no teacher named": (
        lambda: changed("teacher", lambda t: None, 7),
        {"groups.teacher_not_null"},
    ),
}


def repeating(rng: np.random.Generator, persona: str, presented: list[str]) -> list[str]:
    presented[0] = presented[1]
    return noisy(rng, persona, presented)


def small_groups(size: int) -> pd.DataFrame:
    table = make(seed=1)
    table["group_id"] = "small" + table["group_id"]
    for column in ("presented", "ranking"):
        table[column] = [sorted(names)[:size] for names in table["presented"]]
    table["ranking"] = [
        noisy(np.random.default_rng(row), persona, list(names))
        for row, persona, names in zip(
            range(len(table)), table["persona_id"], table["presented"], strict=True
        )
    ]
    return table


@pytest.mark.parametrize("name", BAD_TABLES)
def test_a_bad_table_is_caught_by_the_right_expectation(tmp_path: Path, name: str) -> None:
    build, caught_by = BAD_TABLES[name]
    verdict = judge(tmp_path, build())
    # One persona's agreement may lie below the limit, and groups of one decide no pair.
    assert {name for name in failed(verdict) if not name.startswith("truth.")} == caught_by
    assert not verdict.passed


def test_an_empty_table_fails(tmp_path: Path) -> None:
    verdict = judge(tmp_path, make()[:0])
    assert {"groups.row_count", "rankings.row_count"} <= failed(verdict)
    assert "got 0, expected a row count of at least 1" in verdict.reasons[0]
    assert verdict.statistics["failure_rate"] is None


def test_a_table_without_any_ranking_fails(tmp_path: Path) -> None:
    verdict = judge(tmp_path, make(lambda *_: []))
    assert {"groups.failure_rate", "rankings.row_count", "truth.row_count"} <= failed(verdict)


def test_all_null_columns_fail(tmp_path: Path) -> None:
    verdict = judge(tmp_path, make().assign(**dict.fromkeys(RANKINGS.names)))
    assert {f"groups.{column}_not_null" for column in RANKINGS.names} <= failed(verdict)


@pytest.mark.parametrize("column", ["group_id", "persona_id", "ranking"])
def test_missing_columns_fail(tmp_path: Path, column: str) -> None:
    verdict = judge(tmp_path, make().drop(columns=column))
    assert f"groups.{column}_not_null" in failed(verdict)
    assert any(f'column "{column}" in BatchData does not exist' in r for r in verdict.reasons)


def test_without_wants_agreement_is_left_out_and_said_so(tmp_path: Path) -> None:
    verdict = judge(tmp_path, make(), replace(TRUTH, wants={"p00": {}}))
    assert verdict.passed
    assert not any(check.name.startswith("truth.") for check in verdict.checks)
    assert verdict.notes == ["agreement with the truth was not checked: no persona here has wants"]
    assert verdict.statistics["truth_agreement"] is None


def test_wants_that_no_product_can_meet_fail(tmp_path: Path) -> None:
    nowhere = {persona: {"smell=rose": 1.0} for persona in TRUTH.wants}
    assert "truth.row_count" in failed(judge(tmp_path, make(), replace(TRUTH, wants=nowhere)))


def test_agreement_by_hand() -> None:
    assert pairwise_agreement([3, 2, 1]) == 1
    assert pairwise_agreement([1, 2, 3]) == 0
    assert pairwise_agreement([2, 3, 1]) == pytest.approx(2 / 3)
    assert pairwise_agreement([1, 1, 0]) == 1  # the tie is no pair: 2 of 2
    assert pairwise_agreement([0.1 + 0.2, 0.3, 0.0]) == 1  # equal but for rounding
    assert np.isnan(pairwise_agreement([1, 1]))
    assert np.isnan(pairwise_agreement([]))


def test_utility_by_hand() -> None:
    truth = Truth(
        wants={"p": {"color=red": 1.0, "motif=cat": 0.5, "scene=sea": 2.0}, "q": {}},
        attributes={"x": {"color": "red", "motif": "cat", "scene": "plain"}, "y": {}},
    )
    assert truth.utilities("p", ["x", "y"]) == [1.5, 0]
    assert truth.knows("p")
    assert not truth.knows("q")
    assert not truth.knows("stranger")


def test_statistics_by_hand() -> None:
    truth = Truth({"p": {"color=red": 1.0}}, {"a": {"color": "red"}, "b": {"color": "blue"}})
    rows = [
        ("g1", "p", ["a", "b"], ["a", "b"], "t", "0"),  # first place wins, right
        ("g2", "p", ["b", "a"], ["b", "a"], "t", "0"),  # first place wins, wrong
        ("g3", "p", ["b", "a"], ["a", "b"], "t", "0"),  # second place wins, right
        ("g4", "q", ["a", "b"], [], "t", "0"),  # no label
    ]
    groups = describe_groups(pd.DataFrame(rows, columns=RANKINGS.names), truth)
    assert groups["winner_position"].tolist() == [1, 1, 2, 0]
    assert label_statistics(groups) == {
        "groups": 4,
        "rankings": 3,
        "personas": 1,
        "failure_rate": 0.25,
        "max_position_share": pytest.approx(2 / 3),
        "judged_groups": 3,
        "truth_agreement": pytest.approx(2 / 3),
    }


def test_a_group_with_an_unknown_product_or_persona_is_not_judged() -> None:
    truth = Truth({"p": {"color=red": 1.0}}, {"a": {"color": "red"}, "b": {}})
    rows = [
        ("g1", "p", ["a", "z"], ["a", "z"], "t", "0"),
        ("g2", "stranger", ["a", "b"], ["a", "b"], "t", "0"),
    ]
    groups = describe_groups(pd.DataFrame(rows, columns=RANKINGS.names), truth)
    assert groups["truth_agreement"].isna().all()
