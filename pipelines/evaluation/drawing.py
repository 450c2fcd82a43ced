"""What the evaluation's drawings show, and where on their axes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.evaluation.series import FEWEST_PAIRS, Bin, SliceGain, drawn, fit_temperature
from pipelines.pages.scale import Scale
from pipelines.pages.tables import cut

SMALL_SLICE = 10  # fewer personas than this stand back on the page
_CURVE_POINTS = 60


def slice_tables(slices: Mapping[str, Sequence[SliceGain]]) -> dict[str, Any] | None:
    """The tables, and the axis that they share: wide enough for every slice that is not small."""
    if not slices:
        return None
    tables = [table for name, rows in slices.items() for table in cut(name, rows)]
    everyone = [row for rows in slices.values() for row in rows]
    large = [row for row in everyone if row.n >= SMALL_SLICE]
    ends = [end for row in large or everyone for end in (row.gain, row.low, row.high)]
    known = [0.0, *(end for end in ends if not math.isnan(end))]
    step = 0.1 if max(known) - min(known) <= 0.5 else 0.2
    bad_news = {name: [row for row in rows if row.is_bad_news] for name, rows in slices.items()}
    return {
        "tables": tables,
        "scale": Scale.over(known, step),
        "small": SMALL_SLICE,
        "bad_news": {name: rows for name, rows in bad_news.items() if rows},
    }


@dataclass(frozen=True)
class Calibration:
    """A model's bins and the Bradley-Terry curve that fits them best, as points of a polyline."""

    model: str
    bins: Sequence[Bin]
    drawn: Sequence[Bin]
    tau: float | None
    curve: str  # "" without a tau


def calibration_view(models: Mapping[str, Sequence[Bin]]) -> dict[str, Any] | None:
    """Both axes and what each model shows on them; None without a bin."""
    bins = [each for of_model in models.values() for each in drawn(of_model)]
    widest = max((each.difference for each in bins), default=0.0)
    if widest <= 0:
        return None
    step = float(10 ** math.floor(math.log10(widest)))
    across = Scale(0.0, 1.06 * widest, step / 2 if widest < 5 * step else step)
    up = Scale.over([0.4, 1.0, *(each.interval()[0] for each in bins)], step=0.1)
    return {
        "across": across,
        "up": up,
        "fewest": FEWEST_PAIRS,
        "models": [_calibration(model, models[model], across, up) for model in models],
    }


def _calibration(model: str, bins: Sequence[Bin], across: Scale, up: Scale) -> Calibration:
    tau = fit_temperature(bins)
    if tau is None:
        return Calibration(model, bins, drawn(bins), None, "")
    points = []
    for number in range(_CURVE_POINTS + 1):
        difference = across.high * number / _CURVE_POINTS
        height = 100 - up.at(1 / (1 + math.exp(-tau * difference)))
        points.append(f"{across.at(difference)},{height:.2f}")
    return Calibration(model, bins, drawn(bins), tau, " ".join(points))
