"""A knockout tournament: which of N products a persona's teacher prefers, in pairwise matches.

Every match is asked in both orders of presentation; who wins both goes on. A split, or a reply that
is no ranking, is asked again in either order in turn until one leads by two or the calls are used
up; then the leader goes on, and only a tie is left to a seeded coin, which is counted. (The paper,
arXiv 2510.12014, asks once, in one order, and gives failures to the first.)
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pipelines.teachers.protocol import Request, Teacher


@dataclass(frozen=True)
class Outcome:
    """Who won, in how many calls, and how many matches a coin decided."""

    winner: str
    calls: int
    undecided: int


@dataclass
class _Match:
    pair: tuple[str, str]
    wins: list[int] = field(default_factory=lambda: [0, 0])
    calls: int = 0

    def next_order(self) -> tuple[str, str]:
        return self.pair if self.calls % 2 == 0 else self.pair[::-1]

    def open(self, max_calls: int) -> bool:
        return abs(self.wins[0] - self.wins[1]) < 2 and self.calls < max_calls


def knockout(
    teacher: Teacher, persona_id: str, products: Sequence[str], seed: int, max_calls: int
) -> Outcome:
    """Hold a tournament.

    Args:
        teacher: Who decides the matches.
        persona_id: For whom.
        products: The candidates, one at least.
        seed: Draws the pairings and tosses the coins.
        max_calls: Calls a match at most, two at least.

    Raises:
        ValueError: No candidates.
    """
    if not products:
        msg = f"got no products for persona {persona_id}, expected one at least"
        raise ValueError(msg)
    rng = np.random.default_rng(seed)
    left = list(products)
    calls = undecided = 0
    while len(left) > 1:
        left = [left[place] for place in rng.permutation(len(left))]
        pairs = zip(left[::2], left[1::2], strict=False)
        matches = [_Match(pair) for pair in pairs]
        _play(teacher, persona_id, matches, max_calls)
        bye = left[-1:] if len(left) % 2 else []
        coins = rng.integers(0, 2, size=len(matches))
        left = [_winner(match, int(coin)) for match, coin in zip(matches, coins, strict=True)] + bye
        calls += sum(match.calls for match in matches)
        undecided += sum(match.wins[0] == match.wins[1] for match in matches)
    return Outcome(left[0], calls, undecided)


def _play(teacher: Teacher, persona_id: str, matches: list[_Match], max_calls: int) -> None:
    """Ask for every open match at once, again and again, until none is open."""
    while still := [match for match in matches if match.open(max_calls)]:
        requests = [Request(persona_id, match.next_order(), match.calls // 2) for match in still]
        for match, reply in zip(still, teacher.rank(requests), strict=True):
            match.calls += 1
            if reply.ranking is not None:
                match.wins[match.pair.index(reply.ranking[0])] += 1


def _winner(match: _Match, coin: int) -> str:
    first, second = match.wins
    return match.pair[coin if first == second else int(second > first)]
