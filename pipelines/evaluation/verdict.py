"""What the evaluation says of the student, in one word and a few numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from retrieval.storage.files import number_at


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
