"""Numbers as the evaluation's page says them, and its verdict."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from retrieval.storage.files import number_at

DASH = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Verdict:
    """What the evaluation found out about the student, against the base model."""

    state: str  # better | worse | open | untested
    base: float | None
    student: float | None
    gain: float | None
    low: float | None
    high: float | None
    p_value: float | None


def verdict(metrics: Mapping[str, Any]) -> Verdict:
    """Better or worse only where the 95 % interval of the paired gain lies on one side of zero.

    Args:
        metrics: As in `metrics/evaluate.json`; without a comparison nothing is claimed.
    """
    base, student = (
        number_at(metrics, "persona", model, "mean_percentile") for model in ("base", "student")
    )
    gain = number_at(metrics, "comparison", "gain")
    if gain is None and base is not None and student is not None:
        gain = student - base
    interval = (metrics.get("comparison") or {}).get("ci95")
    low, high = interval or (None, None)
    state = "untested"
    if low is not None and high is not None:
        state = "better" if low > 0 else "worse" if high < 0 else "open"
    p_value = number_at(metrics, "comparison", "p_value")
    return Verdict(state, base, student, gain, low, high, p_value)


def percent(share: float | None, digits: int = 1) -> str:
    """A share in percent, without the sign: the column's head has it."""
    return decimal(None if share is None else 100 * share, digits)


def points(difference: float | None, digits: int = 1) -> str:
    """A difference of shares in points, always with its sign."""
    if difference is None or math.isnan(difference):
        return DASH
    return f"{100 * difference:+.{digits}f}".replace("-", MINUS)


def decimal(value: float | None, digits: int = 2) -> str:
    """A plain number."""
    if value is None or math.isnan(value):
        return DASH
    return f"{value:.{digits}f}".replace("-", MINUS)


def count(value: float | None) -> str:
    """A whole number, with a thin space between thousands."""
    return decimal(value, 0) if value is None else f"{value:,.0f}".replace(",", "\N{THIN SPACE}")


def p_value(p: float | None) -> str:
    """The p value as a phrase."""
    if p is None:
        return f"p {DASH}"
    return (
        "p\N{NO-BREAK SPACE}<\N{NO-BREAK SPACE}0.001"
        if p < 0.001
        else f"p\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{p:.3f}"
    )


def short(title: str) -> str:
    """What stands before the colon."""
    return title.partition(":")[0]


FILTERS: dict[str, Callable[..., Any]] = {
    "percent": percent,
    "points": points,
    "decimal": decimal,
    "count": count,
    "p_value": p_value,
    "number": number_at,
    "short": short,
}
