"""What the evaluation's page draws, read back from its tables.

A table that is not there gives an empty series: such a plot is left out.
"""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.run.paths import CALIBRATION_FILE, SLICES_FILE

TITLES = {
    "random": "random order",
    "text": "caption → text embedding",
    "base": "base model",
    "student": "student, distilled",
    "ceiling": "ceiling: the truth behind the teacher",
}
# What a slice asks, in the order in which a reader does; other slices follow.
SLICE_TITLES = {
    "interests": "by interest, seen or unseen in training",
    "kinds": "by kind of product, seen or unseen in distillation",
    "wants": "by wish: one thing, or several combined",
    "price": "by price of the teacher's choice",
    "category": "by category of the teacher's choice",
    "relation": "by whom it is for",
    "interest": "by interest",
    "situation": "by situation",
    "wishes": "by wishes that are alike, each named by one of them",
}

FEWEST_PAIRS = 10  # a bin of fewer says too little to be drawn; tables and fits keep it
_Z95 = 1.959964  # two-sided 95 % of a normal distribution
_HALVINGS = 50  # of an interval as wide as the answer: to the last digits of a double


@dataclass(frozen=True)
class Histogram:
    """Shares of personas by percentile bin, lowest first; they sum to 1."""

    name: str
    shares: tuple[float, ...]

    @property
    def top(self) -> float:
        """The share in the highest bin."""
        return self.shares[-1]


@dataclass(frozen=True)
class SliceGain:
    """What distillation changed for some of the personas."""

    value: str
    n: int
    clusters: int  # that were resampled for the interval
    base: float | None
    student: float | None
    gain: float  # student - base, mean percentile
    low: float  # its 95 % interval; NaN where there is none
    high: float

    @property
    def is_bad_news(self) -> bool:
        """Whether the whole interval lies below zero."""
        return self.high < 0


@dataclass(frozen=True)
class Bin:
    """Pairs of products whose scores differ by about as much."""

    difference: float
    share: float  # of pairs in which the teacher preferred the one with the higher score
    n: int

    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the share (Wilson 1927), inside [0, 1]."""
        spread = _Z95**2 / self.n
        middle = (self.share + spread / 2) / (1 + spread)
        variance = self.share * (1 - self.share) / self.n + spread / (4 * self.n)
        half = _Z95 * math.sqrt(variance) / (1 + spread)
        return max(0.0, middle - half), min(1.0, middle + half)


def read_histograms(path: Path) -> list[Histogram]:
    """One a name, in the file's order; the table has a row a name (first column) and bin."""
    shares: dict[str, list[float]] = {}
    for row in _rows(path):
        name, _, share = row.values()
        shares.setdefault(name, []).append(float(share))
    return [Histogram(name, tuple(values)) for name, values in shares.items()]


def thinned(histograms: Sequence[Histogram], most: int = 6) -> list[Histogram]:
    """At most `most` of a sequence, evenly spread, the first and the last among them."""
    if len(histograms) <= most:
        return list(histograms)
    return [histograms[int(place)] for place in np.linspace(0, len(histograms) - 1, most).round()]


def read_slices() -> dict[str, list[SliceGain]]:
    """Slice, in the order of `SLICE_TITLES` -> its values, the largest gain first."""
    slices: dict[str, list[SliceGain]] = {}
    for row in _rows(SLICES_FILE):
        gain = _number(row["gain"])
        if math.isnan(gain):
            continue
        base, student = (_known(_number(row[model])) for model in ("base", "student"))
        low, high = _number(row["low"]), _number(row["high"])
        n, clusters = int(float(row["n"])), int(float(row["clusters"]))
        value = SliceGain(row["value"], n, clusters, base, student, gain, low, high)
        slices.setdefault(row["slice"], []).append(value)
    ordered = [name for name in SLICE_TITLES if name in slices]
    ordered += [name for name in slices if name not in SLICE_TITLES]
    return {name: sorted(slices[name], key=lambda value: -value.gain) for name in ordered}


def read_calibration() -> dict[str, list[Bin]]:
    """Model -> its bins that hold a pair, the smallest difference first."""
    models: dict[str, list[Bin]] = {}
    for row in _rows(CALIBRATION_FILE):
        share, n = _number(row["share"]), _number(row["n"])
        if n > 0 and not math.isnan(share):
            models.setdefault(row["model"], []).append(Bin(float(row["difference"]), share, int(n)))
    return {model: sorted(bins, key=lambda each: each.difference) for model, bins in models.items()}


def drawn(bins: Sequence[Bin]) -> list[Bin]:
    """The bins worth drawing: those of `FEWEST_PAIRS` or more; all where there is no such bin."""
    return [each for each in bins if each.n >= FEWEST_PAIRS] or list(bins)


def fit_temperature(bins: Sequence[Bin]) -> float | None:
    """The tau whose Bradley-Terry curve sigmoid(tau * difference) fits best (maximum likelihood).

    None where no positive tau beats a coin, and where none is the best: every share is 1.
    """
    d, share, n = (
        np.array([getattr(each, key) for each in bins], dtype=np.float64)
        for key in ("difference", "share", "n")
    )

    def slope(tau: float) -> float:
        """The derivative of the log-likelihood; it falls with tau, so its root is the best."""
        return float((n * d * (share - 1 / (1 + np.exp(-tau * d)))).sum())

    if slope(0.0) <= 0 or (share[d > 0] == 1).all():
        return None
    low, high = 0.0, 1.0
    while slope(high) > 0:
        low, high = high, 2 * high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    return (low + high) / 2


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _number(cell: str) -> float:
    return float(cell) if cell else math.nan


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
