"""What a teacher's rankings say about the teacher: effect sizes, each with its sampling error.

Effect sizes rather than p-values: with thousands of groups a bias too small to matter has a tiny
p-value. The sampling error keeps a small sample from being blamed for its size.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from validation.measures import Estimate

Ranking = Sequence[str]  # best first
Pair = tuple[str, str]

_TIE = 1e-9  # utilities nearer than this are equal: sums of the same weights differ by rounding
_COIN = 0.25  # share of cyclic triples where a coin decides every pair: 2 of 8 outcomes


def pairwise_agreement(worth: Sequence[float]) -> float:
    """The share of pairs with different utility that stand in the right order, best first.

    Args:
        worth: True utilities in the order of the ranking.

    Returns:
        A number in [0, 1]; NaN where no pair differs.
    """
    pairs = [(a, b) for a, b in combinations(worth, 2) if abs(a - b) > _TIE]
    return sum(a > b for a, b in pairs) / len(pairs) if pairs else float("nan")


def winner_position_v(places: Sequence[int], sizes: Sequence[int]) -> Estimate:
    """Cramér's V between winning and the place on the page: 0 = none, 1 = one place always wins.

    V = sqrt(chi2 / (N (k - 1))) of the goodness of fit to equal chances (Cramér 1946), with the
    expectation of chi2 under equal chances, k - 1, taken off: else V of a fair teacher would be
    about 1 / sqrt(N). chi2 has variance 2 (k - 1) there.

    Args:
        places: Of each group's winner, 1 = presented first; others than 1..k do not count.
        sizes: How many pictures each group shows; k is the largest.
    """
    k = max(sizes, default=0)
    counted = [(place, size) for place, size in zip(places, sizes, strict=True) if 1 <= place <= k]
    if k < 2 or not counted:
        return Estimate(math.nan, math.nan, len(counted), "groups", 2)
    observed, expected = np.zeros(k), np.zeros(k)
    for place, size in counted:
        observed[place - 1] += 1
        expected[:size] += 1 / size
    chi2 = float((np.square(observed - expected)[expected > 0] / expected[expected > 0]).sum())
    scale = len(counted) * (k - 1)
    v = math.sqrt(max(0.0, chi2 - (k - 1)) / scale)
    return Estimate(v, math.sqrt(2 * (k - 1)) / scale, len(counted), "groups", 2)


def rank_shifts(presented: Sequence[Ranking], rankings: Sequence[Ranking]) -> list[float]:
    """By place on the page: mean rank of the pictures shown there, less the mean rank of all.

    Negative: pictures there are ranked better than they deserve. Groups must be permutations.
    """
    shifts: dict[int, list[float]] = defaultdict(list)
    for shown, ranking in zip(presented, rankings, strict=True):
        rank = {product: i for i, product in enumerate(ranking, start=1)}
        for place, product in enumerate(shown):
            shifts[place].append(rank[product] - (len(shown) + 1) / 2)
    return [float(np.mean(shifts[place])) for place in sorted(shifts)]


def largest_rank_shift(presented: Sequence[Ranking], rankings: Sequence[Ranking]) -> Estimate:
    """The largest of `rank_shifts`, in ranks, without its sign.

    A fair teacher's rank of a place is uniform over 1..k: variance (k^2 - 1) / 12.
    """
    shifts = rank_shifts(presented, rankings)
    if not shifts:
        return Estimate(math.nan, math.nan, 0, "groups")
    error = math.sqrt((len(shifts) ** 2 - 1) / 12 / len(rankings))
    return Estimate(max(abs(shift) for shift in shifts), error, len(rankings), "groups")


def kendall_tau(first: Ranking, again: Ranking) -> float:
    """Kendall's tau (1938) of two orders of the same things: 1 = equal, -1 = reversed.

    Raises:
        KeyError: Something of the second is not in the first.
    """
    from scipy.stats import kendalltau  # here: only a gate needs it

    place = {product: i for i, product in enumerate(first)}
    if len(again) < 2:
        return math.nan
    return float(kendalltau(range(len(again)), [place[product] for product in again]).statistic)


def mean_repeat_tau(first: Sequence[Ranking], again: Sequence[Ranking]) -> Estimate:
    """Mean tau between two answers about the same pictures.

    Of unrelated orders of n things tau has variance 2 (2n + 5) / (9 n (n - 1)) (Kendall 1938).
    """
    taus = [kendall_tau(a, b) for a, b in zip(first, again, strict=True)]
    sizes = [len(ranking) for ranking in first]
    if min(sizes, default=0) < 2:
        return Estimate(math.nan, math.nan, len(taus), "repeats")
    variances = [2 * (2 * n + 5) / (9 * n * (n - 1)) for n in sizes]
    error = math.sqrt(sum(variances)) / len(taus)
    return Estimate(float(np.mean(taus)), error, len(taus), "repeats")


def share(met: Sequence[bool], unit: str) -> Estimate:
    """The share of units that meet something; its error is that of a fair coin, the widest."""
    if not met:
        return Estimate(math.nan, math.nan, 0, unit)
    return Estimate(sum(met) / len(met), math.sqrt(0.25 / len(met)), len(met), unit)


def cyclic_share(personas: Sequence[str], rankings: Sequence[Ranking]) -> Estimate:
    """The share of circular triads, a over b over c over a (Kendall and Babington Smith 1940).

    Among triples of one persona of which each pair stands in some ranking (majority of them; a
    tie leaves the pair out) but no ranking holds all three: one ranking is never circular, and
    each would decide two pairs at once. So the three pairs come from different rankings, and a
    teacher that tosses coins gets exactly one in four.
    """
    by_persona: dict[str, list[Ranking]] = defaultdict(list)
    for persona, ranking in zip(personas, rankings, strict=True):
        by_persona[persona].append(ranking)
    found = Counter[bool]()
    for judged in by_persona.values():
        found.update(_circular(judged))
    count = found.total()
    if not count:
        return Estimate(math.nan, math.nan, 0, "triples")
    error = math.sqrt(_COIN * (1 - _COIN) / count)
    return Estimate(found[True] / count, error, count, "triples")


def _circular(rankings: Sequence[Ranking]) -> Iterator[bool]:
    """Of each triple that counts, whether it is circular."""
    over = _majority(rankings)
    beside: dict[str, set[str]] = defaultdict(set)
    for a, b in over:
        beside[min(a, b)].add(max(a, b))
    held = {triple for ranking in rankings for triple in combinations(sorted(ranking), 3)}
    for a, after in list(beside.items()):
        for b, c in combinations(sorted(after), 2):
            if c in beside.get(b, ()) and (a, b, c) not in held:
                wins = ((a, b) in over, (b, c) in over, (c, a) in over)
                yield len(set(wins)) == 1


def _majority(rankings: Sequence[Ranking]) -> set[Pair]:
    """Pairs (better, worse), by the majority of the rankings that hold both."""
    votes = Counter(pair for ranking in rankings for pair in combinations(ranking, 2))
    return {(a, b) for (a, b), n in votes.items() if n > votes.get((b, a), 0)}


def winner_drift(before: Sequence[str], now: Sequence[str]) -> Estimate:
    """Total variation between two distributions of winners: 0 = equal, 1 = nothing in common.

    TV = sum |p - q| / 2. Two samples of one distribution differ as well: each |p - q| has the mean
    s sqrt(2 / pi) and the variance s^2 (1 - 2 / pi) of a folded normal (Leone et al. 1961), with
    s^2 = p (1 - p) (1 / n + 1 / m). That mean is taken off; the variances are added up as if the
    differences were independent, which they are not quite: they sum to 0.
    """
    n, m = len(before), len(now)
    if not (n and m):
        return Estimate(math.nan, math.nan, m, "winners")
    names = sorted({*before, *now})
    p, q = (_distribution(sample, names) for sample in (before, now))
    pooled = (n * p + m * q) / (n + m)
    s = np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    by_chance = float(s.sum()) * math.sqrt(2 / math.pi) / 2
    error = math.sqrt(float(np.square(s).sum()) * (1 - 2 / math.pi)) / 2
    distance = float(np.abs(p - q).sum()) / 2
    return Estimate(max(0.0, distance - by_chance), error, m, "winners")


def _distribution(sample: Sequence[str], names: Sequence[str]) -> NDArray[np.float64]:
    counts = Counter(sample)
    return np.array([counts[name] / len(sample) for name in names])


def largest_share(winners: Sequence[str]) -> Estimate:
    """The share of groups that the most frequent winner won."""
    if not winners:
        return Estimate(math.nan, math.nan, 0, "groups")
    value = max(Counter(winners).values()) / len(winners)
    return Estimate(value, math.sqrt(value * (1 - value) / len(winners)), len(winners), "groups")


def appearances(ids: Sequence[str], seen: Sequence[str | None]) -> Mapping[str, int]:
    """How often each of `ids` was seen."""
    counts = Counter(seen)
    return {name: counts[name] for name in ids}
