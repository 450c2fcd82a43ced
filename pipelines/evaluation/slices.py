"""Who gains and who does not: personas in slices, by who they are and by what they chose."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TypedDict

import numpy as np

from pipelines.evaluation.personas import units
from pipelines.evaluation.statistics import Resampling, count_clusters, interval_of, mean_of
from pipelines.held_out.winners import HeldOut
from retrieval.slices import (
    CLUSTERS,
    INTERESTS,
    PARTLY,
    PARTNER,
    SECOND_INTEREST,
    UNSEEN,
    named_wishes,
    novelty_of,
    trained_wishes,
    unit_name,
)
from retrieval.storage.schema import PersonaRow, ProductRow, QueryRow
from retrieval.wants import main_attribute

KINDS = "kinds"  # the slice that says whether distillation saw the winner's kind of product
BANDS = {1: ("low", "top"), 2: ("low", "middle", "top")}  # of price, by how many edges part them


class SliceNumbers(TypedDict):
    """What distillation changed for some of the personas; None where nothing can be said."""

    n: int
    clusters: int  # what is resampled: docs/evaluation.md
    base: float | None  # mean percentile
    student: float | None
    gain: float | None
    ci95: list[float] | None  # of the gain


Slices = dict[str, dict[str, SliceNumbers]]  # slice -> value -> numbers


def slice_personas(
    held_out: HeldOut, personas: Sequence[PersonaRow], products: Sequence[ProductRow]
) -> list[dict[str, str]]:
    """Slice -> value of each held-out persona (docs/evaluation.md); what is not known is left out.

    A persona with an unseen interest stands in the slices `interests` and `interest` alone (or,
    with a seen one beside it, in one that says so), so that no other slice mixes it in.

    Args:
        held_out: Whom to slice.
        personas: All personas: an interest of none that trains is unseen.
        products: All products: a kind of none that trains is unseen.
    """
    trained_on = trained_wishes(personas)
    kinds: dict[str, set[str]] = defaultdict(set)
    for product in products:
        if product["split"] == "train":
            for name, value in product["attributes"].items():
                kinds[name].add(value)
    edges = price_edges([product["price"] for product in held_out.products])
    slices = []
    for persona, column in zip(held_out.personas, held_out.winner_Q, strict=True):
        novelty = novelty_of(persona["facets"], trained_on)
        if novelty in (UNSEEN, PARTLY):
            new = next(wish for wish in named_wishes(persona["facets"]) if wish not in trained_on)
            name = PARTNER if novelty == PARTLY else unit_name(persona["facets"])
            slices.append({INTERESTS: novelty, name: new})
            continue
        winner = held_out.products[column]
        found = {
            **{name: value for name, value in persona["facets"].items() if name != SECOND_INTEREST},
            "category": winner["category"],
            "price": price_band(winner["price"], edges),
            "wants": _count_wants(persona["wants"]),
            KINDS: _seen_kind(persona["wants"], winner, kinds),
            INTERESTS: novelty,
        }
        slices.append({name: value for name, value in found.items() if value})
    return slices


def price_edges(prices: Iterable[float]) -> list[float]:
    """The prices' terciles, rounded to two digits; fewer where they fall together."""
    known = [price for price in prices if not np.isnan(price)]
    if len(set(known)) < 2:
        return []
    terciles = {float(f"{edge:.2g}") for edge in np.quantile(known, [1 / 3, 2 / 3])}
    return sorted(edge for edge in terciles if min(known) < edge <= max(known))


def price_band(price: float, edges: Sequence[float]) -> str:
    """Such as "low (below 20)"; "" where the price is unknown or there are no bands."""
    if not edges or np.isnan(price):
        return ""
    band = int(np.searchsorted(edges, price, side="right"))
    name = BANDS[len(edges)][band]
    if band == 0:
        return f"{name} (below {edges[0]:g})"
    if band == len(edges):
        return f"{name} ({edges[-1]:g} and more)"
    return f"{name} ({edges[0]:g} to below {edges[1]:g})"


def slice_metrics(
    base: Sequence[QueryRow],
    student: Sequence[QueryRow],
    kinds: Sequence[str],
    resampling: Resampling,
) -> Slices:
    """Both models' mean percentile in every slice, and the paired gain with its 95 % interval.

    What is resampled: in the slice `kinds` kinds of product, in one of a single interest its
    personas, in every other interests.

    Args:
        base: How the base model answered, a row a persona.
        student: The same personas, in the same order.
        kinds: The kind of product that each persona's teacher chose, "" where it is not known.
        resampling: Of the intervals.
    """
    members: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for number, row in enumerate(base):
        for name, value in row["slices"].items():
            members[name][value].append(number)
    percentiles = np.array(
        [[one["percentile"], other["percentile"]] for one, other in zip(base, student, strict=True)]
    )
    alone = [row["persona_id"] for row in base]
    by_kind = [kind or persona for kind, persona in zip(kinds, alone, strict=True)]
    clusters = {KINDS: by_kind, **dict.fromkeys(CLUSTERS, alone)}
    by_interest = units(base)
    found: Slices = {}
    for name, values in members.items():
        unit = clusters.get(name, by_interest)
        found[name] = {
            value: _numbers(percentiles[rows], [unit[row] for row in rows], resampling)
            for value, rows in sorted(values.items())
        }
    return found


def chosen_kinds(held_out: HeldOut) -> list[str]:
    """The winner's value of the attribute that matters most to each persona; "" without wants."""
    winners = [held_out.products[column]["attributes"] for column in held_out.winner_Q]
    mains = [main_attribute(persona["wants"]) or "" for persona in held_out.personas]
    return [winner.get(main, "") for winner, main in zip(winners, mains, strict=True)]


def _numbers(
    percentiles_N2: np.ndarray, unit: Sequence[Hashable], resampling: Resampling
) -> SliceNumbers:
    gains = percentiles_N2[:, 1] - percentiles_N2[:, 0]
    return {
        "n": len(percentiles_N2),
        "clusters": count_clusters(gains, unit),
        "base": mean_of(percentiles_N2[:, 0]),
        "student": mean_of(percentiles_N2[:, 1]),
        "gain": mean_of(gains),
        "ci95": interval_of(gains, unit, resampling),
    }


def _count_wants(wants: Mapping[str, float]) -> str:
    """Whether one attribute is wanted, or several at once."""
    names = {want.partition("=")[0] for want in wants}
    return "combined" if len(names) > 1 else "single" if names else ""


def _seen_kind(
    wants: Mapping[str, float], winner: ProductRow, kinds: Mapping[str, set[str]]
) -> str:
    """Whether training products have the winner's value of the attribute that matters most."""
    main = main_attribute(wants) or ""
    value = winner["attributes"].get(main)
    if value is None:
        return ""
    return "seen" if value in kinds.get(main, ()) else "unseen"
