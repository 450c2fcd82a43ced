"""The interests of the studio's personas: what people love, and which products please them."""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Final

import yaml

TABLE: Final = Path(__file__).with_name("interests.yaml")
PARAPHRASES: Final = Path(__file__).with_name("paraphrases.yaml")
BABY: Final = "baby"
GROWN: Final = ("young", "adult", "senior")
AGES: Final = (BABY, "child", *GROWN)


@dataclass(frozen=True)
class Interest:
    """What somebody is like: how one says it, whom it fits, and the kinds that they want.

    `does` completes "she ...", `loves` completes "she loves ..."; both hold the placeholders that
    the head of the table describes.
    """

    name: str
    ages: tuple[str, ...]
    kinds: dict[str, float]
    does: tuple[str, ...]
    loves: tuple[str, ...]


@cache
def all_interests() -> tuple[Interest, ...]:
    """The table of interests, in its order."""
    rows = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    return tuple(
        Interest(
            name=row["name"],
            ages=tuple(row.get("ages", AGES[1:])),
            kinds={kind: float(weight) for kind, weight in row["kinds"].items()},
            does=tuple(row["does"]),
            loves=tuple(row["loves"]),
        )
        for row in rows
    )


@cache
def interests_of(age: str) -> tuple[Interest, ...]:
    """The interests that fit somebody of that age."""
    return tuple(interest for interest in all_interests() if age in interest.ages)


@cache
def paraphrased(name: str) -> Interest:
    """The interest of that name in words whose stems no phrase of any interest uses."""
    rows = yaml.safe_load(PARAPHRASES.read_text(encoding="utf-8"))
    row = next(row for row in rows if row["name"] == name)
    known = next(interest for interest in all_interests() if interest.name == name)
    return replace(known, does=tuple(row["does"]), loves=tuple(row["loves"]))
