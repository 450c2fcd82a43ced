import math
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import rankdata
from sklearn.metrics import (
    average_precision_score,
    label_ranking_average_precision_score,
    ndcg_score,
)

from retrieval import metrics

NAN = float("nan")


def _case(seed, queries=8, candidates=9, levels=4):
    """Scores with many ties (few levels), a target and a hit mask a query."""
    rng = np.random.default_rng(seed)
    scores_QC = rng.integers(0, levels, (queries, candidates)) / 4
    target_Q = rng.integers(0, candidates, queries)
    hits_QC = rng.random((queries, candidates)) < 0.3
    hits_QC[np.arange(queries), target_Q] = True
    return scores_QC, target_Q, hits_QC


def _midrank(score, others):
    return 1 + sum(other > score for other in others) + sum(o == score for o in others) / 2


@pytest.mark.parametrize("seed", range(5))
def test_rank_of_equals_a_loop_with_ties(seed):
    scores_QC, target_Q, _ = _case(seed)
    expected = [
        _midrank(row[target], np.delete(row, target))
        for row, target in zip(scores_QC, target_Q, strict=True)
    ]
    assert metrics.rank_of(scores_QC, target_Q).tolist() == expected


def test_rank_of_every_candidate_is_scipys_mean_rank():
    row = np.random.default_rng(0).integers(0, 5, 30) / 8
    ranks = metrics.rank_of(np.tile(row, (30, 1)), np.arange(30))
    np.testing.assert_array_equal(ranks, rankdata(-row, method="average"))
    assert ranks.sum() == 30 * 31 / 2


def test_rank_of_worked_by_hand():
    scores_QC = np.array([[0.9, 0.5, 0.5, 0.5, 0.1]])
    ranks = [metrics.rank_of(scores_QC, np.array([target]))[0] for target in range(5)]
    assert ranks == [1, 3, 3, 3, 5]


def test_rank_of_depends_on_order_alone_not_on_scale_or_place():
    scores_QC, target_Q, _ = _case(11)
    ranks = metrics.rank_of(scores_QC, target_Q)
    order = np.random.default_rng(1).permutation(scores_QC.shape[1])
    moved_Q = np.argsort(order)[target_Q]
    np.testing.assert_array_equal(metrics.rank_of(scores_QC[:, order], moved_Q), ranks)
    np.testing.assert_array_equal(metrics.rank_of(np.exp(3 * scores_QC) - 7, target_Q), ranks)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_rank_of_refuses_nan_wherever_it_stands(place):
    scores_QC = np.array([[0.1, 0.2, 0.3], [0.1, 0.2, 0.3]])
    scores_QC[1, place] = NAN
    with pytest.raises(ValueError, match="NaN"):
        metrics.rank_of(scores_QC, np.array([0, 0]))


def test_first_hit_rank_refuses_nan():
    """Comparisons with NaN are false, so a broken model would rank every hit first."""
    with pytest.raises(ValueError, match="NaN"):
        metrics.first_hit_rank(np.full((2, 3), NAN), np.eye(2, 3, dtype=bool))


def test_mean_average_precision_refuses_nan():
    """NaN sorts in the candidates' order, so a broken model would be scored by luck."""
    with pytest.raises(ValueError, match="NaN"):
        metrics.mean_average_precision(np.full((2, 3), NAN), np.eye(2, 3, dtype=bool))


@pytest.mark.parametrize(
    ("rank", "candidates", "expected"),
    [(1, 100, 1.0), (100, 100, 0.0), (50.5, 100, 0.5), (2, 3, 0.5), (1, 2, 1.0), (2, 2, 0.0)],
)
def test_percentile_is_one_for_the_first_and_zero_for_the_last(rank, candidates, expected):
    assert metrics.percentile(np.array([rank]), candidates).tolist() == [expected]


@pytest.mark.parametrize("candidates", [0, 1])
def test_percentile_of_a_single_candidate_is_unknown(candidates):
    assert np.isnan(metrics.percentile(np.array([1.0]), candidates)).all()


def test_percentile_takes_a_number_of_candidates_per_query():
    got = metrics.percentile(np.array([1.0, 2.0, 2.0, 1.0]), np.array([5, 5, 3, 1]))
    np.testing.assert_array_equal(got, [1.0, 0.75, 0.5, NAN])


@pytest.mark.parametrize("seed", range(5))
def test_rank_within_equals_a_search_of_the_admitted_alone(seed):
    scores_QC, target_Q, _ = _case(seed)
    admitted_QC = np.random.default_rng(seed + 50).random(scores_QC.shape) < 0.5
    before = admitted_QC.copy()
    ranks_Q, sizes_Q = metrics.rank_within(scores_QC, target_Q, admitted_QC)
    for query, target in enumerate(target_Q):
        pool = [
            scores_QC[query, c]
            for c in range(scores_QC.shape[1])
            if admitted_QC[query, c] and c != target
        ]
        assert ranks_Q[query] == _midrank(scores_QC[query, target], pool)
        assert sizes_Q[query] == len(pool) + 1  # the target always counts
    np.testing.assert_array_equal(admitted_QC, before)  # the caller's mask is left alone


def test_rank_within_nobody_admitted_is_the_target_alone():
    ranks_Q, sizes_Q = metrics.rank_within(
        np.array([[3.0, 2.0, 1.0]]), np.array([2]), np.zeros((1, 3), dtype=bool)
    )
    assert (ranks_Q.tolist(), sizes_Q.tolist()) == ([1.0], [1])


@pytest.mark.parametrize("seed", range(5))
def test_first_hit_rank_equals_a_loop_with_ties(seed):
    scores_QC, _, hits_QC = _case(seed)
    expected = []
    for row, hits in zip(scores_QC, hits_QC, strict=True):
        expected.append(_midrank(max(row[hits]), row[~hits]))
    assert metrics.first_hit_rank(scores_QC, hits_QC).tolist() == expected


def test_first_hit_rank_of_one_hit_is_its_rank():
    scores_QC, target_Q, _ = _case(3)
    hits_QC = np.eye(scores_QC.shape[1], dtype=bool)[target_Q]
    np.testing.assert_array_equal(
        metrics.first_hit_rank(scores_QC, hits_QC), metrics.rank_of(scores_QC, target_Q)
    )


def test_first_hit_rank_is_not_pushed_down_by_other_hits():
    hits_QC = np.array([[True, True, True, False]])
    assert metrics.first_hit_rank(np.array([[0.5, 0.9, 0.9, 0.1]]), hits_QC).tolist() == [1.0]


@pytest.mark.parametrize("function", [metrics.first_hit_rank, metrics.mean_average_precision])
def test_a_query_without_a_truth_is_refused(function):
    with pytest.raises(ValueError, match=r"got .*without a .*expected"):
        function(np.zeros((2, 3)), np.array([[True, False, False], [False, False, False]]))


def test_recall_counts_ranks_up_to_k():
    ranks = np.array([1, 1.5, 2, 10, 11])
    assert metrics.recall_at(ranks, 1) == 0.2
    assert metrics.recall_at(ranks, 2) == 0.6
    assert metrics.recall_at(ranks, 10) == 0.8
    assert metrics.recall_at(ranks, 11) == 1.0


def test_mrr_by_hand():
    ranks = np.array([1, 3, 7, 11])
    assert metrics.mean_reciprocal_rank(ranks) == pytest.approx((1 + 1 / 3 + 1 / 7 + 1 / 11) / 4)


def _untied(seed, queries=20, candidates=30):
    rng = np.random.default_rng(seed)
    scores_QC = rng.random((queries, candidates))
    target_Q = rng.integers(0, candidates, queries)
    return scores_QC, target_Q, np.eye(candidates, dtype=bool)[target_Q]


def test_ndcg_by_hand():
    # Gains 3, 2, 1 at ranks 2, 1, 4: (2 + 3 / log2 3 + 1 / log2 5) against 3 + 2 / log2 3 + 1 / 2.
    scores_QC, gains_QC = np.array([[0.8, 0.9, 0.7, 0.6]]), np.array([[3, 2, 0, 1]])
    best = 3 + 2 / math.log2(3) + 1 / 2
    got = metrics.graded_ndcg(scores_QC, gains_QC, 10)
    assert got[0] == pytest.approx((2 + 3 / math.log2(3) + 1 / math.log2(5)) / best)
    assert metrics.graded_ndcg(scores_QC, gains_QC, 1)[0] == pytest.approx(2 / 3)
    assert metrics.graded_ndcg(gains_QC + 0.0, gains_QC, 10).tolist() == [1.0]


def test_ndcg_of_equal_scores_is_the_mean_over_their_orders():
    # One gain among three equals, cut at 2: discounts 1, 1 / log2 3, 0.
    got = metrics.graded_ndcg(np.zeros((1, 3)), np.array([[0.0, 5.0, 0.0]]), 2)
    assert got[0] == pytest.approx((1 + 1 / math.log2(3)) / 3)


@pytest.mark.parametrize("k", [1, 5, 10, 30, 100])
@pytest.mark.parametrize("levels", [2, 7, 1000])
def test_ndcg_is_scikit_learns_with_ties_among_scores_and_among_gains(k, levels):
    rng = np.random.default_rng(k + levels)
    scores_QC = rng.integers(0, levels, (20, 30)) / 8
    gains_QC = np.maximum(rng.integers(-20, 10, (20, 30)), 0)
    got = metrics.graded_ndcg(scores_QC, gains_QC, k)
    assert got.mean() == pytest.approx(ndcg_score(gains_QC, scores_QC, k=k))
    one_by_one = [ndcg_score([g], [s], k=k) for g, s in zip(gains_QC, scores_QC, strict=True)]
    np.testing.assert_allclose(got, one_by_one, rtol=1e-12)


def test_ndcg_is_unknown_where_nothing_has_a_gain_and_refuses_nan():
    assert np.isnan(metrics.graded_ndcg(np.zeros((2, 3)), np.zeros((2, 3)), 10)).all()
    with pytest.raises(ValueError, match="NaN"):
        metrics.graded_ndcg(np.full((1, 2), NAN), np.ones((1, 2)), 10)


def _tau_b(one, other):
    """(concordant - discordant) / sqrt(pairs untied in one * pairs untied in the other)."""
    pairs = [
        (np.sign(a - b), np.sign(c - d))
        for (a, c), (b, d) in combinations(zip(one, other, strict=True), 2)
    ]
    untied = [sum(pair[side] != 0 for pair in pairs) for side in (0, 1)]
    return sum(a * b for a, b in pairs) / math.sqrt(math.prod(untied)) if all(untied) else NAN


@pytest.mark.parametrize("levels", [2, 4, 1000])
@pytest.mark.parametrize("size", [2, 3, 5, 12])
def test_kendall_tau_is_tau_b_with_ties(levels, size):
    rng = np.random.default_rng(levels + size)
    one_GK, other_GK = rng.integers(0, levels, (2, 30, size)) / 4
    got = metrics.kendall_tau(one_GK, other_GK)
    expected = [_tau_b(*pair) for pair in zip(one_GK, other_GK, strict=True)]
    np.testing.assert_allclose(got, expected, rtol=1e-12, equal_nan=True)


def test_kendall_tau_by_hand():
    teacher = np.array([[3, 2, 1, 0]] * 4)
    model = np.array([[9, 8, 7, 6], [6, 7, 8, 9], [9, 8, 6, 7], [5, 5, 5, 5]])
    np.testing.assert_allclose(metrics.kendall_tau(teacher, model), [1, -1, 4 / 6, NAN])
    assert np.isnan(metrics.kendall_tau(np.ones((1, 1)), np.ones((1, 1)))).all()  # no pair


def test_mrr_of_one_target_is_scikit_learns_label_ranking_precision():
    scores_QC, target_Q, relevant_QC = _untied(1)
    got = metrics.mean_reciprocal_rank(metrics.rank_of(scores_QC, target_Q))
    assert got == pytest.approx(label_ranking_average_precision_score(relevant_QC, scores_QC))


@pytest.mark.parametrize("seed", range(3))
def test_map_is_scikit_learns_where_nothing_ties(seed):
    rng = np.random.default_rng(seed)
    scores_QC, _, hits_QC = _untied(seed)
    hits_QC |= rng.random(hits_QC.shape) < 0.2
    expected = np.mean(
        [average_precision_score(hits, row) for hits, row in zip(hits_QC, scores_QC, strict=True)]
    )
    assert metrics.mean_average_precision(scores_QC, hits_QC) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(3))
def test_map_is_the_papers_formula_over_ranks_in_which_equal_others_count_half(seed):
    scores_QC, _, hits_QC = _case(seed)
    per_query = []
    for row, hits in zip(scores_QC, hits_QC, strict=True):
        truths = sorted((row[c] for c in range(len(row)) if hits[c]), reverse=True)
        others = [row[c] for c in range(len(row)) if not hits[c]]
        ranks = [
            i + sum(o > t for o in others) + sum(o == t for o in others) / 2
            for i, t in enumerate(truths, start=1)
        ]
        per_query.append(np.mean([i / rank for i, rank in enumerate(ranks, start=1)]))
        assert metrics.first_hit_rank(row[None], hits[None]) == pytest.approx(ranks[0])
    found = metrics.average_precision(scores_QC, hits_QC)
    np.testing.assert_allclose(found, per_query, rtol=1e-12)
    assert (found <= 1).all()
    assert metrics.mean_average_precision(scores_QC, hits_QC) == pytest.approx(np.mean(per_query))


@pytest.mark.parametrize("seed", range(3))
def test_no_metric_depends_on_the_order_of_the_candidates(seed):
    scores_QC, target_Q, hits_QC = _case(seed)
    order = np.random.default_rng(seed).permutation(scores_QC.shape[1])
    place = np.argsort(order)
    for metric in (metrics.average_precision, metrics.first_hit_rank):
        np.testing.assert_array_equal(
            metric(scores_QC[:, order], hits_QC[:, order]), metric(scores_QC, hits_QC)
        )
    np.testing.assert_array_equal(
        metrics.rank_of(scores_QC[:, order], place[target_Q]), metrics.rank_of(scores_QC, target_Q)
    )


def test_the_average_precision_of_a_single_truth_is_its_reciprocal_rank():
    scores_QC, target_Q, _ = _case(7)
    hits_QC = np.zeros(scores_QC.shape, dtype=bool)
    np.put_along_axis(hits_QC, target_Q[:, None], True, axis=1)
    ranks_Q = metrics.rank_of(scores_QC, target_Q)
    np.testing.assert_allclose(metrics.average_precision(scores_QC, hits_QC), 1 / ranks_Q)
    np.testing.assert_array_equal(metrics.first_hit_rank(scores_QC, hits_QC), ranks_Q)


def test_map_by_hand():
    # Truths at ranks 1 and 4: (1/1 + 2/4) / 2.
    scores_QC, hits_QC = np.array([[4.0, 3, 2, 1]]), np.array([[True, False, False, True]])
    assert metrics.mean_average_precision(scores_QC, hits_QC) == pytest.approx(0.75)


def test_map_with_ties_by_hand():
    """A truth beside two others of its score: rank 2, whichever comes first in the table."""
    for place in range(3):
        hits_QC = np.arange(3)[None] == place
        assert metrics.mean_average_precision(np.ones((1, 3)), hits_QC) == pytest.approx(1 / 2)
    # Two truths and one other, all equal: ranks 1.5 and 2.5.
    hits_QC = np.array([[True, False, True]])
    found = metrics.mean_average_precision(np.ones((1, 3)), hits_QC)
    assert found == pytest.approx((1 / 1.5 + 2 / 2.5) / 2)
    assert metrics.first_hit_rank(np.ones((1, 3)), hits_QC) == [1.5]
