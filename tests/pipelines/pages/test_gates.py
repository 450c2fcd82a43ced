import math

import pytest

from pipelines.pages.gates import (
    difference_scale,
    measure_views,
)
from tests.pipelines.pages.gate_results import RECALL, SHARE, TAU, V, result
from validation.measures import AtLeast, AtMost, Estimate, exact
from validation.retrieval_drops import Drop


def view_of(measure, passed=True):
    (view,) = measure_views([result("a.b", measure, passed)])
    return view


def drop(what="x", difference=-0.1, limit=0.05):
    return Drop(what, 30, 0.5 + difference, 0.5, difference - 0.02, difference + 0.02, limit, 30)


@pytest.mark.parametrize("measure", [V, TAU, SHARE, RECALL])
def test_an_axis_holds_the_value_the_limit_and_what_is_best(measure):
    view = view_of(measure)
    for value in (measure.estimate.value, measure.limit, measure.best, view.allowed):
        assert view.scale.holds(value)


def test_the_bands_lie_between_the_best_the_limit_and_what_is_let_pass():
    view = view_of(TAU)  # 1 best, 0.3 the limit, 0.15 let pass
    scale = view.scale
    assert view.band(1.0, 0.3) == (scale.at(0.3), pytest.approx(100 - scale.at(0.3)))
    assert view.band(0.3, view.allowed)[0] == scale.at(0.15)
    assert view.is_sampled
    assert not view.lets_anything_pass


def test_a_sample_that_tells_nothing_lets_any_value_pass_and_not_more():
    view = view_of(SHARE)  # one pair: three standard errors are 1.5
    assert view.allowed == 0.0
    assert view.lets_anything_pass


def test_an_exact_number_has_no_grace():
    view = view_of(RECALL)
    assert view.allowed == 0.9
    assert not view.is_sampled


def test_a_number_that_is_unknown_has_an_axis_of_its_limit():
    view = view_of(AtMost("x", exact(math.nan), 0.5))
    assert view.scale.holds(0.5)
    nothing = AtMost("x", Estimate(math.nan, math.nan, 0, "pairs"), 0.5, 3.0)
    assert view_of(nothing).allowed == 0.5


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_where_the_best_is_unknown_too_there_is_still_an_axis(value):
    """Of an evaluation without a base model."""
    assert view_of(AtLeast("x", exact(value), 0.0, best=math.nan, worst=-1.0)).scale.holds(0.0)


def test_a_limit_that_no_value_reaches_is_on_the_axis():
    assert view_of(AtMost("x", exact(0.0), 0.5, worst=0.0)).scale.holds(0.5)


def test_only_numbers_are_measures():
    assert len(measure_views([result("a.b", V), result("a.c", TAU, passed=False)])) == 2


def test_the_axis_of_differences_holds_zero_intervals_and_limits():
    scale = difference_scale([drop(difference=0.1), drop(difference=0.3, limit=0.2)])
    assert all(scale.holds(value) for value in (0, 0.32, -0.2))
    without_limit = difference_scale([drop(difference=math.nan, limit=math.inf)])
    assert without_limit.holds(0)
