import math

import pytest

from pipelines.evaluation.drawing import calibration_view, slice_tables
from pipelines.evaluation.series import Bin, SliceGain
from pipelines.pages.tables import LONGEST_TABLE


def _slice(value, n, gain, low=math.nan, high=math.nan):
    return SliceGain(value, n, n, None, None, gain, low, high)


def test_small_slices_do_not_stretch_the_axis():
    rows = [_slice("few", 3, -0.9, -1.0, -0.8), _slice("many", 40, 0.1, 0.05, 0.16)]
    view = slice_tables({"price": rows})
    assert (view["scale"].low, view["scale"].high) == pytest.approx((0.0, 0.2))
    alone = slice_tables({"price": rows[:1]})
    assert alone["scale"].low == pytest.approx(-1.0)  # where there are no others they do


def test_an_axis_holds_zero_and_the_intervals():
    view = slice_tables({"price": [_slice("a", 40, -0.02, -0.13, -0.01), _slice("b", 30, -0.05)]})
    assert (view["scale"].low, view["scale"].high) == pytest.approx((-0.2, 0.0))


def test_slices_wholly_below_zero_are_bad_news():
    rows = [_slice("lost", 40, -0.1, -0.2, -0.01), _slice("unsure", 40, -0.1, -0.2, 0.01)]
    view = slice_tables({"interest": rows, "price": [_slice("few", 3, -0.9)]})
    assert view["bad_news"] == {"interest": rows[:1]}


def test_the_tables_of_slices_stand_in_their_order():
    rows = [_slice(str(number), 20, 0.1) for number in range(LONGEST_TABLE + 1)]
    tables = slice_tables({"short": rows[:-1], "long": rows})["tables"]
    assert [(table.name, table.part) for table in tables] == [
        ("short", 0), ("long", 1), ("long", 2)
    ]  # fmt: skip


def test_without_data_there_is_nothing_to_draw():
    assert slice_tables({}) is None
    assert calibration_view({}) is None


def test_the_curve_starts_at_a_coin_and_ends_at_the_fit():
    tau = 10.0
    bins = [Bin(d, 1 / (1 + math.exp(-tau * d)), 50) for d in (0.1, 0.2)]
    view = calibration_view({"student": [*bins, Bin(0.9, 1.0, 1)]})
    assert view["across"].high == pytest.approx(0.212)  # of the bins that are drawn
    (student,) = view["models"]
    assert len(student.bins) == 3
    assert len(student.drawn) == 2
    points = [tuple(map(float, point.split(","))) for point in student.curve.split()]
    assert points[0] == (0.0, pytest.approx(100 - view["up"].at(0.5)))
    end = 1 / (1 + math.exp(-student.tau * view["across"].high))
    assert points[-1] == (100.0, pytest.approx(100 - view["up"].at(end), abs=0.01))


def test_a_coin_has_no_curve():
    (model,) = calibration_view({"base": [Bin(0.1, 0.5, 50)]})["models"]
    assert (model.tau, model.curve) == (None, "")
