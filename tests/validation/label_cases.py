"""Seeded teachers, labels and ledgers, and the gate that judges them."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from retrieval.storage.schema import AUDITS, RANKINGS
from validation.gate import Verdict
from validation.label_suites import Ledger
from validation.label_tables import Catalogue, Truth
from validation.labels import Evidence, check_labels
from validation.limits import LabelLimits

TOP = Path(__file__).parents[2]
LIMITS = LabelLimits(**yaml.safe_load((TOP / "params.yaml").read_text())["check_labels"])
# For products that differ, as these do; params.yaml leaves room for many that are equally good.
STRICT = LIMITS.model_copy(
    update={"min_repeat_tau": 0.4, "min_pair_agreement": 0.7, "max_cyclic_share": 0.15}
)
EVERY = LIMITS.model_copy(
    update={"min_covered_share": 1.0}
)  # params.yaml: half, most were never asked about yet
TINY = LIMITS.model_copy(
    update={"min_rankings": 40, "min_personas": 15, "min_coverage": 0}
)  # as end-to-end tests have
GROUPS, SIZE = 300, 5
KINDS, COLORS = [f"kind{i}" for i in range(8)], ["red", "blue", "green", "grey"]
PERSONAS, PRODUCTS = [f"p{i:02}" for i in range(30)], [f"x{i:02}" for i in range(30)]
HUB = PRODUCTS[0]
NOISE, BIAS, MALFORMED = 0.2, 0.05, 0.01  # the simulated teacher's in params.yaml

Ranker = Callable[[np.random.Generator, str, list[str]], list[str]]


def make_truth() -> Truth:
    rng = np.random.default_rng(0)
    values = [f"kind={kind}" for kind in KINDS] + [f"color={color}" for color in COLORS]
    weights = {p: rng.random(12) * ([2] * len(KINDS) + [1] * len(COLORS)) for p in PERSONAS}
    return Truth(
        {p: dict(zip(values, map(float, w), strict=True)) for p, w in weights.items()},
        {x: {"kind": KINDS[i % 8], "color": COLORS[i // 8 % 4]} for i, x in enumerate(PRODUCTS)},
    )


TRUTH = make_truth()
NO_TRUTH = Truth({}, {})
CATALOGUE = Catalogue(PRODUCTS, PERSONAS, {x: TRUTH.attributes[x]["kind"] for x in PRODUCTS})


def simulated(noise: float = NOISE, bias: float = BIAS, malformed: float = 0.0) -> Ranker:
    """Plackett-Luce by utility over noise, a bonus that falls by place, now and then no reply."""

    def rank(rng: np.random.Generator, persona: str, shown: list[str]) -> list[str]:
        bonus = bias * (1 - np.arange(len(shown)) / (len(shown) - 1))
        seen = TRUTH.utilities(persona, shown) + bonus + rng.gumbel(scale=noise, size=len(shown))
        fails = rng.random() < malformed and rng.random() < malformed  # asked once more
        return [] if fails else [shown[i] for i in np.argsort(-seen)]

    return rank


good = simulated()


def ask(rank: Ranker, cycle: str = "c1", seed: int = 0, groups: int = GROUPS, hub: float = 0):
    """A cycle's rankings; a share `hub` of the groups shows the same one product."""
    rng = np.random.default_rng([seed, groups])
    rows = []
    for number in range(groups):
        persona = PERSONAS[number % len(PERSONAS)]
        shown = [str(x) for x in rng.choice(PRODUCTS[1:], SIZE, replace=False)]
        if rng.random() < hub or number == 0:
            shown[rng.integers(SIZE)] = HUB
        ranking = rank(rng, persona, list(shown))
        rows.append((f"{cycle}-{number:05}", persona, shown, ranking, "simulated", "0" * 64))
    return pd.DataFrame(rows, columns=RANKINGS.names)


def ask_again(
    rank: Ranker, rankings: pd.DataFrame, groups: int = 100, pairs: int = 200, seed: int = 0
) -> pd.DataFrame:
    """Audits of the newest rankings: groups in another order, pairs in both orders."""
    rng = np.random.default_rng([seed, 1])
    records = rankings.to_dict("records")[-GROUPS:]
    questions: list[tuple[str, dict[str, Any], list[str]]] = []
    for number in rng.choice(len(records), groups, replace=groups > len(records)):
        shown = records[number]["presented"]
        questions.append(("group", records[number], [str(x) for x in rng.permutation(shown)]))
    for number in rng.choice(len(records), pairs, replace=False):
        two = [str(x) for x in rng.choice(records[number]["presented"], 2, replace=False)]
        questions += [("pair", records[number], two), ("pair", records[number], two[::-1])]
    rows = [
        (f"a{i}", row["group_id"], kind, row["persona_id"], shown,
         rank(rng, row["persona_id"], list(shown)), "simulated", "0" * 64)
        for i, (kind, row, shown) in enumerate(questions)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=AUDITS.names)


def ledger_of(audits: pd.DataFrame, **changes: Any) -> Ledger:
    kinds = audits["kind"].tolist()
    groups, pairs = kinds.count("group"), kinds.count("pair") // 2
    ledger = Ledger(GROUPS + len(audits), 3, 0, 9000, 900, 0.0, None, None, groups, pairs)
    return replace(ledger, **changes)


def evidence(
    rank: Ranker = good, again: Ranker | None = None, truth: Truth = TRUTH, **options: Any
) -> Evidence:
    rankings = ask(rank, **options)
    audits = ask_again(again or rank, rankings)
    return Evidence(rankings, audits, ledger_of(audits), truth, CATALOGUE)


def judge(tmp_path: Path, case: Evidence, limits: LabelLimits = LIMITS) -> Verdict:
    return check_labels(case, limits, tmp_path / "docs", {}).verdict


def failed(verdict: Verdict) -> set[str]:
    return {check.name for check in verdict.checks if not check.passed}


def good_case(seed: int, noise: float, groups: int, again: tuple[int, int]) -> Evidence:
    """Two cycles of a good teacher, audited as params.yaml has it: 5 % of groups, 2 % of pairs."""
    rank = simulated(noise, malformed=MALFORMED)
    cycles = [ask(rank, cycle, 2 * seed + i, groups) for i, cycle in enumerate(("c1", "c2"))]
    audits = ask_again(rank, cycles[1], *again, seed=seed)
    rankings = pd.concat(cycles, ignore_index=True)
    return Evidence(rankings, audits, ledger_of(audits), TRUTH, CATALOGUE)


def seeds(count: int, fast: int) -> list[Any]:
    """Great Expectations takes a second or two a run: `make test-slow` runs the rest."""
    return [pytest.param(seed, marks=[pytest.mark.slow] * (seed >= fast)) for seed in range(count)]


FAST = {"always as presented", "reversed", "one product wins"}


def mostly_slow(names: Iterable[str]) -> list[Any]:
    """As `seeds`: a few of each kind."""
    return [pytest.param(name, marks=[pytest.mark.slow] * (name not in FAST)) for name in names]


def without_audits(**ledger: Any) -> Evidence:
    case = evidence()
    return replace(case, audits=case.audits[:0], ledger=replace(case.ledger, **ledger))


def with_rankings(rankings: pd.DataFrame) -> Evidence:
    """Rankings changed after the audits were asked."""
    return replace(evidence(), rankings=rankings)
