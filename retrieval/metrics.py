"""Retrieval metrics, and how sure they are.

Q queries, C candidates, N values; a higher score ranks first, rank 1 is best.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]

_FLIPS_AT_ONCE = 1000  # rows of signs in memory


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
    """95 % percentile-bootstrap interval of the mean, [low, high], resampling the values.

    Of the differences of two models on the same personas it is the paired interval of their
    difference (Efron & Tibshirani, An Introduction to the Bootstrap, 1993, ch. 13). Both NaN
    without values.
    """
    return quantile_interval(bootstrap_means(np.asarray(values)[:, None], samples, seed)[:, 0])


def bootstrap_means(values_NM: Floats, samples: int, seed: int) -> NDArray[np.float64]:
    """Column means of N rows drawn with replacement, as many times as `samples`: (samples, M).

    Rows stay together, so that what is computed from several columns is paired.
    """
    values_NM = np.asarray(values_NM, dtype=np.float64)
    if not len(values_NM):
        return np.full((samples, values_NM.shape[1]), np.nan)
    rng = np.random.default_rng(seed)
    picks = rng.integers(0, len(values_NM), size=(samples, len(values_NM)))
    means: NDArray[np.float64] = values_NM[picks].mean(axis=1)
    return means


def quantile_interval(draws: Floats) -> list[float]:
    """The middle 95 % of a bootstrap's draws, [low, high]."""
    low, high = np.quantile(draws, [0.025, 0.975])
    return [float(low), float(high)]


def sign_flip_p_value(differences: Sequence[float] | Floats, samples: int, seed: int) -> float:
    """Two-sided p-value of the paired permutation test on the mean difference, in (0, 1].

    If two models were alike, each persona's difference could as well have the other sign (Fisher,
    The Design of Experiments, 1935, ch. 3). The share of sign patterns under which the mean is as
    far from 0 as the one seen: of all 2^N where those are no more than `samples`, else of so many
    random ones and the one seen, (1 + hits) / (1 + samples), which is never 0 (Phipson & Smyth,
    2010). NaN without differences.
    """
    from scipy.stats import permutation_test  # here: the service does without

    values_N = np.asarray(differences, dtype=np.float64)
    if len(values_N) < 2:  # SciPy takes two at least; one is as far out with either sign
        return 1.0 if len(values_N) else float("nan")
    found = permutation_test(
        (values_N / (np.abs(values_N).sum() or 1.0),),
        # Rounded: sums of the same numbers in another order differ in their last digits.
        lambda flipped, axis: np.abs(flipped.sum(axis=axis)).round(12),
        permutation_type="samples",
        alternative="greater",
        n_resamples=samples,
        vectorized=True,
        batch=_FLIPS_AT_ONCE,
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def _refuse_nan(scores_QC: Floats) -> None:
    """Comparisons with NaN are false: nothing would rank above it."""
    if np.isnan(scores_QC).any():
        msg = "got NaN among the scores; the model that made them is broken, train it again"
        raise ValueError(msg)
