"""What was added, removed and changed between two tables, or two sets of named values."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from registry.bundle import HeldOutQuery, Product
from registry.wishes import Wish

Values = Mapping[str, Any]
Pairs = dict[str, tuple[Any, Any]]  # name -> before, after; None: there is none


@dataclass(frozen=True)
class TableDifference:
    """How the rows of one table differ from those of another, by id."""

    before: int  # rows
    after: int
    added: tuple[str, ...]  # ids
    removed: tuple[str, ...]
    changed: dict[str, Pairs]  # id -> what of it

    @property
    def is_empty(self) -> bool:
        """Whether both tables say the same."""
        return not (self.added or self.removed or self.changed)

    @property
    def is_disjoint(self) -> bool:
        """Whether no row is in both."""
        return len(self.removed) == self.before

    def changes(self) -> dict[str, int]:
        """In how many rows each column changed, the most first; an attribute counts as such."""
        columns = (
            column
            for pairs in self.changed.values()
            for column in {name.partition(".")[0] for name in pairs}
        )
        return dict(Counter(columns).most_common())


def compare_tables(before: Mapping[str, Values], after: Mapping[str, Values]) -> TableDifference:
    """Compare rows by id."""
    pairs = {id_: compare_values(before[id_], after[id_]) for id_ in after if id_ in before}
    return TableDifference(
        before=len(before),
        after=len(after),
        added=tuple(id_ for id_ in after if id_ not in before),
        removed=tuple(id_ for id_ in before if id_ not in after),
        changed={id_: changed for id_, changed in pairs.items() if changed},
    )


def compare_values(before: Values, after: Values) -> Pairs:
    """The names whose values differ, in order."""
    names = sorted(before.keys() | after.keys())
    return {
        name: (before.get(name), after.get(name))
        for name in names
        if before.get(name) != after.get(name)
    }


def product_values(products: Iterable[Product]) -> dict[str, Values]:
    """What is said of each product, and the digest of its picture."""
    return {
        one.product_id: {
            "title": one.title,
            "caption": one.caption,
            "category": one.category,
            "price": None if math.isnan(one.price) else one.price,
            "picture": one.image_sha256,
            "split": one.split,
            **{f"attributes.{name}": value for name, value in one.attributes.items()},
        }
        for one in products
    }


def query_values(queries: Iterable[HeldOutQuery]) -> dict[str, Values]:
    """What each held-out persona asks, wants and chose."""
    return {
        one.persona_id: {"text": one.text, "winner": one.winner, "wants": dict(one.wants)}
        for one in queries
    }


def wish_values(wishes: Iterable[Wish]) -> dict[str, Values]:
    """What each training persona asks, and what its labels chose."""
    return {one.persona_id: {"text": one.text, "chosen": list(one.chosen)} for one in wishes}
