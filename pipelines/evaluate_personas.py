"""Persona search, measured: how high each model ranks what the teacher chose.

Q personas, C products, D embedding width.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.held_out import HeldOut
from pipelines.stage import derive_seed
from retrieval.metrics import (
    bootstrap_interval,
    ndcg_at,
    percentile,
    rank_of,
    rank_within,
    recall_at,
)
from retrieval.wants import admitted, utilities

Floats = NDArray[np.floating]


def truth_scores(held_out: HeldOut) -> Floats | None:
    """The utilities (Q, C) that a simulated teacher knows; None where a persona wants nothing."""
    attributes = [product["attributes"] for product in held_out.products]
    if not all(persona["wants"] for persona in held_out.personas):
        return None
    return np.stack([utilities(persona["wants"], attributes) for persona in held_out.personas])


def random_scores(held_out: HeldOut, seed: int) -> Floats:
    """A random order for each persona (Q, C)."""
    rng = np.random.default_rng(derive_seed(seed, "evaluate", "random"))
    return rng.random((len(held_out.personas), len(held_out.products)))


def query_rows(held_out: HeldOut, model: str, scores_QC: Floats) -> list[dict[str, Any]]:
    """One row of the queries table a persona."""
    attributes = [product["attributes"] for product in held_out.products]
    admitted_QC = np.stack([admitted(row["wants"], attributes) for row in held_out.personas])
    ranks_Q = rank_of(scores_QC, held_out.winner_Q)
    percentiles_Q = percentile(ranks_Q, len(attributes))
    within_Q = percentile(*rank_within(scores_QC, held_out.winner_Q, admitted_QC))
    return [
        {
            "persona_id": persona["persona_id"],
            "wording": "original",
            "model": model,
            "winner": held_out.product_ids[held_out.winner_Q[row]],
            "rank": float(ranks_Q[row]),
            "candidates": len(attributes),
            "percentile": float(percentiles_Q[row]),
            "within_kind_percentile": float(within_Q[row]),
            "ndcg@10": float("nan"),
            "tau": float("nan"),
            "slices": {},
            "top": [],
        }
        for row, persona in enumerate(held_out.personas)
    ]


def summarise(rows: list[dict[str, Any]], samples: int, seed: int) -> dict[str, Any]:
    """The metrics of one model from its rows; `within_kind_percentile` is null without wants."""
    percentiles = np.array([row["percentile"] for row in rows])
    within = np.array([row["within_kind_percentile"] for row in rows])
    ranks = np.array([row["rank"] for row in rows])
    known = within[~np.isnan(within)]
    return {
        "mean_percentile": float(percentiles.mean()),
        "ci95": bootstrap_interval(percentiles, samples, seed),
        "median_percentile": float(np.median(percentiles)),
        "within_kind_percentile": float(known.mean()) if len(known) else None,
        "recall@1": recall_at(ranks, 1),
        "recall@10": recall_at(ranks, 10),
        "ndcg@10": ndcg_at(ranks, 10),
        "n": len(rows),
    }
