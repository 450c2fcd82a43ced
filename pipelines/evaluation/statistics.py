"""Means, intervals and paired tests as the evaluation reports them: null where none can be told.

N values; a unit is the name of a value's cluster, such as a persona's interest.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.resampling import (
    FEWEST,
    cluster_weights,
    quantile_interval,
    resampled_means,
    sign_flip_p_value,
)

Floats = NDArray[np.floating]
Values = Sequence[float] | Floats
Units = Sequence[Hashable]


@dataclass(frozen=True)
class Resampling:
    """How often, and with which seed."""

    samples: int
    """Of the bootstrap."""
    permutations: int
    """Sign patterns of the paired test."""
    seed: int


def mean_of(values: Values) -> float | None:
    """The mean of the values that are not NaN; None where there is none."""
    array = _array(values)
    known = array[~np.isnan(array)]
    return float(known.mean()) if len(known) else None


def count_clusters(values: Values, units: Units) -> int:
    """How many clusters the values that are not NaN come from."""
    return len(set(_known(values, units)[1]))


def interval_of(values: Values, units: Units, resampling: Resampling) -> list[float] | None:
    """The mean's 95 % interval, clusters resampled, NaN left out; None below ten clusters.

    What a bootstrap of fewer gives is far too narrow: of two it is the range between them.
    """
    known, theirs = _known(values, units)
    if len(set(theirs)) < FEWEST:
        return None
    weights_SN = cluster_weights(theirs, resampling.samples, resampling.seed)
    return quantile_interval(resampled_means(known[:, None], weights_SN)[:, 0])


def p_value_of(differences: Values, units: Units, resampling: Resampling) -> float | None:
    """Of the paired permutation test, two-sided, NaN left out; None below ten clusters."""
    known, theirs = _known(differences, units)
    if len(set(theirs)) < FEWEST:
        return None
    return sign_flip_p_value(known, theirs, resampling.permutations, resampling.seed)


def gap_closed(
    base: Values, student: Values, ceiling: Values, units: Units, resampling: Resampling
) -> dict[str, Any]:
    """(student - base) / (ceiling - base) of the means, with its 95 % interval.

    The three are paired; each persona that is drawn brings all three values. Both None where the
    ceiling is not above the base, the interval also where that is so in some resample, and below
    ten clusters.
    """
    table_N3 = np.stack([_array(base), _array(student), _array(ceiling)], axis=1)
    if not len(table_N3):
        return {"share": None, "ci95": None}
    share = _share(table_N3.mean(axis=0)[None])[0]
    weights_SN = cluster_weights(units, resampling.samples, resampling.seed)
    draws = _share(resampled_means(table_N3, weights_SN))
    sure = len(set(units)) >= FEWEST and not np.isnan(draws).any()
    return {
        "share": None if np.isnan(share) else float(share),
        "ci95": quantile_interval(draws) if sure else None,
    }


def _share(means_S3: Floats) -> Floats:
    base_S, student_S, ceiling_S = means_S3.T
    gap_S = ceiling_S - base_S
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(gap_S > 0, (student_S - base_S) / gap_S, np.nan)


def _array(values: Values) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64)


def _known(values: Values, units: Units) -> tuple[NDArray[np.float64], list[Hashable]]:
    """The values that are not NaN, and their units."""
    array = _array(values)
    rows = np.flatnonzero(~np.isnan(array)).tolist()
    return array[rows], [units[row] for row in rows]
