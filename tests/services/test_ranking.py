"""Fusion and diversity, against what a pencil gives."""

import numpy as np
import pytest

from services.search.ranking import diversified, fuse


def test_a_products_fused_score_is_the_sum_of_its_damped_reciprocal_ranks():
    fused = fuse([[("a", 0.9), ("b", 0.8), ("c", 0.1)], [("b", 30.0), ("d", 2.0)]])
    assert fused == [
        ("b", pytest.approx(1 / 62 + 1 / 61)),
        ("a", pytest.approx(1 / 61)),
        ("d", pytest.approx(1 / 62)),
        ("c", pytest.approx(1 / 63)),
    ]


def test_equal_sums_are_in_the_order_of_the_ids():
    assert [id_ for id_, _ in fuse([[("b", 1.0), ("c", 0.5)], [("a", 1.0), ("c", 0.5)]])] == [
        "c", "a", "b"
    ]  # fmt: skip
    assert fuse([[], []]) == []


# Two pictures of one thing, one at an angle of 60 degrees to both, and one across.
VECTORS = np.array([[1, 0], [1, 0], [0.5, 0.75**0.5], [0, 1]], dtype=np.float32)


@pytest.mark.parametrize(
    ("diversify", "order"),
    [
        (0.0, [0, 1, 2, 3]),
        # Scores stretched: 1, 0.9, 0.5, 0. After the first: 0.9 - 0.1 = 0.71 (0.81 - 0.1), 0.4, 0.
        (0.1, [0, 1, 2, 3]),
        # After the first: 0.45 - 0.5, 0.25 - 0.25, 0 - 0: the third leads the fourth, being first.
        # Then 0.45 - 0.5 against 0 - 0.433: the second.
        (0.5, [0, 2, 1, 3]),
        # Only what differs counts: across, then the one at 60 degrees (0.866) before the twin (1).
        (1.0, [0, 3, 2, 1]),
    ],
)
def test_the_next_is_what_is_relevant_and_unlike_those_before(diversify, order):
    scores = np.array([3.0, 2.8, 2.0, 1.0])
    assert diversified(scores, VECTORS, diversify, 4) == order
    assert diversified(10 + 7 * scores, VECTORS, diversify, 4) == order  # whatever the scale


def test_a_longer_order_goes_on_where_a_shorter_one_ends():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(50, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = np.sort(rng.random(50))[::-1]
    whole = diversified(scores, vectors, 0.6, 50)
    assert sorted(whole) == [*range(50)]
    for count in (0, 1, 7, 49):
        assert diversified(scores, vectors, 0.6, count) == whole[:count]


def test_equal_scores_and_no_scores_can_be_made_diverse():
    assert diversified(np.ones(3), VECTORS[:3], 0.5, 3) == [0, 2, 1]
    assert diversified(np.empty(0), VECTORS[:0], 0.5, 10) == []
