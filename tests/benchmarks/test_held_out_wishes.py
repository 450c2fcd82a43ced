"""What the benchmark prints, by hand."""

from benchmarks.held_out_wishes import Way, choices, choose, rows_of
from pipelines.held_out.choice import Validation


def _found(known, new, high, drop=0.0):
    return Validation(known, new, high, drop)


def _way(name, val, test=None, interval=(-0.01, 0.02)):
    return Way(name, val, test or val, interval)


BASE, WITHIN = _way("base model", _found(0, 0, 0)), _way("within", _found(0.9, 0.9, 0.9))


def _draw(*ways):
    return [*ways, BASE, WITHIN]


def test_the_rule_takes_the_best_that_does_no_harm_and_else_the_base_model():
    free = _way("free", _found(0.2, -0.1, -0.05))
    half = _way("half", _found(0.1, 0.0, 0.02))
    forgetful = _way("forgetful", _found(0.3, 0.1, 0.2, drop=0.2))
    assert choose(_draw(free, half, forgetful), 0.03) is half
    assert choose(_draw(free, forgetful), 0.03) is BASE


def test_a_row_a_way_has_the_mean_and_the_range_over_the_draws_of_the_test_split():
    draws = [
        _draw(_way("free", _found(0.5, 0.5, 0.5), _found(known, new, new)))
        for known, new in ((0.2, -0.04), (0.1, 0.02))
    ]
    rows = list(rows_of(draws, [draw[0] for draw in draws]))
    assert [row[0] for row in rows] == ["free", "base model", "within", "**the rule's choice**"]
    assert rows[0][1:3] == ["+15.0 (+10.0 to +20.0)", "-1.0 (-4.0 to +2.0)"]
    assert rows[3][1:] == rows[0][1:]


def test_each_draw_has_its_choice_beside_what_nothing_held_back_gives():
    draw = _draw(_way("free", _found(0.2, 0.0, 0.0)), _way("half", _found(0.15, 0.05, 0.1)))
    (row,) = choices([draw], [draw[1]])
    assert row == ["0", "half", "+15.0 (+20.0)", "+5.0 (-1.0 to +2.0)", "+0.0"]
