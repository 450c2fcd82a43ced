"""Stage `tournaments`: who wins for held-out personas among held-out products.

data/personas.parquet, data/catalog/ -> data/tournaments.parquet, data/held_out_groups.parquet

Validation personas judge validation products, test personas test products; the latter rank some
whole groups too (pipelines/labelling/held_out_groups.py), for Kendall's tau. Every reply is in the
journal, var/teacher/tournaments.jsonl, before it counts: a run that was killed, or that a budget
ended, asks only for what is missing.

Run:  dvc repro tournaments
Tiny: python -m pipelines.tournaments, after tournaments.max_test_personas: 5 in params.yaml
"""

from collections import Counter
from collections.abc import Sequence
from typing import TypedDict

import numpy as np

from pipelines.labelling.held_out_groups import rank_groups
from pipelines.labelling.knockout import Entry, Outcome, Rules, hold, matches_needed
from pipelines.labelling.teachers.asking import Asker, Forecast, Purpose, Ranker
from pipelines.labelling.teachers.factory import make_teacher, open_asker
from pipelines.labelling.teachers.protocol import Request
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

Personas = Sequence[PersonaRow]
Products = Sequence[ProductRow]

SPLITS = ("val", "test")
# How often a match is asked in both orders, on average (benchmarks/tournaments.py).
ASKINGS, ASKINGS_OF_PAIRS = 1.3, 1.5


def judges_of(params: Params, personas: Personas, split: str) -> list[PersonaRow]:
    """The personas of the split that tournaments are held for."""
    limits = params.tournaments
    most = {"val": limits.max_val_personas, "test": limits.max_test_personas}[split]
    return [persona for persona in personas if persona["split"] == split][:most]


def hold_tournaments(
    params: Params, ranker: Ranker, personas: Personas, products: Products, split: str
) -> list[TournamentRow]:
    """A persona's knockouts over all products of the split, for as many as the budget reaches.

    Raises:
        SystemExit: The split has no persona, or fewer than two products, or the budget ended before
            any persona's tournaments.
    """
    judges = judges_of(params, personas, split)
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
    tossed = 0
    for judge in judges:
        found = [next(outcomes) for _ in range(settings.repeats)]
        whole = [outcome for outcome in found if outcome is not None]
        if len(whole) < len(found):
            continue
        if any(outcome.undecided > sum(outcome.wins.values()) / 2 for outcome in whole):
            tossed += 1
            continue
        persona = judge["persona_id"]
        summary = sum_up(whole, derive_seed(params.seed, "winners", persona))
        rows.append({"persona_id": persona, "split": split, **summary, "teacher": ranker.name})
    _report_missing(split, len(judges), len(rows), tossed)
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


def _expected_calls(params: Params, judges: Personas, products: Products) -> int:
    """By what the simulated teacher needs."""
    settings = params.tournaments
    candidates = Counter(product["split"] for product in products)
    matches = sum(matches_needed(candidates[j["split"]], settings.group_size) for j in judges)
    askings = ASKINGS if settings.group_size > 2 else ASKINGS_OF_PAIRS
    groups = settings.held_out_groups * sum(1 for judge in judges if judge["split"] == "test")
    return round(2 * askings * settings.repeats * matches) + groups


def _forecast(params: Params, asker: Asker, judges: Personas, products: Products) -> Forecast:
    """What they take if the journal knows none of it yet."""
    shown = [product["product_id"] for product in products][: params.tournaments.group_size]
    example = Request(judges[0]["persona_id"], tuple(shown)) if judges else Request("", ())
    return asker.forecast_alike(example, _expected_calls(params, judges, products))


def _seed(params: Params, persona_id: str, number: int) -> int:
    """Of a persona's tournament; the first is the same whatever `repeats` is."""
    return derive_seed(params.seed, "tournaments", persona_id, *([str(number)] if number else []))


def _report_missing(split: str, judges: int, finished: int, tossed: int) -> None:
    """Say how many personas have no winner, and why.

    Raises:
        SystemExit: There is no winner at all.
    """
    unfinished = judges - finished - tossed
    if unfinished:
        say(
            f"tournaments {split}: the budget ended before {unfinished} of {judges} personas; raise"
            " teacher.max_calls or teacher.max_cost_usd and run again: only what is missing is"
            " asked for"
        )
    if tossed:
        say(
            f"tournaments {split}: {tossed} of {judges} personas have no winner: the teacher"
            " decided fewer than half of their matches, coins the others"
        )
    if not finished:
        msg = f"got no winner in split {split}, expected one persona's at least"
        raise SystemExit(msg)


def main() -> None:
    """Read, hold the tournaments of both splits, write."""
    params = resolve_recipe(load_params())
    with stage_lock("tournaments"):
        personas = read_rows(PERSONAS_FILE, PERSONAS)
        products = read_rows(PRODUCTS_FILE, PRODUCTS)
        judges = [judge for split in SPLITS for judge in judges_of(params, personas, split)]
        shown = [product for product in products if product["split"] in SPLITS]
        teacher = make_teacher(params, judges, shown)
        rows: list[TournamentRow] = []
        expected = _expected_calls(params, judges, shown)
        with open_asker(params, teacher, Purpose("tournaments"), expected) as asker:
            say(f"tournaments: {_forecast(params, asker, judges, shown)}")
            for split in SPLITS:
                rows += hold_tournaments(params, asker, personas, products, split)
            before = asker.budget.spent.calls
            groups = rank_groups(params, teacher, asker, rows, products)
            more = asker.budget.spent.calls - before
        write_rows(TOURNAMENTS_FILE, rows, TOURNAMENTS)
        write_rows(HELD_OUT_GROUPS_FILE, groups, RANKINGS)
        calls = sum(row["calls"] for row in rows)
        say(f"winners for {len(rows)} personas, in {calls:,} calls of the {teacher.name} teacher")
        ranked = sum(bool(group["ranking"]) for group in groups)
        say(f"{ranked} of {len(groups)} held-out groups ranked, in {more:,} more calls")


if __name__ == "__main__":
    run_stage(main)
