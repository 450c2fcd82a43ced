"""Where the marks of a drawing stand on its axis.

Places are percentages of a drawing's width or height, so that it fills a phone and a desktop alike
while its text keeps its size: no script, no scaled text.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

_STEPS = (1, 2, 5, 10)  # that ticks are apart, times a power of ten


@dataclass(frozen=True)
class Scale:
    """A linear axis from `low` to `high`, with a tick every `step`."""

    low: float
    high: float
    step: float

    @classmethod
    def over(cls, values: Iterable[float], step: float) -> "Scale":
        """The shortest axis between two ticks that holds all the values."""
        known = list(values)
        low = math.floor(min(known) / step + 1e-9)
        high = math.ceil(max(known) / step - 1e-9)
        return cls(low * step, max(high, low + 1) * step, step)

    @classmethod
    def around(cls, values: Iterable[float], most: int = 5) -> "Scale":
        """As `over`, with round steps of which the values span at most `most`."""
        known = list(values)
        span = (max(known) - min(known)) / most or 0.01
        power = 10.0 ** math.floor(math.log10(span))
        return cls.over(known, next(n * power for n in _STEPS if n * power >= span * (1 - 1e-9)))

    def at(self, value: float) -> float:
        """How far along the axis a value stands, in percent; values beyond stand at its end."""
        share = (value - self.low) / (self.high - self.low)
        return round(100 * min(1.0, max(0.0, share)), 2)

    def holds(self, value: float) -> bool:
        """Whether the value lies on the axis, but for rounding."""
        slack = 1e-9 * self.step
        return self.low - slack <= value <= self.high + slack

    def ticks(self) -> list[float]:
        """The values at the ticks."""
        count = math.floor((self.high - self.low) / self.step + 1e-9)
        return [self.low + number * self.step for number in range(count + 1)]
