"""A number that a gate holds to a limit: what it is, how sure it is, how far it may miss."""

import math
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Estimate:
    """A statistic, and how far chance alone moves it."""

    value: float  # NaN where there is nothing to measure
    error: float  # standard error, of value ** power
    count: int  # how many units it was measured on
    unit: str  # in the plural
    power: int = 1  # on which scale the error adds up; V is the root of what sums up

    def highest_allowed(self, limit: float, errors: float) -> float:
        """The largest value that a limit allows, given that many standard errors of grace."""
        return float((limit**self.power + errors * self.error) ** (1 / self.power))

    def lowest_allowed(self, limit: float, errors: float) -> float:
        """The smallest value that a limit allows, given that many standard errors of grace."""
        return limit - errors * self.error


def exact(value: float, count: int = 1, unit: str = "") -> Estimate:
    """A number that chance did not move."""
    return Estimate(float(value), 0.0, count, unit)


@dataclass(frozen=True)
class Measure:
    """An estimate and the limit that it is held to: `AtMost` or `AtLeast`."""

    is_maximum: ClassVar[bool]  # whether the value may be at most the limit, else at least

    what: str  # "a share of groups without a ranking": completes "expected ... of at most 0.05"
    estimate: Estimate
    limit: float
    errors: float = 0.0  # standard errors by which the sample may miss the limit
    reading: str = ""  # what its values mean: "0 a coin, 1 the same order"
    best: float = math.nan  # what a perfect teacher or model has
    worst: float = math.nan  # as far from it as a value can lie

    @property
    def allowed(self) -> float:
        """The value that may just be had: the limit, give or take what the sample's size allows."""
        if not self.errors or math.isnan(self.estimate.error):
            return self.limit
        if self.is_maximum:
            return self.estimate.highest_allowed(self.limit, self.errors)
        return self.estimate.lowest_allowed(self.limit, self.errors)

    @property
    def expected(self) -> str:
        """For people."""
        text = f"{self.what} of at {'most' if self.is_maximum else 'least'} {self.limit:g}"
        if not self.errors:
            return text
        errors = f"{self.errors:g} standard errors allowed"
        if not self.estimate.count:
            return f"{text} ({errors})"
        sample = f"{self.estimate.count:,} {self.estimate.unit}"
        return f"{text} ({errors}: {self.allowed:.3g} over {sample})"


@dataclass(frozen=True)
class AtMost(Measure):
    """A number that should be small."""

    is_maximum: ClassVar[bool] = True

    best: float = 0.0
    worst: float = 1.0


@dataclass(frozen=True)
class AtLeast(Measure):
    """A number that should be large."""

    is_maximum: ClassVar[bool] = False

    best: float = 1.0
    worst: float = 0.0
