"""The gate on personas: each fault fails its own check, and no other."""

import pytest

from retrieval.titles import Titles
from tests.validation.persona_cases import LIMITS, failed, people

SOUND = people(20)


def change(**values):
    return [{**SOUND[0], **values}, *SOUND[1:]]


def test_sound_personas_pass(tmp_path):
    assert failed(SOUND, tmp_path) == set()


@pytest.mark.parametrize(
    ("rows", "checks"),
    [
        (change(persona_id="p1"), {"personas.persona_id_unique"}),
        (change(text=SOUND[1]["text"].upper()), {"personas.text_unique"}),
        (change(text=""), {"personas.length"}),
        (change(text="word " * 30), {"personas.length"}),
        (change(split=""), {"personas.split"}),
        (change(paraphrase=SOUND[0]["text"].upper()), {"personas.paraphrase_differs"}),
        (people(20, split="train"), {"splits.personas"}),
        (people(9), {"personas.row_count"}),
        (people(20, text="the red mug of {}"), {"naming.naming_share"}),
        (people(20, interest="tea"), {"interests.interest_share"}),
        (people(20, interest=""), set()),
    ],
)
def test_a_fault_fails_its_own_check(tmp_path, rows, checks):
    assert failed(rows, tmp_path) == checks


def test_limits_can_be_lifted(tmp_path):
    rows = people(20, text="the red mug of {}", interest="tea")
    lifted = LIMITS.model_copy(update={"max_naming_share": 1.0, "max_interest_share": 1.0})
    assert failed(rows, tmp_path, lifted) == set()


def test_no_persona_at_all_fails(tmp_path):
    assert "personas.row_count" in failed([], tmp_path, titles=Titles([]))
