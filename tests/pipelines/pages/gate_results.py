"""What a gate found, made by hand."""

from validation.gate import Check, Judged, Result, Verdict
from validation.measures import AtLeast, AtMost, Estimate, exact
from validation.suite import Requirement, held


def result(name, measure, passed=True, remedy="mend it"):
    """Of a number that is held to a limit."""
    need = held(name, measure, remedy)
    got = f"{measure.estimate.value:.6g}"
    reason = "" if passed else f"{name}: got {got}, expected {measure.expected}; {remedy}"
    return Result(Check(name, passed, None, measure.expected, reason), got, need)


def fault(name, got, expected="something", remedy="look at `label` & wait"):
    """Of a check that holds no number."""
    need = Requirement(name, "ExpectNothing", {}, expected, remedy)
    return Result(Check(name, False, None, expected, f"{name}: got {got}"), got, need)


V = AtMost("Cramér's V of the place", Estimate(0.03, 0.01, 450, "groups"), 0.15, reading="0 fair")
TAU = AtLeast(
    "a mean tau", Estimate(0.2, 0.05, 40, "repeats"), 0.3, 3.0, worst=-1.0, reading="0 a coin"
)
SHARE = AtLeast("a share of pairs", Estimate(0.0, 0.5, 1, "pairs"), 0.65, 3.0)
RECALL = AtLeast("a recall@10", exact(0.5), 0.9)


def judged(*results, notes=(), **statistics):
    checks = [each.check for each in results]
    reasons = [check.reason for check in checks if not check.passed]
    verdict = Verdict(
        "test", not reasons, reasons, checks, {}, statistics=statistics, notes=list(notes)
    )
    return Judged(verdict, list(results))
