from collections import Counter
from zlib import crc32

import numpy as np
import pytest

from pipelines.knockout import knockout
from pipelines.teachers.protocol import Reply


class Scripted:
    """A teacher that answers with a function of the request; it keeps what it was asked."""

    name = "scripted"

    def __init__(self, answer):
        self.answer = answer
        self.asked = []
        self.rounds = []

    def rank(self, requests):
        self.asked += requests
        self.rounds.append(len(requests))
        return [Reply("", self.answer(request)) for request in requests]


def by_number(request):
    """Without noise: the higher number is better."""
    return tuple(sorted(request.presented, key=int, reverse=True))


def always_first(request):
    return request.presented


def never(request):
    return None


def _ids(count):
    return [str(number) for number in range(count)]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 33, 100])
@pytest.mark.parametrize("max_calls", [2, 5])
def test_without_noise_the_best_wins_in_two_calls_a_match(count, max_calls):
    for seed in range(5):
        teacher = Scripted(by_number)
        outcome = knockout(teacher, "u", _ids(count), seed, max_calls)
        assert outcome.winner == str(count - 1)
        assert outcome.undecided == 0
        assert outcome.calls == len(teacher.asked) == 2 * (count - 1)


def test_every_match_is_asked_in_both_orders_with_a_pair_for_one_persona():
    teacher = Scripted(by_number)
    knockout(teacher, "u7", _ids(9), 3, 5)
    assert {request.persona_id for request in teacher.asked} == {"u7"}
    orders = Counter(request.presented for request in teacher.asked)
    assert set(orders.values()) == {1}
    assert all(orders[presented[::-1]] == 1 for presented in orders)


def test_nobody_plays_on_after_losing():
    teacher = Scripted(by_number)
    knockout(teacher, "u", _ids(16), 0, 2)
    matches = list(dict.fromkeys(frozenset(request.presented) for request in teacher.asked))
    lost = set()
    for match in matches:
        assert not lost & match
        lost.add(min(match, key=int))
    assert len(matches) == len(lost) == 15


def test_a_round_is_asked_at_once():
    teacher = Scripted(by_number)
    knockout(teacher, "u", _ids(16), 0, 5)
    assert teacher.rounds == [8, 8, 4, 4, 2, 2, 1, 1]


def test_a_question_asked_again_is_another_request():
    """Equal requests get equal replies, so asking the same would teach nothing."""
    teacher = Scripted(never)
    knockout(teacher, "u", _ids(2), 0, 7)
    assert len(set(teacher.asked)) == len(teacher.asked) == 7
    assert len({request.presented for request in teacher.asked}) == 2


@pytest.mark.parametrize("max_calls", [2, 4, 6])
def test_a_teacher_that_names_the_first_one_decides_nothing(max_calls):
    """The winner is as good as drawn: each of four products wins a quarter of the tournaments."""
    wins = Counter()
    for seed in range(400):
        outcome = knockout(Scripted(always_first), "u", _ids(4), seed, max_calls)
        wins[outcome.winner] += 1
        assert outcome.calls == 3 * max_calls
    assert all(abs(wins[product] - 100) < 3 * np.sqrt(400 * 0.25 * 0.75) for product in _ids(4))


@pytest.mark.parametrize("max_calls", [2, 4, 6])
def test_matches_that_only_position_decides_are_counted_as_undecided(max_calls):
    outcome = knockout(Scripted(always_first), "u", _ids(6), 0, max_calls)
    assert outcome.undecided == 5


@pytest.mark.parametrize("max_calls", [2, 3, 5])
def test_a_teacher_that_never_answers_ends_in_coins(max_calls):
    wins = Counter()
    for seed in range(200):
        outcome = knockout(Scripted(never), "u", _ids(4), seed, max_calls)
        assert (outcome.calls, outcome.undecided) == (3 * max_calls, 3)
        wins[outcome.winner] += 1
    assert all(20 <= wins[product] <= 80 for product in _ids(4))


def test_a_failed_reply_is_no_win_for_anyone():
    """The paper counts it for the first; here the other replies decide."""

    def fails_where_the_worse_is_first(request):
        return by_number(request) if request.presented[0] == "1" else None

    for seed in range(10):
        outcome = knockout(Scripted(fails_where_the_worse_is_first), "u", _ids(2), seed, 5)
        assert outcome.winner == "1"
        assert outcome.undecided == 0


@pytest.mark.parametrize(
    ("replies", "max_calls", "winner", "calls", "undecided"),
    [
        ("bb", 5, "b", 2, 0),  # both orders agree
        ("abbb", 5, "b", 4, 0),  # a split, asked on until one leads by two
        ("ababa", 5, "a", 5, 0),  # used up: the leader
        ("a-a", 5, "a", 3, 0),  # a failure is asked again
        ("-a", 2, "a", 2, 0),
        ("--b--", 5, "b", 5, 0),
        ("abab", 4, None, 4, 1),  # a tie is left to the coin
    ],
)
def test_a_match_goes_on_until_one_leads_by_two(replies, max_calls, winner, calls, undecided):
    winners = set()
    for seed in range(20):
        script = iter(replies)

        def answer(request, script=script):
            first = next(script)
            other = {"a": "b", "b": "a"}
            return None if first == "-" else (first, other[first])

        outcome = knockout(Scripted(answer), "u", ["a", "b"], seed, max_calls)
        assert (outcome.calls, outcome.undecided) == (calls, undecided)
        winners.add(outcome.winner)
    assert winners == ({winner} if winner else {"a", "b"})


def test_the_same_seed_holds_the_same_tournament():
    def noisy(request):
        flip = crc32(repr(request).encode()) % 3 == 0
        return by_number(request)[:: -1 if flip else 1]

    asked = []
    for seed in (4, 4, 5):
        teacher = Scripted(noisy)
        outcome = knockout(teacher, "u", _ids(12), seed, 5)
        asked.append((outcome, teacher.asked))
    assert asked[0] == asked[1]
    assert asked[0][1] != asked[2][1]


def test_one_product_wins_unasked():
    teacher = Scripted(never)
    outcome = knockout(teacher, "u", ["only"], 0, 5)
    assert (outcome.winner, outcome.calls, outcome.undecided) == ("only", 0, 0)


def test_no_products_are_refused():
    with pytest.raises(ValueError, match="got no products for persona u"):
        knockout(Scripted(by_number), "u", [], 0, 5)
