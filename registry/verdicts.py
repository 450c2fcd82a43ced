"""What the gates decided about a version: `labels` (one verdict a cycle) and `retrieval`."""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

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


def outcomes(verdicts: Mapping[str, Verdict]) -> dict[str, Outcome]:
    """The outcome of every gate."""
    return {gate: outcome(verdicts, gate) for gate in GATES}
