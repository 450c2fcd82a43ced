"""What the pages of both gates show: the verdict, its numbers with their limits, differences."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.pages.scale import Scale
from validation.gate import Judged, Result
from validation.measures import Measure
from validation.retrieval_drops import Drop

_BEYOND = 0.2  # of the way from the best value to the limit: how far an axis goes beyond it


@dataclass(frozen=True)
class MeasureView:
    """A number, what it may be, and the axis of both."""

    measure: Measure
    passed: bool
    scale: Scale
    allowed: float  # as the measure's, where a value can still lie

    @property
    def is_sampled(self) -> bool:
        """Whether the sample's size lets the value miss the limit."""
        return self.allowed != self.measure.limit

    @property
    def lets_anything_pass(self) -> bool:
        """Whether the sample is too small to tell any value from a good one."""
        return self.allowed == self.measure.worst

    def band(self, one: float, other: float) -> tuple[float, float]:
        """Where the stretch between two values begins on the axis, and its width, in percent."""
        ends = sorted((self.scale.at(one), self.scale.at(other)))
        return ends[0], round(ends[1] - ends[0], 2)


def measure_views(results: Iterable[Result]) -> list[MeasureView]:
    """The numbers among the results of a gate, in their order."""
    return [_measure_view(each, each.need.measure) for each in results if each.need.measure]


def _measure_view(result: Result, measure: Measure) -> MeasureView:
    nearest = min if measure.is_maximum else max
    allowed = nearest(measure.allowed, measure.worst)
    beyond = measure.limit + _BEYOND * (measure.limit - measure.best)
    ends = [measure.best, allowed, nearest(beyond, measure.worst), measure.estimate.value]
    scale = Scale.around([measure.limit, *(end for end in ends if math.isfinite(end))])
    return MeasureView(measure, result.check.passed, scale, allowed)


@dataclass(frozen=True)
class Difference:
    """A model against another, over everybody or in one slice."""

    drop: Drop
    faults: Sequence[str] = ()  # why it fails


def difference_scale(drops: Iterable[Drop]) -> Scale:
    """The axis of differences and their limits, zero on it."""
    ends = [0.0]
    for drop in drops:
        ends += [drop.difference, drop.low, drop.high, -drop.limit]
    return Scale.around([end for end in ends if math.isfinite(end)], most=4)


def gate_facts(judged: Judged) -> dict[str, Any]:
    """What `gate.html` reads."""
    return {
        "verdict": judged.verdict,
        "failures": judged.failures,
        "measures": measure_views(judged.results),
        "results": sorted(judged.results, key=lambda result: result.check.passed),
    }
