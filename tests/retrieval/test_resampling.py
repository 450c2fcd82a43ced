"""Bootstrap and permutation test by clusters: closed forms, theory, and what chance does."""

import math
from itertools import product

import numpy as np
import pytest

from retrieval.resampling import (
    cluster_weights,
    crossed_weights,
    quantile_interval,
    resampled_means,
    sign_flip_p_value,
)


def interval(values, units=None, samples=400, seed=0):
    values = np.asarray(values, dtype=np.float64)
    units = range(len(values)) if units is None else units
    weights_SN = cluster_weights(units, samples, seed)
    return quantile_interval(resampled_means(values[:, None], weights_SN)[:, 0])


def p_value(differences, samples, units=None):
    return sign_flip_p_value(
        differences, range(len(differences)) if units is None else units, samples, 0
    )


def clustered(rng, clusters, size, between, within, mean=0.0):
    """Values whose clusters have means of their own, and their units."""
    centers = rng.normal(mean, between, clusters)
    values = centers[:, None] + rng.normal(0, within, (clusters, size))
    return values.ravel(), np.repeat(np.arange(clusters), size).tolist()


def test_weights_by_hand():
    """Three clusters of 1, 2 and 3 values: as many are drawn; then each as often as it is large."""
    units = ["a", "b", "b", "c", "c", "c"]
    weights_SN = cluster_weights(units, 500, 0)
    sizes = np.array([1, 2, 3])
    drawn_SC = np.stack(
        [weights_SN[:, :1].sum(1), weights_SN[:, 1:3].sum(1), weights_SN[:, 3:].sum(1)], axis=1
    )
    assert (drawn_SC / sizes % 1 == 0).all()  # whole clusters, however often
    assert ((drawn_SC / sizes).sum(axis=1) == 3).all()
    assert (weights_SN[:, 3] != weights_SN[:, 4]).any()  # inside a cluster values are drawn too
    np.testing.assert_allclose(weights_SN.mean(axis=0), 1.0, atol=0.15)


def test_the_spread_of_the_means_is_the_closed_form():
    """Equal clusters: Var = Σ (m_g - m)² / G² + Σ_g s_g² / (G² n), over both stages."""
    rng = np.random.default_rng(3)
    values, units = clustered(rng, 12, 8, between=1.0, within=2.0)
    table = values.reshape(12, 8)
    expected = (table.mean(axis=1).var() + table.var(axis=1).mean() / 8) / 12
    draws = resampled_means(values[:, None], cluster_weights(units, 20_000, 0))[:, 0]
    assert draws.var() == pytest.approx(expected, rel=0.05)


def test_intervals_cover_a_known_mean_about_95_times_in_100():
    rng = np.random.default_rng(0)
    covered = sum(
        low <= 3.0 <= high
        for seed in range(200)
        for low, high in [interval(rng.normal(3.0, 2.0, 60), seed=seed)]
    )
    # 200 draws of a share of 0.95 spread by 0.015; the percentile interval is a little narrow.
    assert 0.90 <= covered / 200 <= 0.99


def test_intervals_by_cluster_cover_where_those_by_value_do_not():
    """Twenty interests of 16 personas, as much between interests as between personas."""
    rng = np.random.default_rng(0)
    by_cluster = by_value = 0
    for seed in range(200):
        values, units = clustered(rng, 20, 16, between=1.0, within=1.0)
        low, high = interval(values, units, seed=seed)
        by_cluster += low <= 0 <= high
        low, high = interval(values, seed=seed)
        by_value += low <= 0 <= high
    assert by_cluster / 200 >= 0.88
    assert by_value / 200 <= 0.60


def test_values_in_clusters_of_their_own_have_the_width_that_theory_says():
    values = np.random.default_rng(1).normal(0, 1, 400)
    low, high = interval(values, samples=4000)
    assert high - low == pytest.approx(2 * 1.96 * values.std() / math.sqrt(400), rel=0.08)
    assert low < values.mean() < high


def test_an_interval_follows_from_its_seed():
    values = [0.1, 0.7, 0.4, 0.9]
    first, again, other = (interval(values, seed=seed) for seed in (4, 4, 5))
    assert first == again != other
    assert interval([0.3]) == [0.3, 0.3]


def test_columns_are_paired():
    """Two models that share nearly all their noise differ more surely than each is known."""
    rng = np.random.default_rng(0)
    base = rng.normal(0, 1, 100)
    student = base + 0.1 + rng.normal(0, 0.01, 100)
    weights_SN = cluster_weights(range(100), 2000, 0)
    pairs = resampled_means(np.stack([base, student], axis=1), weights_SN)
    low, high = quantile_interval(pairs[:, 1] - pairs[:, 0])
    assert 0.09 < low < high < 0.11


def test_a_query_of_two_subjects_counts_as_often_as_both_were_drawn():
    units = [["a"], ["b"], ["a", "b"], ["b", "c"], ["c"]]
    weights_SN = crossed_weights(units, 300, 0)
    a, b, ab, bc, c = weights_SN.T
    assert (a + b + c == 3).all()
    assert (ab == a * b).all()
    assert (bc == b * c).all()
    assert (ab == 0).any()


def test_resamples_that_are_empty_are_left_out():
    weights_SN = crossed_weights([["a", "b"]], 300, 0)
    draws = resampled_means(np.array([[0.4]]), weights_SN)[:, 0]
    assert np.isnan(draws).any()
    assert quantile_interval(draws) == pytest.approx([0.4, 0.4])


@pytest.mark.parametrize("count", [2, 3, 5, 10])
@pytest.mark.parametrize("levels", [3, 1000])
def test_the_exact_permutation_test_counts_every_pattern_of_signs(count, levels):
    """With few levels many sign patterns have equal means: these count as far out as the seen."""
    rng = np.random.default_rng(count + levels)
    sevenths = [int(value) for value in rng.integers(-levels, 2 * levels, count)]
    sums = [
        abs(sum(sign * value for sign, value in zip(signs, sevenths, strict=True)))
        for signs in product((1, -1), repeat=count)
    ]
    expected = sum(total >= sums[0] for total in sums) / 2**count
    assert p_value(np.array(sevenths) / 7, 2**count) == expected


def test_the_sampled_permutation_test_is_near_the_exact_one():
    differences = np.random.default_rng(5).normal(0.25, 1, 14)
    exact, sampled = p_value(differences, 2**14), p_value(differences, 10_500)
    # A share p of 10,500 draws spreads by sqrt(p (1 - p) / 10,500).
    assert exact != sampled == pytest.approx(exact, abs=4 * math.sqrt(exact / 10_500))
    assert sampled == p_value(differences, 10_500)


def test_p_values_by_hand():
    # Of the 8 sign patterns of 1, 2, 3 the two with equal signs are as far out.
    assert p_value([1.0, 2.0, 3.0], 100) == 2 / 8
    assert p_value([0.5], 100) == 1.0
    assert p_value(np.zeros(5), 100) == 1.0
    assert p_value(np.ones(200), 999) == 1 / 1000  # none is ever as far out
    assert p_value([0.1, 0.2, -0.3], 100) == 1.0  # 0 but for rounding
    assert math.isnan(p_value([], 100))


def test_the_signs_of_a_cluster_flip_together():
    # Sums of 3 and 3: of four patterns two are as far out, where six values of 1 have 2 of 64.
    assert p_value(np.ones(6), 100, ["a"] * 3 + ["b"] * 3) == 2 / 4
    assert p_value(np.ones(6), 100) == 2 / 64


def test_p_values_are_uniform_where_there_is_no_difference():
    rng = np.random.default_rng(2)
    values = []
    for _ in range(400):
        differences, units = clustered(rng, 30, 4, between=1.0, within=1.0)
        values.append(p_value(differences, 499, units))
    # A share of 0.05 of 400 spreads by 0.011, of 0.5 by 0.025.
    assert np.mean(np.array(values) <= 0.05) == pytest.approx(0.05, abs=0.044)
    assert np.mean(np.array(values) <= 0.5) == pytest.approx(0.5, abs=0.1)
