"""How sure a mean is, where its values hang together.

Personas who want the same thing are no independent witnesses: what a model gains with one gardener
it gains with the next. So clusters (interests, subjects) are resampled, not values alone; their
number decides how sure a mean is (Davison & Hinkley, Bootstrap Methods, 1997, section 3.8).

N values, M columns, S resamples; a unit is the name of a value's cluster.
"""

from collections.abc import Hashable, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

FEWEST = 10  # clusters that an interval or a test needs
_FLIPS_AT_ONCE = 1000  # rows of signs in memory


def cluster_weights(units: Sequence[Hashable], samples: int, seed: int) -> NDArray[np.float64]:
    """How often each value counts in each resample, (S, N).

    Both stages of the two-stage bootstrap: as many clusters as there are, with replacement; then in
    each that was drawn as many values as it has, with replacement. Where every value is a cluster
    of its own this is the ordinary bootstrap.
    """
    rng = np.random.default_rng(seed)
    members = _members(units)
    weights_SN = np.zeros((samples, len(units)))
    if not members:
        return weights_SN
    drawn_SC = rng.multinomial(len(members), np.full(len(members), 1 / len(members)), size=samples)
    for times_S, rows in zip(drawn_SC.T, members, strict=True):
        share = np.full(len(rows), 1 / len(rows))
        weights_SN[:, rows] = rng.multinomial(times_S * len(rows), share)
    return weights_SN


def crossed_weights(
    units: Sequence[Sequence[Hashable]], samples: int, seed: int
) -> NDArray[np.float64]:
    """The same where a value belongs to several clusters at once, (S, N): a query to its subjects.

    Clusters are drawn with replacement, and a value counts as often as the product of how often its
    clusters were drawn (the pigeonhole bootstrap; Owen, Annals of Applied Statistics 1, 2007).
    """
    rng = np.random.default_rng(seed)
    names = list(dict.fromkeys(unit for some in units for unit in some))
    weights_SN = np.zeros((samples, len(units)))
    if not names:
        return weights_SN
    drawn_SC = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=samples)
    column = {name: number for number, name in enumerate(names)}
    for number, some in enumerate(units):
        weights_SN[:, number] = drawn_SC[:, [column[unit] for unit in some]].prod(axis=1)
    return weights_SN


def resampled_means(values_NM: Floats, weights_SN: Floats) -> NDArray[np.float64]:
    """Weighted column means of each resample, (S, M); NaN in one that is empty.

    The rows stay together, so that what is computed from several columns is paired.
    """
    with np.errstate(invalid="ignore"):
        means: NDArray[np.float64] = (weights_SN @ values_NM) / weights_SN.sum(axis=1)[:, None]
    return means


def quantile_interval(draws: Floats) -> list[float]:
    """The middle 95 % of a bootstrap's draws, [low, high]; empty resamples, NaN, are left out."""
    low, high = np.nanquantile(draws, [0.025, 0.975])
    return [float(low), float(high)]


def sign_flip_p_value(
    differences: Sequence[float] | Floats, units: Sequence[Hashable], samples: int, seed: int
) -> float:
    """Two-sided p-value of the paired permutation test on the mean difference, in (0, 1].

    If two models were alike, the differences of a cluster could as well all have the other sign
    (Fisher, The Design of Experiments, 1935, ch. 3). The share of sign patterns under which the
    mean is as far from 0 as the one seen: of all 2^clusters where those are no more than
    `samples`, else of so many random ones and the one seen, (1 + hits) / (1 + samples), which is
    never 0 (Phipson & Smyth, 2010). NaN without differences.
    """
    from scipy.stats import permutation_test  # here: the service does without

    values_N = np.asarray(differences, dtype=np.float64)
    sums_C = np.array([values_N[rows].sum() for rows in _members(units)])
    if len(sums_C) < 2:  # SciPy takes two at least; one is as far out with either sign
        return 1.0 if len(sums_C) else float("nan")
    found = permutation_test(
        (sums_C / (np.abs(sums_C).sum() or 1.0),),
        # Rounded: sums of the same numbers in another order differ in their last digits.
        lambda flipped, axis: np.abs(flipped.sum(axis=axis)).round(12),
        permutation_type="samples",
        alternative="greater",
        n_resamples=samples,
        vectorized=True,
        batch=_FLIPS_AT_ONCE,
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def mean_interval(values: Floats, units: Sequence[Hashable], level: float) -> tuple[float, float]:
    """The t-interval of a mean whose values come in clusters.

    mean ± t(G - 1) · √(G / (G - 1) · Σ_g (Σ_{i in g} (v_i - mean))²) / n, the cluster-robust
    variance with G - 1 degrees of freedom (Cameron & Miller, Journal of Human Resources 50, 2015,
    eq. 11); of clusters of one value each it is Student's. All values in one cluster: the interval
    is about that cluster, and the values are taken one by one.

    Args:
        values: Two at least; a point comes out where all are equal.
        units: The cluster of each.
        level: In (0, 1).
    """
    mean = float(values.mean())
    if len(set(units)) < 2:
        units = range(len(values))
    number = {unit: place for place, unit in enumerate(dict.fromkeys(units))}
    sums_G = np.bincount([number[unit] for unit in units], weights=values - mean)
    count = len(sums_G)
    spread = float(np.sqrt(count / (count - 1) * np.square(sums_G).sum())) / len(values)
    half = _t_quantile((1 + level) / 2, count - 1) * spread
    return mean - half, mean + half


@cache
def _t_quantile(probability: float, degrees: int) -> float:
    from scipy.stats import t  # here: half a second that most who import this do not need

    return float(t.ppf(probability, degrees))


def _members(units: Sequence[Hashable]) -> list[list[int]]:
    """The rows of each cluster, in the order in which clusters first come."""
    members: dict[Hashable, list[int]] = {}
    for row, unit in enumerate(units):
        members.setdefault(unit, []).append(row)
    return list(members.values())
