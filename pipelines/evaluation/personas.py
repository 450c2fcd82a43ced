"""Persona search, measured: how high each model ranks what the teacher chose.

Q personas, C products, D embedding width.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.evaluation.groups import taus
from pipelines.evaluation.statistics import (
    Resampling,
    count_clusters,
    gap_closed,
    interval_of,
    mean_of,
    p_value_of,
)
from pipelines.held_out.winners import HeldOut
from pipelines.run.paths import BASE
from pipelines.run.stage import derive_seed
from retrieval.metrics import graded_ndcg, percentile, rank_of, rank_within, recall_at
from retrieval.minilm import load_minilm
from retrieval.slices import unit_of
from retrieval.storage.schema import ProductRow, QueryRow
from retrieval.wants import admitted, utilities

Floats = NDArray[np.floating]
Reader = Callable[[list[str]], Floats]
Rows = Sequence[QueryRow]
Number = Literal["rank", "percentile", "within_kind_percentile", "ndcg@10", "tau"]

CUT = 10  # of recall and nDCG
SHOWN = 5  # first products of a ranking that a row names


def read_listings(products: Sequence[ProductRow]) -> Reader:
    """The sentence encoder on titles and captions: texts -> scores (Q, C). No picture is seen."""
    sentences = load_minilm()
    listings = [f"{product['title']}. {product['caption']}" for product in products]
    listings_CD = sentences(listings)
    return lambda texts: sentences(texts) @ listings_CD.T


def persona_scores(held_out: HeldOut, text: Reader, seed: int) -> dict[str, Floats]:
    """Scores (Q, C) of every model; `random` and `ceiling` ignore the text: one wording.

    `ceiling` only where the truth is known. `text` is from `read_listings`.
    """
    scores: dict[str, Floats] = {
        "base": held_out.scores(BASE),
        "text": text(held_out.texts),
        "student": held_out.scores("student"),
    }
    if held_out.wording != "original":
        return scores
    truth = truth_scores(held_out)
    more = {} if truth is None else {"ceiling": truth}
    return {"random": random_scores(held_out, seed), **scores, **more}


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


def teacher_gains(held_out: HeldOut) -> Floats:
    """What finding a product is worth (Q, C): 10 for the winner, 9 for the next finalist, ... 1.

    The same for every teacher: as many finalists count as nDCG@10 has ranks.
    """
    gains_QC = np.zeros((len(held_out.personas), len(held_out.products)))
    for row, finalists in enumerate(held_out.finalists_Q):
        best = finalists[:CUT]
        gains_QC[row, best] = CUT - np.arange(len(best))
    return gains_QC


def query_rows(held_out: HeldOut, model: str, scores_QC: Floats) -> list[QueryRow]:
    """One row of the queries table a persona."""
    attributes = [product["attributes"] for product in held_out.products]
    admitted_QC = np.stack([admitted(row["wants"], attributes) for row in held_out.personas])
    ranks_Q = rank_of(scores_QC, held_out.winner_Q)
    percentiles_Q = percentile(ranks_Q, len(attributes))
    within_Q = percentile(*rank_within(scores_QC, held_out.winner_Q, admitted_QC))
    ndcg_Q = graded_ndcg(scores_QC, teacher_gains(held_out), CUT)
    tau_Q = taus(held_out.groups_Q, scores_QC)
    ids = held_out.product_ids
    top_QK = np.argsort(-scores_QC, axis=1, kind="stable")[:, :SHOWN]
    return [
        {
            "persona_id": persona["persona_id"],
            "wording": held_out.wording,
            "model": model,
            "winner": ids[held_out.winner_Q[row]],
            "rank": float(ranks_Q[row]),
            "candidates": len(ids),
            "percentile": float(percentiles_Q[row]),
            "within_kind_percentile": float(within_Q[row]),
            "ndcg@10": float(ndcg_Q[row]),
            "tau": float(tau_Q[row]),
            "slices": dict(held_out.slices_Q[row]) if held_out.slices_Q else {},
            "top": [ids[column] for column in top_QK[row]],
        }
        for row, persona in enumerate(held_out.personas)
    ]


def summarise(rows: Rows, resampling: Resampling) -> dict[str, Any]:
    """The metrics of one model from its rows; null where nothing is known."""
    percentiles, ranks = column(rows, "percentile"), column(rows, "rank")
    known = percentiles[~np.isnan(percentiles)]
    return {
        "mean_percentile": mean_of(percentiles),
        "ci95": interval_of(percentiles, units(rows), resampling),
        "median_percentile": float(np.median(known)) if len(known) else None,
        "within_kind_percentile": mean_of(column(rows, "within_kind_percentile")),
        "recall@1": recall_at(ranks, 1) if rows else None,
        "recall@10": recall_at(ranks, 10) if rows else None,
        "ndcg@10": mean_of(column(rows, "ndcg@10")),
        "tau": mean_of(column(rows, "tau")),
        "n": len(rows),
        "clusters": count_clusters(percentiles, units(rows)),
    }


def compare(
    rows: Mapping[str, Rows], paraphrased: Mapping[str, Rows], resampling: Resampling
) -> dict[str, Any]:
    """Student against base on the same personas, paired.

    Args:
        rows: Model -> rows of the queries table in the original wording, personas in one order.
        paraphrased: The same of the other wording.
        resampling: Of intervals and tests.
    """
    asked, asked_anew = units(rows["base"]), units(paraphrased["base"])
    within = _gains(rows, "within_kind_percentile")
    reworded = _gains(paraphrased, "percentile")
    gap: dict[str, Any] = {"share": None, "ci95": None}
    if "ceiling" in rows:
        models = ("base", "student", "ceiling")
        base, student, ceiling = (column(rows[model], "percentile") for model in models)
        gap = gap_closed(base, student, ceiling, asked, resampling)
    return {
        **compare_gain(rows, resampling),
        "within_kind_gain": mean_of(within),
        "within_kind_ci95": interval_of(within, asked, resampling),
        "ndcg@10_gain": mean_of(_gains(rows, "ndcg@10")),
        "tau_gain": mean_of(_gains(rows, "tau")),
        "gap_closed": gap["share"],
        "gap_closed_ci95": gap["ci95"],
        "paraphrased_gain": mean_of(reworded),
        "paraphrased_ci95": interval_of(reworded, asked_anew, resampling),
        "paraphrased_p_value": p_value_of(reworded, asked_anew, resampling),
    }


def compare_gain(rows: Mapping[str, Rows], resampling: Resampling) -> dict[str, Any]:
    """Student against base in the percentile alone, paired; `rows` as in `compare`."""
    gains, asked = _gains(rows, "percentile"), units(rows["base"])
    return {
        "n": len(gains),
        "clusters": count_clusters(gains, asked),
        "gain": mean_of(gains),
        "ci95": interval_of(gains, asked, resampling),
        "p_value": p_value_of(gains, asked, resampling),
    }


def units(rows: Rows) -> list[Hashable]:
    """The cluster of each row's persona: those of one interest gain and lose together."""
    return [unit_of(row["slices"]) or row["persona_id"] for row in rows]


def column(rows: Rows, name: Number) -> NDArray[np.float64]:
    """One number of each row."""
    return np.array([row[name] for row in rows], dtype=np.float64)


def _gains(rows: Mapping[str, Rows], name: Number) -> NDArray[np.float64]:
    return column(rows["student"], name) - column(rows["base"], name)
