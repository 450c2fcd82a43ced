"""The personas that the student serves worst, with pictures: what was wanted, and what came."""

from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.pages.pictures import Shown, show
from pipelines.run.paths import PERSONAS_FILE, PRODUCTS_FILE, WORST_FILE
from retrieval.storage.files import read_json
from retrieval.storage.schema import PERSONAS, PRODUCTS, read_rows


@dataclass(frozen=True)
class Worst:
    """A persona, the teacher's choice and the student's first products."""

    text: str
    percentile: float
    base_percentile: float
    rank: int  # of the teacher's choice in the student's ranking, 1 = first
    wants: tuple[tuple[str, float], ...]  # the truth behind the text, heaviest first; may be empty
    wanted: Shown
    came: tuple[Shown, ...]


def read_worst(candidates: int) -> list[Worst]:
    """The personas of `reports/worst.json`, in its order; none without the file.

    Args:
        candidates: How many products were ranked.
    """
    if not WORST_FILE.is_file():
        return []
    catalogue = PRODUCTS_FILE.parent
    products = {row["product_id"]: row for row in read_rows(PRODUCTS_FILE, PRODUCTS)}
    wants = {row["persona_id"]: row["wants"] for row in read_rows(PERSONAS_FILE, PERSONAS)}
    return [
        Worst(
            text=row["text"],
            percentile=row["percentile"],
            base_percentile=row["base_percentile"],
            rank=round(candidates - row["percentile"] * (candidates - 1)),
            wants=_heaviest(wants.get(row["persona_id"], {})),
            wanted=show(products[row["winner"]], catalogue),
            came=tuple(show(products[product], catalogue) for product in row["top"]),
        )
        for row in read_json(WORST_FILE)
    ]


def _heaviest(wants: Mapping[str, float]) -> tuple[tuple[str, float], ...]:
    values = [(want.partition("=")[2], weight) for want, weight in wants.items()]
    return tuple(sorted(values, key=lambda each: -each[1]))
