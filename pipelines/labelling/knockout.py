"""Knockout tournaments: which of N products a persona's teacher prefers, in matches of a few.

A match is asked in an order and in its reverse, so that every picture has the same mean place on
the page; a picture's score is the sum of its places in the two replies (Borda). A leader by enough
goes on; otherwise the match is asked again, shuffled and in reverse, until one leads or the calls
are used up. Two such askings count together or, where one of them failed, not at all: what was
ranked in one order only may owe its place to the page. Only a tie that is left goes to a seeded
coin, and is counted.

Groups of g need (N - 1) / (g - 1) matches, pairs N - 1. (The paper, arXiv 2510.12014, plays pairs,
asks once, in one order, and gives failures to the first.)
"""

from collections import Counter, deque
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise

import numpy as np

from pipelines.labelling.teachers.asking import Ranker
from pipelines.labelling.teachers.protocol import Reply, Request

# Requests at once. Measured on the studio: eight callers idle 3 % of the time, and a budget of 30
# tournaments ends 26 of them; with 256 they idle 1 %, and it ends 18.
IN_FLIGHT = 32
FINALISTS = 10  # kept at least, as the teacher's order of the best (nDCG@10)


@dataclass(frozen=True)
class Rules:
    """How matches are played."""

    group_size: int
    """Pictures a match, two at least."""
    max_calls: int
    """Calls a match at most, an even number."""

    def lead(self, left: int) -> int:
        """Places by which a winner must lead, so many being left.

        One; in the last two rounds as many as lie between first and last, but four at most: there
        the good ones meet, and a few more calls decide most (on the studio, groups of five: 97 %
        true best instead of 91 %, for a tenth more calls). Between two, where a place is all there
        is, both orders must name the same.
        """
        return 1 if left > self.group_size**2 else min(self.group_size - 1, 4)


@dataclass(frozen=True)
class Entry:
    """A tournament to hold."""

    persona_id: str
    products: Sequence[str]
    seed: int
    """Draws the groups and the orders, and tosses the coins."""
    number: int = 0
    """Which of the persona's tournaments: each asks its own questions, even about equal groups."""


@dataclass(frozen=True)
class Outcome:
    """Who won, in how many calls, and how many matches a coin decided."""

    winner: str
    calls: int
    undecided: int
    wins: Mapping[str, int]
    """Matches won, of all who won any."""
    finalists: Sequence[str]
    """Who was in the last two rounds, and in as many more as it takes to find ten, best first.

    The winner, then the others by how late they lost; who lost in the same round stands by its mean
    place in the match that it lost.
    """


def hold(
    ranker: Ranker, entries: Sequence[Entry], rules: Rules, in_flight: int = IN_FLIGHT
) -> list[Outcome | None]:
    """Hold tournaments together: what all of them have open is asked at once.

    They begin in order, the next one as soon as there is room: one that is near its end has few
    questions, and where a budget ends, few have been begun in vain. An outcome depends on its
    entry alone, not on who else plays.

    Args:
        ranker: Who decides the matches.
        entries: The tournaments.
        rules: Of every match.
        in_flight: No tournament begins while as many requests are open.

    Returns:
        An outcome an entry; None where the budget ended before it: no winner is guessed.

    Raises:
        ValueError: An entry has no products.
    """
    tournaments = [_Tournament(entry, rules) for entry in entries]
    waiting, playing = deque(tournaments), list[_Tournament]()
    while waiting or playing:
        room = in_flight - sum(len(one.requests) for one in playing)
        while waiting and room > 0:
            playing.append(waiting.popleft())
            room -= len(playing[-1].requests)
        requests = [request for one in playing for request in one.requests]
        replies = iter(ranker.rank(requests)) if requests else iter(())
        for one in playing:
            one.receive([next(replies) for _ in one.requests])
        playing = [one for one in playing if one.requests]
    return [one.outcome for one in tournaments]


class _Tournament:
    """A tournament between two calls of the ranker: what is to be asked, or the outcome."""

    def __init__(self, entry: Entry, rules: Rules) -> None:
        if not entry.products:
            msg = f"got no products for persona {entry.persona_id}, expected one at least"
            raise ValueError(msg)
        self.requests: list[Request] = []
        self.outcome: Outcome | None = None
        self._rounds = _play_rounds(entry, rules)
        self._ask_next(None)

    def receive(self, replies: Sequence[Reply | None]) -> None:
        """Go on with the replies to the requests; give up where one is missing."""
        known = [reply for reply in replies if reply is not None]
        if len(known) < len(self.requests):
            self.requests = []
        elif self.requests:
            self._ask_next(known)

    def _ask_next(self, replies: list[Reply] | None) -> None:
        """Hand the replies to the rounds; None before the first question."""
        try:
            self.requests = next(self._rounds) if replies is None else self._rounds.send(replies)
        except StopIteration as end:
            self.requests, self.outcome = [], end.value


def _play_rounds(entry: Entry, rules: Rules) -> Generator[list[Request], list[Reply], Outcome]:
    """Round after round: yields what to ask, takes the replies, returns the outcome."""
    rng = np.random.default_rng(entry.seed)
    left = list(entry.products)
    calls = undecided = 0
    wins = Counter[str]()
    lost: list[list[str]] = []  # a round
    while len(left) > 1:
        lead = rules.lead(len(left))
        shuffled = [left[place] for place in rng.permutation(len(left))]
        groups, byes = _draw(shuffled, rules.group_size)
        matches = [_Match(group) for group in groups]
        while still := [match for match in matches if match.open(lead, rules.max_calls)]:
            replies = yield _questions(entry, rules, still, rng)
            for place, match in enumerate(still):
                match.count(replies[2 * place : 2 * place + 2])
        winners = [match.winner(rng) for match in matches]
        wins.update(winners)
        calls += sum(match.calls for match in matches)
        undecided += sum(len(match.leaders) > 1 for match in matches)
        lost.append(_losers(matches, winners))
        left = winners + byes
    return Outcome(left[0], calls, undecided, wins, [*left, *_last_losers(lost)])


def _last_losers(lost: Sequence[Sequence[str]]) -> list[str]:
    """Of the losers of each round those of the last two, latest first, and of more up to ten."""
    found = list(chain.from_iterable(reversed(lost[-2:])))
    for losers in reversed(lost[:-2]):
        if len(found) >= FINALISTS - 1:
            break
        found += losers
    return found


def _losers(matches: Sequence["_Match"], winners: Sequence[str]) -> list[str]:
    """Who lost in a round, best mean place first; between equals by the order of the matches."""
    places = {
        product: match.mean_place(product)
        for match, winner in zip(matches, winners, strict=True)
        for product in match.group
        if product != winner
    }
    return sorted(places, key=places.__getitem__)


def _questions(
    entry: Entry, rules: Rules, matches: Sequence["_Match"], rng: np.random.Generator
) -> list[Request]:
    """Each match in an order and in its reverse."""
    requests = []
    for match in matches:
        order = tuple(match.group[place] for place in rng.permutation(len(match.group)))
        repeat = (entry.number * rules.max_calls + match.calls) // 2
        requests.append(Request(entry.persona_id, order, repeat))
        requests.append(Request(entry.persona_id, order[::-1], repeat))
    return requests


def _draw(left: Sequence[str], size: int) -> tuple[list[Sequence[str]], list[str]]:
    """Groups in their order, and who goes on without a match.

    As even as can be where that costs no match, otherwise full groups, and the rest has a bye: in
    all rounds together there are as few matches as possible.
    """
    count = -(-len(left) // size)
    if count + matches_needed(count, size) > matches_needed(len(left), size):
        full = len(left) // size * size
        return [left[at : at + size] for at in range(0, full, size)], list(left[full:])
    cuts = [len(left) * number // count for number in range(count + 1)]
    return [left[start:end] for start, end in pairwise(cuts)], []


def matches_needed(left: int, size: int) -> int:
    """The fewest matches of `size` in which one is found among `left`."""
    return -(-(left - 1) // (size - 1))


@dataclass
class _Match:
    group: Sequence[str]
    calls: int = 0
    _places: Counter[str] = field(default_factory=Counter)  # sums over the askings that count
    _counted: int = 0  # replies in those sums

    def count(self, replies: Sequence[Reply]) -> None:
        """Add the replies to an order and to its reverse."""
        self.calls += len(replies)
        rankings = [reply.ranking for reply in replies if reply.ranking is not None]
        if len(rankings) == len(replies):
            self._counted += len(replies)
            for ranking in rankings:
                for place, product in enumerate(ranking):
                    self._places[product] += place

    def open(self, lead: int, max_calls: int) -> bool:
        best, second = sorted(self._places[product] for product in self.group)[:2]
        return self.calls < max_calls and (self.calls == 0 or second - best < lead)

    def mean_place(self, product: str) -> float:
        """From 0, the first; the middle where no asking counts."""
        if not self._counted:
            return (len(self.group) - 1) / 2
        return self._places[product] / self._counted

    @property
    def leaders(self) -> list[str]:
        best = min(self._places[product] for product in self.group)
        return [product for product in self.group if self._places[product] == best]

    def winner(self, rng: np.random.Generator) -> str:
        """The leader, or one of several by a coin."""
        leaders = self.leaders
        return leaders[int(rng.integers(len(leaders)))]
