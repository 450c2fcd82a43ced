"""Means, intervals and paired tests as the evaluation reports them: null where none can be told."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.metrics import (
    bootstrap_interval,
    bootstrap_means,
    quantile_interval,
    sign_flip_p_value,
)

Floats = NDArray[np.floating]
Values = Sequence[float] | Floats


FEWEST = 5  # values that an interval needs


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
    known = _known(values)
    return float(known.mean()) if len(known) else None


def interval_of(values: Values, resampling: Resampling) -> list[float] | None:
    """The mean's 95 % interval, NaN left out; None below five values.

    What a bootstrap of fewer gives is far too narrow: of two it is the range between them.
    """
    known = _known(values)
    if len(known) < FEWEST:
        return None
    return bootstrap_interval(known, resampling.samples, resampling.seed)


def p_value_of(differences: Values, resampling: Resampling) -> float | None:
    """Of the paired permutation test, two-sided, NaN left out; None without differences."""
    known = _known(differences)
    if not len(known):
        return None
    return sign_flip_p_value(known, resampling.permutations, resampling.seed)


def gap_closed(
    base: Values, student: Values, ceiling: Values, resampling: Resampling
) -> dict[str, Any]:
    """(student - base) / (ceiling - base) of the means, with its 95 % interval.

    The three are paired; personas are resampled, each with all three values. Both None where the
    ceiling is not above the base, the interval also where that is so in some resample.
    """
    table_N3 = np.stack([_array(base), _array(student), _array(ceiling)], axis=1)
    if not len(table_N3):
        return {"share": None, "ci95": None}
    share = _share(table_N3.mean(axis=0)[None])[0]
    draws = _share(bootstrap_means(table_N3, resampling.samples, resampling.seed))
    sure = len(table_N3) >= FEWEST and not np.isnan(draws).any()
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


def _known(values: Values) -> NDArray[np.float64]:
    array = _array(values)
    return array[~np.isnan(array)]
