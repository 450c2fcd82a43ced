"""Several tournaments of one persona as one."""

import math

import pytest

from pipelines.labelling.knockout import Outcome
from pipelines.tournaments import sum_up


def _won(winner, **wins):
    losers = sorted(wins.keys() - {winner}, key=wins.__getitem__, reverse=True)
    return Outcome(winner, 10, 1, wins, [winner, *losers])


@pytest.mark.parametrize(
    ("outcomes", "winner", "confidence"),
    [
        ([_won("a", a=3), _won("b", b=3), _won("a", a=3)], "a", 2 / 3),
        ([_won("a", a=3), _won("a", a=3)], "a", 1.0),
        # a, b and c won one each; b also won more matches where it did not win the whole
        ([_won("a", a=3, b=2), _won("b", b=3), _won("c", c=3, a=1)], "b", 1 / 3),
    ],
)
def test_who_wins_most_often_is_the_winner_and_its_share_the_confidence(
    outcomes, winner, confidence
):
    for seed in range(5):
        summary = sum_up(outcomes, seed)
        assert summary == {
            "winner": winner,
            "finalists": summary["finalists"],
            "calls": 10 * len(outcomes),
            "undecided": len(outcomes),
            "repeats": len(outcomes),
            "confidence": pytest.approx(confidence),
        }


def test_equals_are_left_to_a_coin_whatever_their_order():
    outcomes = [_won("a", a=3), _won("b", b=3)]
    winners = [sum_up(outcomes, seed)["winner"] for seed in range(40)]
    assert set(winners) == {"a", "b"}
    assert winners == [sum_up(outcomes[::-1], seed)["winner"] for seed in range(40)]


def test_a_single_tournament_has_no_confidence():
    assert math.isnan(sum_up([_won("a", a=3)], 0)["confidence"])


def test_finalists_of_several_tournaments_are_ordered_by_their_places_in_all():
    first = Outcome("a", 10, 0, {"a": 2}, ["a", "b", "c"])
    again = Outcome("a", 10, 0, {"a": 2}, ["a", "c", "d"])
    other = Outcome("b", 10, 0, {"b": 2}, ["b", "c", "d"])
    # points: a 6, b 2 + 3, c 1 + 2 + 2, d 1 + 1; b and c are equal: by id
    assert sum_up([first, again, other], 0)["finalists"] == ["a", "b", "c", "d"]
    assert sum_up([other, again, first], 0)["finalists"] == ["a", "b", "c", "d"]
    # The winner stands first, whoever has more points.
    wins = [Outcome("b", 1, 0, {"b": 9}, ["b", "a"]), Outcome("c", 1, 0, {"c": 1}, ["c", "a"])]
    assert sum_up([*wins, Outcome("a", 1, 0, {"a": 1}, ["a", "d"])], 0)["finalists"][0] == "b"
