"""What the gates decided about a version: `labels` (one verdict a cycle) and `retrieval`."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from validation.limits import RegressionLimits
from validation.retrieval_champion import ABOUT_CHAMPION

GATES = ("labels", "retrieval")

Outcome = Literal["passed", "failed", "missing"]


class Verdict(BaseModel):
    """One gate's verdict; what else the gate wrote is kept beside these."""

    model_config = ConfigDict(frozen=True, extra="allow")

    gate: str
    passed: bool
    reasons: tuple[str, ...] = ()


def outcome(verdicts: Mapping[str, Verdict], gate: str) -> Outcome:
    """One word over all verdicts of a gate: those named `gate` or `gate_<cycle>`.

    A gate that never ran has not passed: no verdict is `missing`.
    """
    heard = [v for name, v in verdicts.items() if name == gate or name.startswith(f"{gate}_")]
    if not heard:
        return "missing"
    return "passed" if all(verdict.passed for verdict in heard) else "failed"


def is_beside(verdicts: Mapping[str, Verdict], champion: str) -> bool:
    """Whether the retrieval gate compared the version with the champion of this digest."""
    return getattr(verdicts.get("retrieval"), "champion", None) == champion


def reasons_apart_from_champion(verdicts: Mapping[str, Verdict]) -> list[str]:
    """Why the retrieval gate failed, without what it found beside the champion of its day.

    All reasons where the verdict names no checks: none can be told apart.
    """
    verdict = verdicts["retrieval"]
    checks: list[dict[str, Any]] = getattr(verdict, "checks", [])
    failed = [check for check in checks if not check["passed"]]
    if not failed:
        return list(verdict.reasons)
    return [check["reason"] for check in failed if not check["name"].startswith(ABOUT_CHAMPION)]


def recorded_limits(verdicts: Mapping[str, Verdict]) -> RegressionLimits:
    """The limits that the retrieval gate compared by, for comparing with another champion."""
    statistics: dict[str, Any] = getattr(verdicts.get("retrieval"), "statistics", {})
    known = RegressionLimits.model_fields.keys() & statistics.keys()
    return RegressionLimits(**{name: statistics[name] for name in sorted(known)})


def outcomes(verdicts: Mapping[str, Verdict]) -> dict[str, Outcome]:
    """The outcome of every gate."""
    return {gate: outcome(verdicts, gate) for gate in GATES}
