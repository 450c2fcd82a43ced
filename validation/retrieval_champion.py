"""Candidate against champion, query by query: what was measured, and what got worse.

Q queries, P products.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.slices import is_headline
from validation.limits import RegressionLimits
from validation.retrieval_drops import (
    Drop,
    Pair,
    judge,
    largest_first,
    persona_units,
    slice_pairs,
)

HEADLINE = {
    "percentile": "mean percentile",
    "within_kind_percentile": "percentile within the kind",
    "recall@10": "recall@10",
}
CAPTIONS = {"recall@1": "caption recall@1", "recall@10": "caption recall@10"}

ABOUT_CHAMPION = "champion"  # how the names of checks begin that are about the day's champion

# kind of a query about concepts -> what is compared
CONCEPTS = {
    "concept_only": "concept-only mAP",
    "context": "context mRR",
    "captions": "caption recall@10 with a concept on",
}

Columns = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Answers:
    """One model on the candidate's queries, a number in [0, 1] each."""

    personas: Columns  # of HEADLINE, (Q,) each
    captions: Columns  # of CAPTIONS, (P,) each


@dataclass(frozen=True)
class OnConcepts:
    """One metric of both models on the same queries about concepts, a number in [0, 1] each."""

    what: str  # of CONCEPTS
    candidate: NDArray[np.float64]
    reference: NDArray[np.float64]
    subjects: Sequence[str]  # of each query


@dataclass(frozen=True)
class Comparison:
    """Both models on the same queries."""

    version: int  # the champion's
    champion: str  # its digest
    slices_Q: Sequence[Mapping[str, str]]  # slice -> value, of each persona
    candidate: Answers
    reference: Answers  # the champion's
    concepts: Sequence[OnConcepts] = ()  # empty: not the same subjects, or none


@dataclass(frozen=True)
class Uncompared:
    """There is a champion, and it could not be compared with."""

    version: int
    champion: str
    fault: str


@dataclass(frozen=True)
class Regression:
    """What a comparison came to: one family of checks over all queries, one over slices."""

    overall: list[Drop]
    slices: list[Drop]
    small: list[str]  # slices of too few personas to judge

    @property
    def worse(self) -> list[Drop]:
        """What fails."""
        return [drop for drop in (*self.overall, *self.slices) if drop.is_worse]


def find_regression(comparison: Comparison, limits: RegressionLimits) -> Regression:
    """Judge a comparison."""
    ours, theirs = comparison.candidate, comparison.reference
    seen_Q = np.array([is_headline(slices) for slices in comparison.slices_Q], dtype=bool)
    units_Q = persona_units(
        [s for s, seen in zip(comparison.slices_Q, seen_Q, strict=True) if seen]
    )
    pairs = [
        Pair(
            name, ours.personas[key][seen_Q], theirs.personas[key][seen_Q], limits.max_drop, units_Q
        )
        for key, name in HEADLINE.items()
    ]
    pairs += [
        Pair(name, ours.captions[key], theirs.captions[key], limits.max_caption_drop)
        for key, name in CAPTIONS.items()
    ]
    pairs += [
        Pair(one.what, one.candidate, one.reference, limits.max_concept_drop, one.subjects)
        for one in comparison.concepts
    ]
    overall, _ = judge(pairs, limits.confidence)
    slices, small = judge(
        slice_pairs(
            comparison.slices_Q,
            ours.personas["percentile"],
            theirs.personas["percentile"],
            limits.max_slice_drop,
        ),
        limits.confidence,
        limits.min_slice_queries,
    )
    return Regression(overall, largest_first(slices), small)
