"""What a model wrote, read and sifted."""

import json

import numpy as np
import pytest

from pipelines.run.params import load_params
from pipelines.writing.wishes import (
    Wish,
    persona_rows,
    read_interests,
    read_wishes,
    sift,
    spread,
    unlike,
)
from retrieval.titles import Titles
from tests.pipelines.labelling.teachers.openai_setup import TOP

SETTINGS = load_params(TOP / "params.yaml").personas
GOOD = {
    "text": "something for my mother who is always in the garden",
    "paraphrase": "a present for mum, whose beds and borders are her life",
    "relation": "Parent",
    "occasion": "none",
    "budget": "whatever",
}


@pytest.mark.parametrize(
    "raw",
    [
        '{"interests": ["garden birds", "night trains"]}',
        '["garden birds", "night trains", "Garden  birds"]',
        '```json\n{"interests": ["garden birds", "night trains"]}\n```',
        'Here they are:\n```\n["garden birds", "night trains", 3, ""]\n```\nGood luck!',
        '<think>birds?</think>{"interests": ["garden birds", "night trains"]}',
    ],
)
def test_interests_are_read_from_what_models_put_around_them(raw):
    assert read_interests(raw) == (["garden birds", "night trains"], "")


@pytest.mark.parametrize(
    ("read", "raw", "complaint"),
    [
        (read_interests, "birds", "the reply is not JSON"),
        (read_interests, '{"a": 1}', 'no JSON object with a list "interests"'),
        (read_interests, '{"interests": []}', "it names no interest"),
        (read_wishes, '{"wishes": ["a gift"]}', 'it has no wish with a "text"'),
        (read_wishes, '{"wishes": [{"text": "a g', "the reply is not JSON"),
        (read_wishes, "3", 'no JSON object with a list "wishes"'),
    ],
)
def test_what_cannot_be_read_is_complained_about(read, raw, complaint):
    said, got = read(raw)
    assert said is None
    assert complaint in got


def test_facets_are_of_the_lists_or_none():
    said, _ = read_wishes(json.dumps({"wishes": [GOOD]}))
    [wish], counts = sift([("gardens", said[0])], SETTINGS, Titles([]), [])
    assert wish.facets == {"relation": "parent", "occasion": "none"}
    assert dict(counts) == {"written": 1}


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"text": 3}, "malformed"),
        ({"text": ""}, "malformed"),
        ({"text": "a\0b c d e"}, "malformed"),
        ({"text": "for her"}, "too short"),
        ({"text": "for my mother " * 30}, "too long"),
        ({"text": "etwas für meine Mutter, die gern im Garten ist"}, "another language"),
        ({"paraphrase": ""}, "without a paraphrase"),
        ({"paraphrase": GOOD["text"].upper()}, "without a paraphrase"),
        ({"text": "a watering can for my mother who gardens"}, "names a product"),
        ({"paraphrase": "she needs a Watering Can"}, "names a product"),
        ({"text": "I know   this one already"}, "repeated"),
    ],
)
def test_what_is_no_wish_is_dropped_and_counted(changes, fault):
    entries = [("gardens", {**GOOD, **changes}), ("gardens", GOOD), ("gardens", "a gift")]
    titles = Titles(["Watering can"])
    wishes, counts = sift(entries, SETTINGS, titles, ["i know this one already"])
    assert [wish.text for wish in wishes] == [GOOD["text"]]
    assert counts == {"written": 3} | ({fault: 1, "malformed": 1 + (fault == "malformed")})


def test_near_duplicates_lose_against_the_first():
    angle = np.deg2rad([0, 10, 60, 62])
    vectors = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
    assert unlike(["a", "b", "c", "d"], vectors, 0.9) == [0, 2]
    assert unlike(["a", "b", "c", "d"], vectors, 0.9995) == [0, 1, 2, 3]


def test_texts_that_the_encoder_cannot_read_are_not_compared():
    vectors = np.ones((3, 1), np.float32)
    assert unlike(["แก้วสีแดง", "แจกันสีน้ำเงิน", "a red cup"], vectors, 0.9) == [0, 1, 2]


def wish(interest, number=0):
    return Wish(interest, f"{interest} {number}", "other words", {})


def test_all_interests_get_their_turn():
    wishes = [wish("a", n) for n in range(6)] + [wish("b", 0), wish("c", 0), wish("c", 1)]
    got = [one.text for one in spread(wishes, 5)]
    assert got == ["a 0", "a 1", "b 0", "c 0", "c 1"]
    assert spread(wishes, 99) == wishes


def test_wishes_become_personas_of_their_interest_with_an_id_each():
    names = [f"i{n}" for n in range(10)]
    rows = persona_rows([wish(name, n) for n in range(3) for name in names])
    assert [row["facets"]["interest"] for row in rows] == 3 * names
    assert {row["split"] for row in rows} == {""}
    assert len({row["persona_id"] for row in rows}) == 30
