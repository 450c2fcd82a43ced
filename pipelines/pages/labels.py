"""The page of the gate on labels: `reports/labels/<cycle>/index.html`."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from pipelines.pages.gates import gate_facts
from pipelines.pages.pictures import Shown, show
from pipelines.pages.render import render
from pipelines.run.paths import PRODUCTS_FILE
from validation.gate import Judged
from validation.labels import Evidence

EXAMPLES = 6

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Placed:
    """A product of an example group."""

    shown: Shown
    presented: int  # its place on the teacher's page, 1 = first; 0: it was not there


@dataclass(frozen=True)
class Example:
    """A group as a person would judge it: the wish, and the pictures in the teacher's order."""

    group_id: str
    text: str  # the persona's
    has_label: bool  # else the pictures stand as presented
    products: Sequence[Placed]


def pick_groups(rankings: Rows, count: int, seed: int) -> list[Any]:
    """One row at random from each of `count` equal parts of the table, in the table's order."""
    rng = random.Random(seed)  # noqa: S311 - picks examples, guards nothing
    parts = min(count, len(rankings))
    edges = [len(rankings) * part // parts for part in range(parts + 1)] if parts else []
    return [rankings[rng.randrange(start, end)] for start, end in pairwise(edges)]


def read_examples(rankings: Rows, personas: Rows, products: Rows, seed: int) -> list[Example]:
    """Groups to show, spread over the table."""
    texts = {row["persona_id"]: row["text"] for row in personas}
    known = {row["product_id"]: row for row in products}
    return [
        Example(
            group_id=row["group_id"],
            text=texts.get(row["persona_id"], row["persona_id"]),
            has_label=bool(row["ranking"]),
            products=[
                _place(product, row, known) for product in row["ranking"] or row["presented"]
            ],
        )
        for row in pick_groups(rankings, EXAMPLES, seed)
    ]


def _place(product: str, row: Mapping[str, Any], known: Mapping[str, Any]) -> Placed:
    shown = Shown(product, product, None)
    if product in known:
        shown = show(known[product], PRODUCTS_FILE.parent)
    presented = list(row["presented"])
    return Placed(shown, presented.index(product) + 1 if product in presented else 0)


def labels_page(cycle: str, judged: Judged, evidence: Evidence, examples: Sequence[Example]) -> str:
    """The page as HTML."""
    teachers = sorted(set(evidence.rankings["teacher"].dropna()))
    facts = {
        "cycle": cycle,
        "ledger": evidence.ledger,
        "teachers": teachers,
        "simulated": teachers == ["simulated"],
        "examples": examples,
    }
    return render("labels.html", {**gate_facts(judged), **facts})
