"""How alike two rankings are, against arithmetic by hand."""

import pytest

from registry.differences.hits import rank_biased_overlap

TEN = [f"p{number}" for number in range(10)]


def test_equal_rankings_overlap_wholly_and_strangers_not_at_all() -> None:
    assert rank_biased_overlap(TEN, TEN) == pytest.approx(1)
    assert rank_biased_overlap(TEN, [f"q{number}" for number in range(10)]) == 0


def test_by_hand() -> None:
    """Agreement 0, 1, 1 at depths 1, 2, 3: 1·p³ + (1-p)/p·(0·p + 1·p² + 1·p³), p = 0.5."""
    assert rank_biased_overlap("abc", "bac", persistence=0.5) == pytest.approx(0.125 + 0.375)


def test_the_top_counts_most() -> None:
    first_gone = ["x", *TEN[1:]]
    last_gone = [*TEN[:-1], "x"]
    assert rank_biased_overlap(TEN, first_gone) < rank_biased_overlap(TEN, last_gone) < 1


def test_order_counts_though_the_same_are_found() -> None:
    assert 0 < rank_biased_overlap(TEN, TEN[::-1]) < 1


def test_a_catalogue_of_nothing() -> None:
    assert rank_biased_overlap([], []) == 1
    assert rank_biased_overlap([], ["p"]) == 0
