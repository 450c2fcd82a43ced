"""Knockout tournaments: which of N products a persona's teacher prefers, in matches of a few.

A match is asked in an order and in its reverse, so that every picture has the same mean place on
the page; a picture's score is the sum of its places in the two replies (Borda). A leader by enough
goes on; otherwise the match is asked again, shuffled and in reverse, until one leads or the calls
are used up. Two such askings count together or, where one of them failed, not at all: what was
ranked in one order only may owe its place to the page. Only a tie that is left goes to a seeded
coin, and is counted.

A failed call is no vote. A group of which no asking counts plays on in pairs; of a pair that nobody
can judge both are withdrawn, and counted. So a picture that the teacher refuses is found, and
neither decides who wins nor stops a tournament. Where a round of several matches brings no reply at
all, everybody is withdrawn at once.

Groups of g need about (N - 1) / (g - 1) matches, pairs N - 1. (The paper, arXiv 2510.12014, plays
pairs, asks once, in one order, and gives failures to the first.)
"""

from collections import Counter, deque
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain, pairwise

import numpy as np

from pipelines.labelling.teachers.asking import Ranker
from pipelines.labelling.teachers.protocol import Reply, Request

# Requests at once. Measured on the studio: eight callers idle 3 % of the time, and a budget of 30
# tournaments ends 26 of them; with 256 they idle 1 %, and it ends 18.
IN_FLIGHT = 32
FINALISTS = 10  # kept at least, as the teacher's order of the best (nDCG@10)
SILENT = 4  # calls without an asking that counts, after which a group plays in pairs


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
    """ "" where every product was withdrawn."""
    calls: int
    undecided: int
    wins: Mapping[str, int]
    """Matches won, of all who won any."""
    finalists: Sequence[str]
    """Who was in the last two rounds, and in as many more as it takes to find ten, best first.

    The winner, then the others by how late they lost; who lost in the same round stands by its mean
    place in the match that it lost.
    """
    withdrawn: int = 0
    """Products of which the teacher said nothing."""


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
    calls = undecided = withdrawn = 0
    wins = Counter[str]()
    lost: list[list[str]] = []  # a round
    while len(left) > 1:
        shuffled = [left[place] for place in rng.permutation(len(left))]
        ends = accumulate(group_sizes(len(left), rules.group_size), initial=0)
        groups = [shuffled[start:end] for start, end in pairwise(ends)]
        played = yield from _play_round(entry, rules, groups, rules.lead(len(left)), rng)
        winners = [match.winner(rng) for match in played.matches]
        wins.update(winners)
        calls += played.calls
        withdrawn += played.withdrawn
        undecided += sum(len(match.leaders) > 1 for match in played.matches)
        lost.append(_losers(played.matches, winners))
        left = winners + played.byes
    finalists = [*left, *_last_losers(lost)] if left else []
    return Outcome(left[0] if left else "", calls, undecided, wins, finalists, withdrawn)


@dataclass
class _Round:
    matches: list["_Match"]  # of which an asking counts
    byes: list[str]  # who play on without one
    withdrawn: int
    calls: int


def _play_round(
    entry: Entry, rules: Rules, groups: list[list[str]], lead: int, rng: np.random.Generator
) -> Generator[list[Request], list[Reply], _Round]:
    """The matches of a round; groups that nobody could judge play on in pairs."""
    matches = [_Match(group) for group in groups if len(group) > 1]
    byes = [group[0] for group in groups if len(group) == 1]
    yield from _ask(entry, rules, matches, lead, rng)
    silent = [match for match in matches if not match.heard]
    hopeless = len(silent) == len(matches) > 1
    withdrawn = sum(len(match.group) for match in silent if hopeless or len(match.group) == 2)
    for match in [] if hopeless else silent:
        group = match.group
        pairs = [_Match(group[at : at + 2]) for at in range(0, len(group) - 1, 2)]
        if len(group) > 2:
            yield from _ask(entry, rules, pairs, lead, rng)
            matches += pairs
            unheard = sum(not pair.heard for pair in pairs)
            withdrawn += 2 * unheard
            if len(group) % 2:  # if all pairs were heard, it is the last that nobody can judge
                byes += [group[-1]] if unheard else []
                withdrawn += not unheard
    heard = [match for match in matches if match.heard]
    return _Round(heard, byes, withdrawn, sum(match.calls for match in matches))


def _ask(
    entry: Entry, rules: Rules, matches: Sequence["_Match"], lead: int, rng: np.random.Generator
) -> Generator[list[Request], list[Reply], None]:
    """Again and again, until each is decided or has used up its calls."""
    while still := [match for match in matches if match.open(lead, rules.max_calls)]:
        replies = yield _questions(entry, rules, still, rng)
        for place, match in enumerate(still):
            match.count(replies[2 * place : 2 * place + 2])


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


def group_sizes(left: int, size: int) -> list[int]:
    """Of the groups of a round: as few groups as can be, as even as can be.

    One of a single product plays no match. Nobody else has a bye, though that would save a match
    here and there: who comes to the last rounds unbeaten by luck stands among the finalists.
    """
    count = -(-left // size)
    cuts = [left * number // count for number in range(count + 1)]
    return [end - start for start, end in pairwise(cuts)]


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
        if self.calls >= SILENT and not self.heard and len(self.group) > 2:
            return False
        best, second = sorted(self._places[product] for product in self.group)[:2]
        return self.calls < max_calls and (self.calls == 0 or second - best < lead)

    @property
    def heard(self) -> bool:
        """Whether an asking counts."""
        return self._counted > 0

    def mean_place(self, product: str) -> float:
        """From 0, the first."""
        return self._places[product] / self._counted

    @property
    def leaders(self) -> list[str]:
        best = min(self._places[product] for product in self.group)
        return [product for product in self.group if self._places[product] == best]

    def winner(self, rng: np.random.Generator) -> str:
        """The leader, or one of several by a coin."""
        leaders = self.leaders
        return leaders[int(rng.integers(len(leaders)))]
