"""Stage `tournaments`: who wins for held-out personas among held-out products.

data/personas.parquet, data/catalog/ -> data/tournaments.parquet, data/held_out_groups.parquet

Validation personas judge validation products, test personas test products; the latter rank some
whole groups too (pipelines/labelling/held_out_groups.py), for Kendall's tau. Every reply is in the
journal, var/teacher/tournaments.jsonl, before it counts: a run that was killed, or that a budget
ended, asks only for what is missing.

Run:  dvc repro tournaments
Tiny: python -m pipelines.tournaments, after tournaments.max_test_personas: 5 in params.yaml
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np

from pipelines.labelling.held_out_groups import rank_groups
from pipelines.labelling.judges import SPLITS, afforded_judges, all_judges, describe
from pipelines.labelling.knockout import Entry, Outcome, Rules, hold
from pipelines.labelling.teachers.asking import Purpose, Ranker
from pipelines.labelling.teachers.budget import make_budget
from pipelines.labelling.teachers.factory import make_teacher, open_asker
from pipelines.labelling.teachers.from_file import FileTeacher
from pipelines.labelling.teachers.protocol import Request, Teacher
from pipelines.run.params import Params, load_params
from pipelines.run.paths import HELD_OUT_GROUPS_FILE, PERSONAS_FILE, PRODUCTS_FILE, TOURNAMENTS_FILE
from pipelines.run.recipe import resolve_recipe
from pipelines.run.stage import derive_seed, run_stage, say, stage_lock
from retrieval.storage.schema import (
    PERSONAS,
    PRODUCTS,
    RANKINGS,
    TOURNAMENTS,
    PersonaRow,
    ProductRow,
    TournamentRow,
    read_rows,
    write_rows,
)

Products = Sequence[ProductRow]

# Share of the products, two at least: among the rest the teacher's choice is no truth.
MOST_WITHDRAWN = 0.05
# Share of a split's personas: fewer left would be no sample of it. A file knows whom it knows.
MOST_FAILED = 0.5


def hold_tournaments(
    params: Params,
    ranker: Ranker,
    judges: Sequence[PersonaRow],
    products: Products,
    split: str,
) -> list[TournamentRow]:
    """Each judge's knockouts over all products of the split, for as many as the budget reaches.

    Raises:
        SystemExit: There is no judge, or fewer than two products; or the budget ended before any
            judge's tournaments, or too many of them failed.
    """
    ids = [product["product_id"] for product in products if product["split"] == split]
    if not judges or len(ids) < 2:
        msg = (
            f"got {len(judges)} personas and {len(ids)} products in split {split}, expected"
            " 1 and 2 at least: add more, or raise the split's share in catalog.split"
        )
        raise SystemExit(msg)
    settings = params.tournaments
    rules = Rules(settings.group_size, settings.max_calls_per_match)
    entries = [
        Entry(judge["persona_id"], ids, _seed(params, judge["persona_id"], number), number)
        for judge in judges
        for number in range(settings.repeats)
    ]
    outcomes = iter(hold(ranker, entries, rules))
    rows: list[TournamentRow] = []
    missing = _Missing(split, len(judges), 1.0 if ranker.name == FileTeacher.name else MOST_FAILED)
    for judge in judges:
        found = [next(outcomes) for _ in range(settings.repeats)]
        whole = [outcome for outcome in found if outcome is not None]
        if not missing.explains(whole, settings.repeats, len(ids)):
            persona = judge["persona_id"]
            summary = sum_up(whole, derive_seed(params.seed, "winners", persona))
            rows.append({"persona_id": persona, "split": split, **summary, "teacher": ranker.name})
    missing.report(len(rows))
    return rows


class Summary(TypedDict):
    """What a row of the table says of a persona's tournaments."""

    winner: str
    finalists: list[str]
    calls: int
    undecided: int
    repeats: int
    confidence: float


def sum_up(outcomes: Sequence[Outcome], seed: int) -> Summary:
    """One persona's tournaments as one: who won most often, and in which share of them.

    Between equals the one with more matches won in all of them, then a seeded coin.
    """
    titles = Counter(outcome.winner for outcome in outcomes)
    wins = sum((Counter(outcome.wins) for outcome in outcomes), Counter[str]())
    best = max((count, wins[product]) for product, count in titles.items())
    equals = sorted(p for p, count in titles.items() if (count, wins[p]) == best)
    winner = equals[int(np.random.default_rng(seed).integers(len(equals)))]
    repeats = len(outcomes)
    return {
        "winner": winner,
        "finalists": _order_finalists(outcomes, winner),
        "calls": sum(outcome.calls for outcome in outcomes),
        "undecided": sum(outcome.undecided for outcome in outcomes),
        "repeats": repeats,
        "confidence": titles[winner] / repeats if repeats > 1 else float("nan"),
    }


def _order_finalists(outcomes: Sequence[Outcome], winner: str) -> list[str]:
    """The winner, then by the sum of the places from the end in all tournaments (Borda)."""
    points = Counter[str]()
    for outcome in outcomes:
        for place, product in enumerate(outcome.finalists):
            points[product] += len(outcome.finalists) - place
    others = sorted(points.keys() - {winner}, key=lambda product: (-points[product], product))
    return [winner, *others]


def _seed(params: Params, persona_id: str, number: int) -> int:
    """Of a persona's tournament; the first is the same whatever `repeats` is."""
    return derive_seed(params.seed, "tournaments", persona_id, *([str(number)] if number else []))


@dataclass
class _Missing:
    """How many judges of a split have no winner, and why."""

    split: str
    judges: int
    most_failed: float
    unfinished: int = 0
    failed: int = 0
    tossed: int = 0
    touched: int = 0  # judges who have a winner, some products apart

    def explains(self, outcomes: Sequence[Outcome], repeats: int, products: int) -> bool:
        """Whether a judge's tournaments tell no winner; it is counted."""
        withdrawn = max((outcome.withdrawn for outcome in outcomes), default=0)
        unfinished = len(outcomes) < repeats
        silent = any(not outcome.winner or not outcome.wins for outcome in outcomes)
        failed = not unfinished and (silent or withdrawn > max(2, MOST_WITHDRAWN * products))
        tossed = any(outcome.undecided > sum(outcome.wins.values()) / 2 for outcome in outcomes)
        tossed = tossed and not unfinished and not failed
        self.unfinished += unfinished
        self.failed += failed
        self.tossed += tossed
        missing = unfinished or failed or tossed
        self.touched += withdrawn > 0 and not missing
        return missing

    def report(self, finished: int) -> None:
        """Say it.

        Raises:
            SystemExit: There is no winner at all, or too many tournaments failed.
        """
        start = f"tournaments {self.split}:"
        if self.unfinished:
            say(
                f"{start} the budget ended before {self.unfinished} of {self.judges} personas;"
                " raise tournaments.max_calls, teacher.max_calls or teacher.max_cost_usd and run"
                " again: only what is missing is asked for"
            )
        if self.tossed:
            say(
                f"{start} {self.tossed} of {self.judges} personas have no winner: the teacher"
                " decided fewer than half of their matches, coins the others"
            )
        if self.touched:
            say(
                f"{start} {self.touched} of {self.judges} personas chose without some products"
                " about which every call failed"
            )
        failure = (
            f"{self.failed} of {self.judges} personas have no winner: every call about a final, or"
            f" about more than {MOST_WITHDRAWN:.0%} of the products, failed"
        )
        if self.failed > self.most_failed * self.judges:
            msg = (
                f"{start} {failure}; expected a winner for half of them at least. Failed calls are"
                " no votes: read the teacher's replies in var/teacher/tournaments.jsonl, mend what"
                " they complain of, and run again"
            )
            raise SystemExit(msg)
        if self.failed:
            say(f"{start} {failure}; they are left out")
        if not finished:
            msg = f"got no winner in split {self.split}, expected one persona's at least"
            raise SystemExit(msg)


def _limit_calls(params: Params) -> Params:
    """The teacher's limit is that of the tournaments where this is less."""
    limits = (params.tournaments.max_calls, params.teacher.max_calls)
    least = min((limit for limit in limits if limit is not None), default=None)
    teacher = params.teacher.model_copy(update={"max_calls": least})
    return params.model_copy(update={"teacher": teacher})


def _afforded_calls(params: Params, teacher: Teacher, example: Request) -> float:
    """That the budgets of calls and of money reach for; infinite without any."""
    budget = make_budget(params.teacher)
    calls = math.inf if budget.max_calls is None else budget.max_calls
    cost = budget.prices.cost(*teacher.expected_tokens(example))
    if budget.max_cost_usd is not None and cost:
        calls = min(calls, budget.max_cost_usd // cost)
    return calls


def main() -> None:
    """Read, hold the tournaments of both splits, write."""
    params = _limit_calls(resolve_recipe(load_params()))
    with stage_lock("tournaments"):
        personas = read_rows(PERSONAS_FILE, PERSONAS)
        products = read_rows(PRODUCTS_FILE, PRODUCTS)
        everybody = all_judges(params, personas, products)
        shown = [product for product in products if product["split"] in SPLITS]
        teacher = make_teacher(params, everybody.everybody, shown)
        some = tuple(product["product_id"] for product in shown[: params.tournaments.group_size])
        asked = everybody.everybody
        example = Request(asked[0]["persona_id"], some) if asked else Request("", ())
        calls = _afforded_calls(params, teacher, example)
        judges = afforded_judges(params, everybody, shown, calls)
        say(f"tournaments: {describe(judges, everybody)}")
        rows: list[TournamentRow] = []
        with open_asker(params, teacher, Purpose("tournaments"), judges.calls) as asker:
            say(f"tournaments: {asker.forecast_alike(example, judges.calls)}")
            for split in SPLITS:
                rows += hold_tournaments(params, asker, judges.personas[split], products, split)
            before = asker.budget.spent.calls
            groups = rank_groups(params, teacher, asker, rows, products)
            more = asker.budget.spent.calls - before
        write_rows(TOURNAMENTS_FILE, rows, TOURNAMENTS)
        write_rows(HELD_OUT_GROUPS_FILE, groups, RANKINGS)
        taken = sum(row["calls"] for row in rows)
        say(f"winners for {len(rows)} personas, in {taken:,} calls of the {teacher.name} teacher")
        ranked = sum(bool(group["ranking"]) for group in groups)
        say(f"{ranked} of {len(groups)} held-out groups ranked, in {more:,} more calls")


if __name__ == "__main__":
    run_stage(main)
