"""Two versions on the same queries: metric by metric and slice by slice, by the gate's own rule."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from registry.bundle import Bundle
from registry.comparison import Candidate, compare_with
from registry.verdicts import recorded_limits
from registry.versions import Version
from validation.retrieval_champion import Uncompared, find_regression
from validation.retrieval_drops import Drop


@dataclass(frozen=True)
class Shift:
    """One number of both versions, in [0, 1]."""

    what: str  # "mean percentile", "interest=gardening"
    queries: int
    clusters: int  # of the queries
    before: float
    after: float
    difference: float  # after - before
    low: float  # its interval
    high: float

    @property
    def is_sure(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Measured:
    """What came of it."""

    overall: Sequence[Shift] = ()
    slices: Sequence[Shift] = ()  # the largest drop first
    small: Sequence[str] = ()  # slices of too few queries
    confidence: float = 0.95  # of the intervals of a family together
    notes: Sequence[str] = ()  # what cannot be compared, or only so, in sentences


def measure(before: Version, first: Bundle, second: Bundle, asked: Candidate) -> Measured:
    """Let both answer the second version's queries about its held-out products.

    Args:
        before: The first version.
        first: Its bundle.
        second: The other one's.
        asked: The second bundle as the candidate.
    """
    found = compare_with(before, lambda: asked)
    if isinstance(found, Uncompared):
        return Measured(notes=[f"metrics and slices: {found.fault}"])
    limits = recorded_limits(second.verdicts)
    regression = find_regression(found, limits)
    return Measured(
        overall=[_shift(drop) for drop in regression.overall],
        slices=[_shift(drop) for drop in regression.slices],
        small=regression.small,
        confidence=limits.confidence,
        notes=_notes(first, second, asked, bool(found.concepts)),
    )


def _shift(drop: Drop) -> Shift:
    return Shift(
        what=drop.what,
        queries=drop.queries,
        clusters=drop.clusters,
        before=drop.reference,
        after=drop.candidate,
        difference=drop.difference,
        low=drop.low,
        high=drop.high,
    )


def _notes(first: Bundle, second: Bundle, asked: Candidate, concepts: bool) -> list[str]:
    notes = [*_seen_before(first, asked)]
    if not concepts and (second.read_concept_queries() or first.read_concept_queries()):
        notes.append(
            "concepts: both were not measured on the same subjects, and no version carries the"
            " photos to measure them again"
        )
    return notes


def _seen_before(first: Bundle, asked: Candidate) -> Iterator[str]:
    """What of the second version's questions is easier, or harder, for the first one."""
    known = {product.product_id: product for product in first.read_products()}
    same = [
        known[p.product_id]
        for p in asked.products
        if p.product_id in known and known[p.product_id].image_sha256 == p.image_sha256
    ]
    if strange := len(asked.products) - len(same):
        yield (
            f"{strange:,} of {len(asked.products):,} held-out products have another picture in the"
            " first version, or are not in it: what it has no vector of, its model was shown as a"
            " thumbnail"
        )
    if learned := sum(product.split == "train" for product in same):
        yield (
            f"{learned:,} of {len(asked.products):,} held-out products are among those that the"
            " first version was trained on: its numbers may be too good"
        )
    wishes = {wish.text for wish in first.read_wishes()}
    if learned := sum(query.text in wishes for query in asked.queries):
        yield (
            f"{learned:,} of {len(asked.queries):,} held-out queries are among the wishes that the"
            " first version was trained on: its numbers may be too good"
        )
