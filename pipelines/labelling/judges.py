"""Whom tournaments are held for, what that takes, and how sure the student's gain will be.

A budget is spent on as many personas as it affords: a quarter of the calls on the validation
personas, who choose the cycle, the rest on the test personas, who measure it; what one of the two
cannot use goes to the other. Where not all are afforded, or allowed, half of them are to have
wishes that no training persona has, and those are asked who wish for different things first (by
interest or situation, where facets name one), in an order that a larger budget only goes on with.
"""

import math
from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass

import numpy as np

from pipelines.labelling.knockout import group_sizes
from pipelines.run.params import Params
from pipelines.run.stage import derive_seed
from retrieval.resampling import FEWEST
from retrieval.slices import UNSEEN, novelty_of, trained_wishes, unit_name
from retrieval.storage.schema import PersonaRow, ProductRow

Personas = Sequence[PersonaRow]

SPLITS = ("val", "test")
RESERVE = 0.05  # of the calls: for replies that are asked for again
VALIDATION_SHARE = 0.25  # of the calls, at most, where there are not enough for all
# How often a match is asked in both orders, on average; in groups, before and in the last two
# rounds. Measured with the simulated teacher: 2 % off for groups of 5 to 12, 30 to 500 products.
ASKINGS, ASKINGS_AT_LAST, ASKINGS_OF_PAIRS = 1.28, 2.53, 1.55
# Standard deviations of the gain, in points: between kinds of wishes, and of a kind's personas.
# Measured: 6 to 12 and 19 to 21 on the studio, 13 to 25 and 25 to 31 on photos of clothes.
BETWEEN, WITHIN = 15.0, 25.0


@dataclass(frozen=True)
class Judges:
    """Who judges, split by split, in the order in which they are asked."""

    personas: dict[str, list[PersonaRow]]
    calls: int
    """That they will take, about; those for held-out groups are among them."""
    trained: frozenset[str]
    """Wishes of the training personas."""

    @property
    def everybody(self) -> list[PersonaRow]:
        """Of both splits."""
        return [persona for split in SPLITS for persona in self.personas[split]]


def all_judges(params: Params, personas: Personas, products: Sequence[ProductRow]) -> Judges:
    """As many as `tournaments.max_val_personas` and `max_test_personas` allow."""
    limits = params.tournaments
    most = {"val": limits.max_val_personas, "test": limits.max_test_personas}
    trained = trained_wishes(personas)
    found = {}
    for split in SPLITS:
        here = [persona for persona in personas if persona["split"] == split]
        found[split] = _first(here, most[split], trained, params.seed)
    prices = _prices(params, products)
    calls = round(sum(prices[split] * len(found[split]) for split in SPLITS))
    return Judges(found, calls, trained)


def afforded_judges(
    params: Params, judges: Judges, products: Sequence[ProductRow], max_calls: float
) -> Judges:
    """As many of them as the calls afford; all, in their order, where these are enough.

    Raises:
        SystemExit: They do not afford one persona of each split.
    """
    if judges.calls <= (1 - RESERVE) * max_calls:
        return judges
    prices = _prices(params, products)
    least = math.ceil(sum(prices.values()) / (1 - RESERVE))
    if least > max_calls:
        msg = (
            f"got {max_calls:,.0f} calls for tournaments, expected {least:,} at least, for one"
            " validation persona and one test persona: raise tournaments.max_calls, or"
            " teacher.max_calls or teacher.max_cost_usd, whichever is less"
        )
        raise SystemExit(msg)
    val, test = prices["val"], prices["test"]
    spent = (1 - RESERVE) * max_calls
    first = min(max(1, int(VALIDATION_SHARE * spent / val)), len(judges.personas["val"]))
    tests = min(max(1, int((spent - first * val) / test)), len(judges.personas["test"]))
    counts = {"val": int((spent - tests * test) / val), "test": tests}
    chosen = {
        split: _first(judges.personas[split], counts[split], judges.trained, params.seed)
        for split in SPLITS
    }
    calls = round(sum(prices[split] * len(chosen[split]) for split in SPLITS))
    return Judges(chosen, calls, judges.trained)


def describe(judges: Judges, everybody: Judges) -> str:
    """Who judges, and how sure that will make the gain."""
    counts = ", ".join(
        f"{len(judges.personas[split]):,} of {len(everybody.personas[split]):,} {split} personas"
        for split in SPLITS
    )
    more = "" if judges == everybody else f" (all would take {everybody.calls:,} calls)"
    return f"{counts}{more}; {_say_interval(judges.personas['test'])}"


def expected_half_width(kinds: int, personas: int) -> float:
    """Of the gain's 95 % interval, in points of mean percentile.

    1.96 sqrt(BETWEEN^2 / kinds + WITHIN^2 / personas): what the two-stage bootstrap over kinds of
    wishes gives (docs/evaluation.md), personas being spread evenly over the kinds.
    """
    return 1.96 * math.sqrt(BETWEEN**2 / kinds + WITHIN**2 / personas)


def _say_interval(personas: Personas) -> str:
    wishes = {_wish(persona) for persona in personas}
    kinds = len(wishes - {""}) + sum(not _wish(persona) for persona in personas)
    unknown = " (more where wishes are alike: no facets say so)" if "" in wishes else ""
    if kinds < FEWEST:
        return f"too few for an interval of the gain: {kinds} kinds of wishes, it takes {FEWEST}"
    width = expected_half_width(kinds, len(personas))
    return (
        f"the gain's 95 % interval will be about ±{width:.0f} points{unknown}:"
        f" 1.96 √({BETWEEN:.0f}² / {kinds} kinds of wishes + {WITHIN:.0f}² / {len(personas)})"
    )


def _prices(params: Params, products: Sequence[ProductRow]) -> dict[str, float]:
    """Calls that a persona of each split takes, about."""
    settings = params.tournaments
    prices = {}
    for split in SPLITS:
        entrants = sum(product["split"] == split for product in products)
        calls = settings.repeats * tournament_calls(entrants, settings.group_size)
        prices[split] = max(calls + settings.held_out_groups * (split == "test"), 1.0)
    return prices


def tournament_calls(entrants: int, size: int) -> float:
    """That one tournament takes, about."""
    calls, left = 0.0, entrants
    while left > 1:
        groups = group_sizes(left, size)
        askings = ASKINGS_AT_LAST if left <= size**2 else ASKINGS
        matches = sum(group > 1 for group in groups)
        calls += 2 * matches * (ASKINGS_OF_PAIRS if size == 2 else askings)
        left = len(groups)
    return calls


def _first(personas: Personas, count: int, trained: Set[str], seed: int) -> list[PersonaRow]:
    """So many of them, half with wishes of no training persona; all of them in their order."""
    if count >= len(personas):
        return list(personas)
    new: list[PersonaRow] = []
    known: list[PersonaRow] = []
    for persona in _spread(personas, seed):
        is_new = novelty_of(persona["facets"], trained) == UNSEEN
        (new if is_new else known).append(persona)
    share = min(len(new), max(count // 2, count - len(known)))
    return new[:share] + known[: count - share]


def _spread(personas: Personas, seed: int) -> list[PersonaRow]:
    """At random, but so that the first ones wish for as many different things as can be."""
    order = np.random.default_rng(derive_seed(seed, "tournaments", "order")).permutation(
        len(personas)
    )
    shuffled = [personas[place] for place in order]
    seen = Counter[str]()
    rounds = []
    for persona in shuffled:
        wish = _wish(persona)
        rounds.append(seen[wish] if wish else 0)
        seen[wish] += 1
    return [shuffled[place] for place in np.argsort(rounds, kind="stable")]


def _wish(persona: PersonaRow) -> str:
    """The interest or the situation that the facets name; "" where they name none."""
    return persona["facets"].get(unit_name(persona["facets"]), "")
