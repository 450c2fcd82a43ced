import math

import pytest

from validation.measures import AtLeast, AtMost, Estimate, exact

REPEATS = Estimate(0.5, 0.05, 40, "repeats")
NOTHING = Estimate(math.nan, math.nan, 0, "repeats")


def test_a_minimum_is_lowered_and_a_maximum_raised_by_the_standard_errors() -> None:
    assert AtLeast("x", REPEATS, 0.3, 3.0).allowed == pytest.approx(0.15)
    assert AtMost("x", REPEATS, 0.3, 3.0).allowed == pytest.approx(0.45)
    root = Estimate(0.2, 0.01, 40, "groups", power=2)  # the error is that of the square
    assert AtMost("x", root, 0.3, 3.0).allowed == pytest.approx(math.sqrt(0.09 + 0.03))


@pytest.mark.parametrize("estimate", [NOTHING, exact(0.2)])
def test_a_limit_stays_where_chance_did_not_move_the_value(estimate: Estimate) -> None:
    assert AtLeast("x", estimate, 0.3, 3.0).allowed == 0.3
    assert AtMost("x", estimate, 0.3).allowed == 0.3


def test_what_is_expected_says_how_many_errors_are_allowed_and_what_that_comes_to() -> None:
    least = AtLeast("a mean tau", REPEATS, 0.3, 3.0)
    assert least.expected == (
        "a mean tau of at least 0.3 (3 standard errors allowed: 0.15 over 40 repeats)"
    )
    assert AtMost("a share", NOTHING, 0.05, 3.0).expected == (
        "a share of at most 0.05 (3 standard errors allowed)"
    )
    assert AtMost("a share", exact(0.2), 0.05).expected == "a share of at most 0.05"


def test_the_best_value_is_on_the_side_that_passes() -> None:
    assert (AtMost("x", REPEATS, 0.3).best, AtLeast("x", REPEATS, 0.3).best) == (0.0, 1.0)
    assert AtMost("x", REPEATS, 0.3, worst=0.0).is_maximum  # of one picture no rank is shifted
    assert not AtLeast("x", REPEATS, 0.3, worst=-1.0).is_maximum
