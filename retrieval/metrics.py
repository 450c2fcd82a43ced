"""Retrieval metrics. Q queries, C candidates; a higher score ranks first, rank 1 is best."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]


def rank_of(scores_QC: Floats, target_Q: NDArray[np.integer]) -> NDArray[np.float64]:
    """Rank of each query's target, in [1, C]; ties share their mean rank.

    Raises:
        ValueError: A score is NaN: it would count as ranked below the target.
    """
    _refuse_nan(scores_QC)
    target_scores_Q1 = np.take_along_axis(scores_QC, target_Q[:, None], axis=1)
    above_Q = (scores_QC > target_scores_Q1).sum(axis=1)
    ties_Q = (scores_QC == target_scores_Q1).sum(axis=1) - 1
    ranks_Q: NDArray[np.float64] = 1.0 + above_Q + ties_Q / 2
    return ranks_Q


def percentile(rank: Floats, candidates: int | NDArray[np.integer]) -> NDArray[np.float64]:
    """(N - r) / (N - 1): 1 for the first of N, 0 for the last (arXiv 2510.12014).

    NaN where there are fewer than two candidates.
    """
    others = np.asarray(candidates, dtype=np.float64) - 1
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(others > 0, (others + 1 - rank) / others, np.nan)


def rank_within(
    scores_QC: Floats, target_Q: NDArray[np.integer], admitted_QC: Bools
) -> tuple[NDArray[np.float64], NDArray[np.integer]]:
    """Rank of each target among the admitted candidates and itself, and how many those are."""
    pool_QC = admitted_QC.copy()
    np.put_along_axis(pool_QC, target_Q[:, None], values=True, axis=1)
    ranks_Q = rank_of(np.where(pool_QC, scores_QC, -np.inf), target_Q)
    return ranks_Q, pool_QC.sum(axis=1)


def first_hit_rank(scores_QC: Floats, hits_QC: Bools) -> NDArray[np.float64]:
    """Rank of the best-scored hit, against the candidates that are no hits.

    Raises:
        ValueError: A query has no hit, or a score is NaN.
    """
    _refuse_nan(scores_QC)
    if not hits_QC.any(axis=1).all():
        msg = f"got {int((~hits_QC.any(axis=1)).sum())} queries without a hit, expected none"
        raise ValueError(msg)
    best_Q1 = np.where(hits_QC, scores_QC, -np.inf).max(axis=1, keepdims=True)
    above_Q = ((scores_QC > best_Q1) & ~hits_QC).sum(axis=1)
    ties_Q = ((scores_QC == best_Q1) & ~hits_QC).sum(axis=1)
    ranks_Q: NDArray[np.float64] = 1.0 + above_Q + ties_Q / 2
    return ranks_Q


def recall_at(ranks: Floats, k: int) -> float:
    """Share of queries whose (best) target is among the first k."""
    return float((np.asarray(ranks) <= k).mean())


def ndcg_at(ranks: Floats, k: int) -> float:
    """nDCG@k with the target as the only relevant candidate: mean of 1 / log2(1 + rank)."""
    ranks = np.asarray(ranks, dtype=np.float64)
    return float(np.where(ranks <= k, 1 / np.log2(1 + ranks), 0.0).mean())


def mean_reciprocal_rank(ranks: Floats) -> float:
    """Mean of 1 / rank of the best-ranked truth."""
    return float((1 / np.asarray(ranks)).mean())


def mean_average_precision(scores_QC: Floats, hits_QC: Bools) -> float:
    """Mean average precision: mean over queries of mean_i (i / rank_i) over the query's truths.

    From arXiv 2506.10182.

    Equal scores rank in the candidates' order.

    Raises:
        ValueError: A query has no truth, or a score is NaN.
    """
    _refuse_nan(scores_QC)
    if not hits_QC.any(axis=1).all():
        msg = "got a query without a truth in the gallery, expected one at least"
        raise ValueError(msg)
    order_QC = np.argsort(-scores_QC, axis=1, kind="stable")
    found_QC = np.take_along_axis(hits_QC, order_QC, axis=1)
    ranks_C = np.arange(1, scores_QC.shape[1] + 1)
    precision_QC = found_QC.cumsum(axis=1) / ranks_C
    return float(((precision_QC * found_QC).sum(axis=1) / found_QC.sum(axis=1)).mean())


def bootstrap_interval(values: Sequence[float] | Floats, samples: int, seed: int) -> list[float]:
    """95 % percentile-bootstrap interval of the mean, [low, high], resampling the values."""
    values = np.asarray(values, dtype=np.float64)
    rng = np.random.default_rng(seed)
    picks = rng.integers(0, len(values), size=(samples, len(values)))
    low, high = np.quantile(values[picks].mean(axis=1), [0.025, 0.975])
    return [float(low), float(high)]


def _refuse_nan(scores_QC: Floats) -> None:
    """Comparisons with NaN are false: nothing would rank above it."""
    if np.isnan(scores_QC).any():
        msg = "got NaN among the scores; the model that made them is broken, train it again"
        raise ValueError(msg)
