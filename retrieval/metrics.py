"""Retrieval metrics.

A higher score ranks first, rank 1 is best. One rule for equal scores: a truth is ranked against the
candidates that are no truths, and one of equal score counts half. So the i-th best truth of a query
has rank i + (others above it) + (others equal to it) / 2, and no metric depends on the order of the
candidates.

Q queries, C candidates.
"""

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
    """Rank of the best-scored hit: that of i = 1.

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


def graded_ndcg(scores_QC: Floats, gains_QC: Floats, k: int) -> NDArray[np.float64]:
    """Normalised discounted cumulative gain of each query's first k, (Q,), in [0, 1].

    DCG@k = sum over the ranks r = 1..k of gain(r) / log2(1 + r), divided by that of the best order
    (Järvelin & Kekäläinen, ACM TOIS 2002, with linear gains). Equal scores share the mean discount
    of their ranks, which is the mean over their orders (McSherry & Najork, ECIR 2008). NaN where
    no candidate has a gain.

    Raises:
        ValueError: A score is NaN.
    """
    _refuse_nan(scores_QC)
    ranks_C = np.arange(1, scores_QC.shape[1] + 1)
    discount_C = np.where(ranks_C <= k, 1 / np.log2(1 + ranks_C), 0.0)
    total_C = np.concatenate([[0.0], discount_C.cumsum()])
    first_QC, last_QC = _rank_spans(scores_QC)
    shared_QC = (total_C[last_QC] - total_C[first_QC - 1]) / (last_QC - first_QC + 1)
    best_Q = -np.sort(-np.asarray(gains_QC, dtype=np.float64), axis=1) @ discount_C
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(best_Q > 0, (gains_QC * shared_QC).sum(axis=1) / best_Q, np.nan)


def _rank_spans(scores_QC: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The first and the last of the ranks that each candidate shares with its equals, (Q, C)."""
    order_QC = np.argsort(-scores_QC, axis=1, kind="stable")
    sorted_QC = np.take_along_axis(scores_QC, order_QC, axis=1)
    differs = sorted_QC[:, 1:] != sorted_QC[:, :-1]
    edge_Q1 = np.ones((len(scores_QC), 1), dtype=np.bool_)
    ranks_C = np.arange(1, scores_QC.shape[1] + 1)
    starts_QC = np.where(np.hstack([edge_Q1, differs]), ranks_C, 0)
    ends_QC = np.where(np.hstack([differs, edge_Q1]), ranks_C, len(ranks_C))
    first_QC, last_QC = np.empty_like(order_QC), np.empty_like(order_QC)
    np.put_along_axis(first_QC, order_QC, np.maximum.accumulate(starts_QC, axis=1), axis=1)
    upward_QC = np.minimum.accumulate(ends_QC[:, ::-1], axis=1)[:, ::-1]
    np.put_along_axis(last_QC, order_QC, upward_QC, axis=1)
    return first_QC, last_QC


def kendall_tau(one_GK: Floats, other_GK: Floats) -> NDArray[np.float64]:
    """Kendall's tau-b of two scorings of each group's K items, (G,), in [-1, 1].

    1 for the same order, -1 for the reverse, 0 for none in common (Kendall, Biometrika 1945). NaN
    where either ties all its items.
    """
    from scipy.stats import kendalltau  # here: the service does without

    if one_GK.shape[1] < 2:
        return np.full(len(one_GK), np.nan)
    return np.asarray(kendalltau(one_GK, other_GK, axis=1).statistic, dtype=np.float64)


def mean_reciprocal_rank(ranks: Floats) -> float:
    """Mean of 1 / rank of the best-ranked truth."""
    return float((1 / np.asarray(ranks)).mean())


def mean_average_precision(scores_QC: Floats, hits_QC: Bools) -> float:
    """Mean over queries of `average_precision` (arXiv 2506.10182). Raises as it does."""
    return float(average_precision(scores_QC, hits_QC).mean())


def average_precision(scores_QC: Floats, hits_QC: Bools) -> NDArray[np.float64]:
    """mean_i (i / rank_i) over each query's truths, (Q,), in (0, 1] (arXiv 2506.10182).

    Raises:
        ValueError: A query has no truth, or a score is NaN.
    """
    _refuse_nan(scores_QC)
    if not hits_QC.any(axis=1).all():
        msg = "got a query without a truth in the gallery, expected one at least"
        raise ValueError(msg)
    return np.array(
        [_precision(scores, hits) for scores, hits in zip(scores_QC, hits_QC, strict=True)]
    )


def _precision(scores_C: Floats, hits_C: Bools) -> float:
    truths_T, others = np.sort(scores_C[hits_C])[::-1], np.sort(scores_C[~hits_C])
    below_T, up_to_T = (np.searchsorted(others, truths_T, side=s) for s in ("left", "right"))
    place_T = np.arange(1, len(truths_T) + 1)
    ranks_T = place_T + (len(others) - up_to_T) + (up_to_T - below_T) / 2
    return float((place_T / ranks_T).mean())


def _refuse_nan(scores_QC: Floats) -> None:
    """Comparisons with NaN are false: nothing would rank above it."""
    if np.isnan(scores_QC).any():
        msg = "got NaN among the scores; the model that made them is broken, train it again"
        raise ValueError(msg)
