import json
from pathlib import Path

import pytest

from registry.headlines import headlines
from registry.verdicts import Verdict, outcome, outcomes
from retrieval.storage.files import number_at

GOOD = Verdict(gate="g", passed=True)
BAD = Verdict(gate="g", passed=False, reasons=("too few",))


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ({"labels_c1": GOOD, "labels_c2": GOOD}, "passed"),
        ({"labels_c1": GOOD, "labels_c2": BAD}, "failed"),
        ({"retrieval": GOOD}, "missing"),
        ({}, "missing"),
    ],
)
def test_every_cycle_must_pass_and_silence_is_no_pass(verdicts, expected) -> None:
    assert outcome(verdicts, "labels") == expected


def test_outcomes_name_both_gates() -> None:
    assert outcomes({"retrieval": BAD}) == {"labels": "missing", "retrieval": "failed"}


def test_what_else_a_gate_wrote_is_kept(tmp_path: Path) -> None:
    verdict = Verdict.model_validate(json.loads('{"gate": "g", "passed": true, "champion": "3"}'))
    assert verdict.model_dump()["champion"] == "3"


def test_numbers_that_are_not_there() -> None:
    metrics = {"persona": {"student": {"mean_percentile": 0.9, "n": True}}, "concept": None}
    assert headlines(metrics) == {"persona_percentile": 0.9}
    assert number_at(metrics, "concept", "kindred") is None
    assert number_at(metrics, "persona", "student", "n") is None
