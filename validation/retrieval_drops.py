"""Did a model get worse than another on the same queries? The rule of the gate and of promotion.

A drop fails where it is larger than its limit *and* the interval of the paired differences excludes
zero: a limit alone lets chance block an equal model, an interval alone blocks for nothing that
anyone would notice. It is a paired t-interval of the differences candidate - reference by clusters:
personas of one interest gain and lose together, so their number of interests counts, not theirs
(`mean_interval`). Checks that are made together share their chance of an error (Bonferroni):
each of k has the level 1 - (1 - confidence) / k, so that among them all an equally good model is
blocked with a chance of (1 - confidence) / 2 at most. At a slice's size, and at levels this high,
a percentile bootstrap is too narrow: of models equally good it blocked several times as many.

Q queries.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.resampling import mean_interval
from retrieval.slices import unit_of


@dataclass(frozen=True)
class Pair:
    """One metric of two models on the same queries: (Q,) each, in [0, 1]; NaN where undefined."""

    what: str  # "mean percentile", "interest=gardening"
    candidate_Q: NDArray[np.float64]
    reference_Q: NDArray[np.float64]
    limit: float  # a drop of the means up to this is let through; infinite: none fails
    units_Q: Sequence[Hashable] | None = None  # the cluster of each query; None: each alone

    @property
    def units(self) -> Sequence[Hashable]:
        """The cluster of each query."""
        return range(len(self.candidate_Q)) if self.units_Q is None else self.units_Q


@dataclass(frozen=True)
class Drop:
    """What a pair came to."""

    what: str
    queries: int
    candidate: float  # means
    reference: float
    low: float  # the interval of candidate - reference
    high: float
    limit: float
    clusters: int  # of the queries

    @property
    def difference(self) -> float:
        """Of the means, candidate - reference."""
        return round(self.candidate - self.reference, 12)  # 0.95 - 1 must not miss a limit of 0.05

    @property
    def is_worse(self) -> bool:
        """Whether it fails; a number that is NaN fails too."""
        return not (self.difference >= -self.limit or self.high >= 0)

    def summary(self) -> str:
        """For people, in percent and points."""
        grouped = f" in {self.clusters} clusters" if 1 < self.clusters < self.queries else ""
        return (
            f"{self.what}: {100 * self.candidate:.1f} % against {100 * self.reference:.1f} %"
            f" (difference {100 * self.low:+.1f} to {100 * self.high:+.1f} points, n ="
            f" {self.queries}{grouped}, limit {100 * self.limit:g})"
        )


@dataclass(frozen=True)
class SliceDrop:
    """A slice against another model, and against the floor that every slice must reach."""

    drop: Drop
    high: float  # the upper end of the interval of the candidate's own mean
    floor: float

    @property
    def is_below_floor(self) -> bool:
        """By more than chance explains; a number that is NaN is."""
        return not self.high >= self.floor


def judge(
    pairs: Sequence[Pair], confidence: float, min_queries: int = 2
) -> tuple[list[Drop], list[str]]:
    """Compare pairs that are judged together, in their order.

    Args:
        pairs: The family of checks.
        confidence: Of all intervals together.
        min_queries: A pair with fewer queries, those without a value on both sides left out, is
            not judged.

    Returns:
        The drops, and the names of the pairs that were too small to judge.
    """
    defined = [(pair, ~(np.isnan(pair.candidate_Q) & np.isnan(pair.reference_Q))) for pair in pairs]
    judged = [(pair, known) for pair, known in defined if known.sum() >= max(min_queries, 2)]
    small = [f"{p.what} ({int(k.sum())})" for p, k in defined if k.sum() < max(min_queries, 2)]
    level = _level(confidence, len(judged))
    drops = [_drop(pair, known, level) for pair, known in judged]
    return drops, small


def judge_slices(
    pairs: Sequence[Pair], confidence: float, min_queries: int, floor: float
) -> tuple[list[SliceDrop], list[str]]:
    """As `judge`, the largest drop first, each slice also against the floor."""
    drops, small = judge(pairs, confidence, min_queries)
    named = {pair.what: pair for pair in pairs}
    level = _level(confidence, len(drops))
    judged = []
    for drop in largest_first(drops):
        pair = named[drop.what]
        _, high = mean_interval(pair.candidate_Q, pair.units, level)
        judged.append(SliceDrop(drop, high, floor))
    return judged, small


def largest_first(drops: Sequence[Drop]) -> list[Drop]:
    """A reason names the first few that fail."""
    return sorted(drops, key=lambda drop: drop.difference)


def slice_pairs(
    slices_Q: Sequence[Mapping[str, str]],
    candidate_Q: NDArray[np.float64],
    reference_Q: NDArray[np.float64],
    limit: float,
) -> list[Pair]:
    """One pair a value of each slice, "interest=gardening", in the names' order."""
    members: dict[str, list[int]] = {}
    for row, slices in enumerate(slices_Q):
        for name, value in slices.items():
            members.setdefault(f"{name}={value}", []).append(row)
    units_Q = persona_units(slices_Q)
    return [
        Pair(name, candidate_Q[rows], reference_Q[rows], limit, [units_Q[row] for row in rows])
        for name, rows in sorted(members.items())
    ]


def persona_units(slices_Q: Sequence[Mapping[str, str]]) -> list[Hashable]:
    """The cluster of each persona: its interest; alone where nothing is known."""
    return [unit_of(slices) or number for number, slices in enumerate(slices_Q)]


def _level(confidence: float, checks: int) -> float:
    """Of each of some checks that share the chance of an error."""
    return 1 - (1 - confidence) / max(checks, 1)


def _drop(pair: Pair, known_Q: NDArray[np.bool_], level: float) -> Drop:
    candidate_Q, reference_Q = pair.candidate_Q[known_Q], pair.reference_Q[known_Q]
    units_Q = [pair.units[row] for row in np.flatnonzero(known_Q).tolist()]
    low, high = mean_interval(candidate_Q - reference_Q, units_Q, level)
    return Drop(
        what=pair.what,
        queries=len(candidate_Q),
        candidate=float(candidate_Q.mean()),
        reference=float(reference_Q.mean()),
        low=low,
        high=high,
        limit=pair.limit,
        clusters=len(set(units_Q)),
    )
