"""The gate on personas: each fault fails its own check, and no other."""

from retrieval.titles import Titles
from tests.validation.persona_cases import LIMITS, judge, people

SOUND = people(20)


def failed(judged):
    """The checks that failed, and what they saw."""
    return {result.check.name: str(result.check.observed) for result in judged.failures}


def test_sound_personas_pass(tmp_path):
    judged = judge(SOUND, tmp_path)
    assert failed(judged) == {}
    assert judged.verdict.statistics == {
        "personas": 20, "train": 10, "val": 5, "test": 5, "interests": 3, "paraphrases": 10,
        "naming": 0,
    }  # fmt: skip


def test_each_fault_of_a_row_fails_its_own_check_and_names_the_row(tmp_path):
    faults = {
        0: {"persona_id": "p1"},
        2: {"text": SOUND[3]["text"].upper()},
        4: {"text": ""},
        6: {"text": "word " * 30},
        8: {"split": "base"},
        9: {"paraphrase": SOUND[9]["text"].upper()},
    }
    rows = [{**row, **faults.get(number, {})} for number, row in enumerate(SOUND)]
    assert failed(judge(rows, tmp_path)) == {
        "personas.persona_id_unique": "2 of 20 rows at fault (persona_id p1, p1)",
        "personas.text_unique": "2 of 20 rows at fault (persona_id p2, p3)",
        "personas.length": "2 of 20 rows at fault (persona_id p4, p6)",
        "personas.split": "1 of 20 rows at fault (persona_id p8)",
        "personas.paraphrase_differs": "1 of 20 rows at fault (persona_id p9)",
    }


def test_each_fault_of_the_whole_fails_its_own_check(tmp_path):
    rows = people(9, text="the red mug of {}", split="train", interest="tea")
    judged = judge(rows, tmp_path)
    assert set(failed(judged)) == {
        "personas.row_count", "splits.personas", "naming.naming_share", "interests.interest_share"
    }  # fmt: skip
    reasons = "\n".join(judged.verdict.reasons)
    assert "2 of 3 rows at fault (split val, test)" in reasons
    assert "such as 'red mug'" in reasons
    assert "bring wishes of other kinds than 'tea'" in reasons


def test_limits_can_be_lifted(tmp_path):
    rows = people(20, text="the red mug of {}", interest="tea")
    lifted = LIMITS.model_copy(update={"max_naming_share": 1.0, "max_interest_share": 1.0})
    assert failed(judge(rows, tmp_path, lifted)) == {}


def test_without_interests_the_spread_is_not_judged_and_says_so(tmp_path):
    judged = judge(people(20, interest=""), tmp_path)
    assert failed(judged) == {}
    assert "the spread over interests was not checked" in judged.verdict.notes[0]


def test_no_persona_at_all_fails(tmp_path):
    assert "personas.row_count" in failed(judge([], tmp_path, titles=Titles([])))
