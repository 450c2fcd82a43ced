"""Explains what one model version finds; services/search/explanation.py has the arithmetic.

V variants of a query, H hits, W training wishes, D embedding width.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from services.search.explanation import (
    Variant,
    Why,
    mean_directions,
    nearest_wishes,
    shares,
    variants,
)
from services.search.queries import Model, Query

if TYPE_CHECKING:
    from registry.wishes import Wish
    from services.search.engine import Engine


class Explainer:
    """Says why products were found. What it reads of the bundle stays in memory."""

    def __init__(self, engine: "Engine") -> None:
        """Read nothing yet."""
        self._engine = engine
        self._chosen: dict[Model, NDArray[np.float32]] = {}

    def explain(self, query: Query, query_D: NDArray[np.float32], hits: Sequence[str]) -> list[Why]:
        """Why each of the hits was found; one batch of texts, as many as the query has parts.

        Args:
            query: A text.
            query_D: Its unit vector: reading it took the search half of its time.
            hits: Ids of products of this version.
        """
        parts = variants(query.text, query.concepts)
        left_out = [replace(query, text=part.text, concepts=part.concepts) for part in parts]
        engine = self._engine
        encoded = engine.encode(left_out)
        parts_VD = np.stack(encoded) if encoded else np.empty((0, len(query_D)), dtype=np.float32)
        hits_HD = engine.catalogue(query.model).rows(hits)
        shares_HV = shares(query_D, parts_VD, hits_HD)
        chosen_WD = self._chosen_by(query.model)
        nearest = nearest_wishes(query_D, hits_HD, self._wishes_WD, chosen_WD)
        return [
            Why(
                words=_named(parts, shares_V, "word"),
                concepts=_named(parts, shares_V, "concept"),
                wishes=[(self._wishes[row].text, similarity) for row, similarity in found],
            )
            for shares_V, found in zip(shares_HV.tolist(), nearest, strict=True)
        ]

    @cached_property
    def _wishes(self) -> "list[Wish]":
        return self._engine.bundle.read_wishes()

    @cached_property
    def _wishes_WD(self) -> NDArray[np.float32]:
        """Of their texts; no rows for a version that does not bring its wishes."""
        found = self._engine.bundle.read_text_vectors("wishes")
        if found is None:
            width = self._engine.catalogue("champion").vectors_ND.shape[1]
            return np.empty((0, width), dtype=np.float32)
        return found.rows([wish.persona_id for wish in self._wishes])

    def _chosen_by(self, model: Model) -> NDArray[np.float32]:
        """Where the wishes' choices lie, (W, D)."""
        if model not in self._chosen:
            catalogue, known = self._engine.catalogue(model), self._engine.products
            groups = [
                catalogue.rows([id_ for id_ in wish.chosen if id_ in known])
                for wish in self._wishes
            ]
            self._chosen[model] = mean_directions(groups, catalogue.vectors_ND.shape[1])
        return self._chosen[model]


def _named(
    parts: Sequence[Variant], shares_V: Sequence[float], kind: Literal["word", "concept"]
) -> list[tuple[str, float]]:
    return [
        (part.name, share) for part, share in zip(parts, shares_V, strict=True) if part.kind == kind
    ]
