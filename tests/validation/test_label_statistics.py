"""The statistics of labels: by hand, at their extremes, and how far chance moves them."""

import math
from itertools import combinations, permutations

import numpy as np
import pytest

from validation.label_statistics import (
    appearances,
    cyclic_share,
    kendall_tau,
    largest_rank_shift,
    largest_share,
    mean_repeat_tau,
    pairwise_agreement,
    rank_shifts,
    share,
    winner_drift,
    winner_position_v,
)
from validation.measures import Estimate


def test_agreement_by_hand() -> None:
    assert pairwise_agreement([3, 2, 1]) == 1
    assert pairwise_agreement([1, 2, 3]) == 0
    assert pairwise_agreement([2, 3, 1]) == pytest.approx(2 / 3)
    assert pairwise_agreement([1, 1, 0]) == 1  # the tie is no pair: 2 of 2
    assert pairwise_agreement([0.1 + 0.2, 0.3, 0.0]) == 1  # equal but for rounding
    assert np.isnan(pairwise_agreement([1, 1]))
    assert np.isnan(pairwise_agreement([]))


def test_position_v_by_hand() -> None:
    # 7 and 3 of 10 where 5 are expected: chi2 = 1.6, less 1, over 10 * 1.
    estimate = winner_position_v([1] * 7 + [2] * 3, [2] * 10)
    assert estimate.value == pytest.approx(math.sqrt(0.06))
    assert estimate.error == pytest.approx(math.sqrt(2) / 10)
    # V^2 = 0.0225 and 2 standard errors of V^2 on top.
    assert estimate.highest_allowed(0.15, 2) == pytest.approx(math.sqrt(0.0225 + 0.2 * 2**0.5))


def test_position_v_is_1_for_one_place_and_0_for_equal_shares() -> None:
    assert winner_position_v([1] * 10_000, [5] * 10_000).value == pytest.approx(1, abs=1e-3)
    assert winner_position_v([1, 2, 3, 4, 5] * 20, [5] * 100).value == 0


def test_position_v_takes_groups_of_several_sizes() -> None:
    # Fair among two, fair among three: 2 + 2 wins in the first two places each, 2 in the third.
    places, sizes = [1, 2, 1, 2, 1, 2, 3, 1, 2, 3], [2] * 4 + [3] * 6
    assert winner_position_v(places, sizes).value == 0


def test_position_v_without_places_is_undefined() -> None:
    assert math.isnan(winner_position_v([], []).value)
    assert math.isnan(winner_position_v([1, 1], [1, 1]).value)
    assert math.isnan(winner_position_v([0, 0], [5, 5]).value)


def test_rank_shifts_by_hand() -> None:
    presented = [["a", "b", "c"], ["a", "b", "c"]]
    assert rank_shifts(presented, [["a", "b", "c"], ["a", "c", "b"]]) == [-1, 0.5, 0.5]
    estimate = largest_rank_shift(presented, [["a", "b", "c"], ["a", "c", "b"]])
    assert (estimate.value, estimate.count) == (1, 2)
    assert estimate.error == pytest.approx(math.sqrt(8 / 12 / 2))
    assert math.isnan(largest_rank_shift([], []).value)


def test_tau_counts_the_pairs_that_stand_in_the_same_order() -> None:
    for order in permutations("abcd"):
        same = [a < b for a, b in combinations(order, 2)]
        assert kendall_tau("abcd", order) == pytest.approx(2 * sum(same) / 6 - 1)
    assert math.isnan(kendall_tau("a", "a"))
    with pytest.raises(KeyError):
        kendall_tau("ab", "ac")


def test_the_error_of_tau_is_that_of_unrelated_orders() -> None:
    taus = [kendall_tau("abcde", order) for order in permutations("abcde")]
    assert mean_repeat_tau(["abcde"], ["abcde"]).error == pytest.approx(np.std(taus))
    estimate = mean_repeat_tau(["ab", "ab", "ab", "ab"], ["ab", "ab", "ab", "ba"])
    assert (estimate.value, estimate.error) == (0.5, 0.5)
    assert estimate.lowest_allowed(0.4, 2) == pytest.approx(-0.6)
    assert math.isnan(mean_repeat_tau([], []).value)


def test_share_by_hand() -> None:
    assert share([True, True, True, False], "pairs") == Estimate(0.75, 0.25, 4, "pairs")
    assert math.isnan(share([], "pairs").value)


@pytest.mark.parametrize(
    ("rankings", "value", "count"),
    [
        (["ab", "bc", "ca"], 1, 1),
        (["ab", "bc", "ac"], 0, 1),
        (["abc"], math.nan, 0),  # one ranking cannot be circular
        (["abc", "ca"], math.nan, 0),  # a tie of a and c, and a ranking that holds all three
        (["ab", "bc", "ca", "ac"], math.nan, 0),  # a tie leaves the pair out
        (["ab", "bc", "ca", "ac", "ac"], 0, 1),  # the majority
        (["ab", "bc"], math.nan, 0),
        (["abx", "bcy", "caz"], 1, 1),
        (["ab", "bc", "ca", "ad", "db"], 0.5, 2),  # abc is, abd is not
    ],
)
def test_cyclic_share_by_hand(rankings: list[str], value: float, count: int) -> None:
    estimate = cyclic_share(["p"] * len(rankings), rankings)
    assert (estimate.value, estimate.count) == (pytest.approx(value, nan_ok=True), count)


def test_triples_do_not_cross_personas() -> None:
    assert cyclic_share(["p", "p", "q"], ["ab", "bc", "ca"]).count == 0
    assert cyclic_share(["p", "p", "p", "q"], ["ab", "bc", "ca", "ac"]).value == 1


def test_a_coin_makes_one_triple_in_four_circular() -> None:
    rng = np.random.default_rng(0)
    things = [str(i) for i in range(20)]
    rankings = [[str(x) for x in rng.choice(things, 5, replace=False)] for _ in range(3000)]
    estimate = cyclic_share([str(i // 15) for i in range(3000)], rankings)
    assert estimate.count > 10_000
    assert estimate.value == pytest.approx(0.25, abs=5 * estimate.error)


def test_drift_is_1_for_other_winners_and_near_0_for_two_samples_of_one() -> None:
    assert winner_drift(["a"] * 500, ["b"] * 500).value == pytest.approx(1, abs=0.05)
    assert winner_drift(["a", "b"], ["a", "b"]).value == 0
    assert winner_drift(["a"], ["a"]).value == 0  # a single category
    assert math.isnan(winner_drift([], ["a"]).value)


def test_what_chance_makes_of_drift_is_taken_off() -> None:
    """Of ten categories and 100 winners a side, raw total variation is 0.12 on average."""
    rng = np.random.default_rng(0)
    draws = [[str(x) for x in rng.integers(10, size=100)] for _ in range(400)]
    found = [winner_drift(a, b) for a, b in zip(draws[::2], draws[1::2], strict=True)]
    assert np.mean([estimate.value for estimate in found]) < 0.02
    beyond = np.mean([estimate.value > 3 * estimate.error for estimate in found])
    assert beyond <= 0.01


def test_largest_share_by_hand() -> None:
    assert largest_share(["a", "b", "a", "c"]) == Estimate(0.5, 0.25, 4, "groups")
    assert math.isnan(largest_share([]).value)


def test_appearances_name_what_was_never_seen() -> None:
    assert appearances(["a", "b"], ["a", "a", "z", None]) == {"a": 2, "b": 0}


@pytest.mark.parametrize("groups", [60, 300])
def test_a_fair_teacher_stays_within_three_errors_of_chance(groups: int) -> None:
    rng = np.random.default_rng(groups)
    beyond = np.zeros(3)
    for _ in range(200):
        orders = [[str(x) for x in rng.permutation(5)] for _ in range(groups)]
        shown = [list("01234")] * groups
        v = winner_position_v([int(order[0]) + 1 for order in orders], [5] * groups)
        shift, tau = largest_rank_shift(shown, orders), mean_repeat_tau(shown[:20], orders[:20])
        beyond += [
            v.value > v.highest_allowed(0.0, 3),
            shift.value > shift.highest_allowed(0.0, 3),
            tau.value < tau.lowest_allowed(0.0, 3),
        ]
    assert (beyond / 200 <= 0.03).all()
