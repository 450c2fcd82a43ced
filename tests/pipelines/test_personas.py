"""Stages `personas` and `check_personas`; a model's wishes come from a server on loopback."""

import json
import re
from pathlib import Path

import pytest

from pipelines import check_personas, personas
from pipelines.run.paths import (
    FOUND_PERSONAS_FILE,
    FOUND_PRODUCTS_FILE,
    PERSONAS_FILE,
    PERSONAS_LEDGER,
    PERSONAS_VERDICT,
    PRODUCTS_FILE,
)
from retrieval.storage.files import read_json
from retrieval.storage.schema import PERSONAS, PRODUCTS, read_rows, write_rows
from tests.pipelines.labelling.teachers.chat_server import ChatServer, completion
from tests.pipelines.writing.stages import COLORS, reach_loopback, write_found, write_params

SPLIT = {"train": 0.6, "val": 0.2, "test": 0.2}
INTERESTS = ["garden birds", "night trains", "rainy cities", "old maps", "loud music"]
THINGS = [
    "tulips", "owls", "rails", "sidings", "umbrellas", "puddles", "atlases", "globes", "drums",
    "amplifiers",
]  # fmt: skip
PEOPLE = ["my mother", "a colleague", "our neighbour", "the boy next door"]


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    reach_loopback(monkeypatch, tmp_path)
    write_found({color: f"a {color} thing" for color in COLORS}, {c: f"{c} item" for c in COLORS})
    write_rows(PRODUCTS_FILE, read_rows(FOUND_PRODUCTS_FILE, PRODUCTS), PRODUCTS)


def given(count):
    rows = [
        {
            "persona_id": f"p{n}",
            "text": f"somebody who likes the number {n}",
            "split": "",
            "wants": {},
            "paraphrase": "",
            "facets": {},
        }
        for n in range(count)
    ]
    write_rows(FOUND_PERSONAS_FILE, rows, PERSONAS)


def table():
    return read_rows(PERSONAS_FILE, PERSONAS)


def prompt(body):
    return body["messages"][0]["content"]


def wish(interest, thing, person):
    return {
        "text": f"a little something for {person}, whose days are full of {interest} and {thing}",
        "paraphrase": f"a treat for {person}, who dreams of {thing}",
        "relation": "parent",
        "occasion": "birthday",
        "budget": "small",
    }


def write_words(number, body):
    """Two interests at a time; then wishes, one of which names a product and one is said twice."""
    if "Name " in prompt(body):
        left = [name for name in INTERESTS if name not in prompt(body)]
        return completion(json.dumps({"interests": left[:2]}), prompt_tokens=50)
    [interest] = re.findall(r"this is true: (.*?)\.", prompt(body))
    place = 2 * INTERESTS.index(interest)
    wishes = [wish(interest, thing, who) for thing in THINGS[place : place + 2] for who in PEOPLE]
    wishes += [wishes[0], {**wishes[1], "text": "I want the red item and nothing else at all"}, "?"]
    return completion("```json\n" + json.dumps({"wishes": wishes}) + "\n```", completion_tokens=9)


OPENAI = {
    "kind": "openai", "count": 20, "interests": 5, "wishes_per_call": 20, "max_cosine": 0.999
}  # fmt: skip


def test_given_personas_get_splits():
    given(20)
    write_params(catalog={"split": SPLIT, "held_out_wishes": {"val": 0.0, "test": 0.0}})
    personas.main()
    assert [row["persona_id"] for row in table()] == [f"p{n}" for n in range(20)]
    splits = [row["split"] for row in table()]
    assert [splits.count(name) for name in ("train", "val", "test")] == [12, 4, 4]


def test_a_file_brings_them_beside_the_given_ones_or_in_their_place(capsys):
    given(4)
    texts = [f"a person who likes the letter {letter}" for letter in "abcdefgh"]
    texts.append("somebody who likes the number 2")  # given too
    Path("texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    changes = {"kind": "file", "path": "texts.jsonl", "count": 9, "beside_given": True}
    write_params(catalog={"split": SPLIT}, personas=changes)
    personas.main()
    assert len(table()) == 12
    assert "personas.count: 9 are wanted, and 8 came of it" in capsys.readouterr().out
    write_params(catalog={"split": SPLIT}, personas={**changes, "beside_given": False, "count": 5})
    personas.main()
    assert len(table()) == 5
    assert read_json(PERSONAS_LEDGER)["counts"] == {"read": 9}


def test_a_file_of_labels_brings_the_wishes_that_it_names_by_text_all_for_training():
    given(20)
    shares = {"split": SPLIT, "held_out_wishes": {"val": 0.0, "test": 0.0}}
    write_params(catalog=shares)
    personas.main()
    before = table()
    lines = [
        "Somebody who likes  the number 3",
        "a lamp for night trains",
        "A lamp for night trains",
    ]
    Path("clicks.csv").write_text(
        "text,winner,loser\n" + "".join(f"{line},a,b\n" for line in lines)
    )
    teacher = {"kind": "file", "file": {"path": "clicks.csv"}}
    write_params(catalog=shares, teacher=teacher)
    personas.main()
    *same, new = table()
    assert same == before
    assert (new["text"], new["split"], new["wants"]) == ("a lamp for night trains", "train", {})
    assert read_json(PERSONAS_LEDGER)["labels"] == 1
    personas.main()
    assert table() == [*before, new]


def test_a_model_writes_wishes_spread_over_interests_of_which_some_stay_unseen():
    with ChatServer(write_words) as server:
        write_params(server.url, catalog={"split": SPLIT}, personas=OPENAI)
        personas.main()
        before = table()
        personas.main()  # from the journal
    assert table() == before
    assert len(server.bodies) == 3 + 5  # interests two at a time, then one call for each
    assert {body["max_tokens"] for body in server.bodies} == {3000}
    names = [body["response_format"]["json_schema"]["name"] for body in server.bodies]
    assert names == ["interests"] * 3 + ["wishes"] * 5
    assert "- a red thing" in prompt(server.bodies[0])
    assert "objects, things" in prompt(server.bodies[0])
    by_interest: dict[str, set[str]] = {}
    for row in before:
        by_interest.setdefault(row["facets"]["interest"], set()).add(row["split"])
        assert row["facets"].keys() == {"interest", "relation", "occasion", "budget"}
        assert row["paraphrase"]
    assert sorted(by_interest) == sorted(INTERESTS)
    ledger = read_json(PERSONAS_LEDGER)
    alone = {name: splits for name, splits in by_interest.items() if "train" not in splits}
    assert sorted(map(sorted, alone.values())) == [["test"], ["val"]]  # 15 % each, of five
    known = [splits for name, splits in by_interest.items() if name not in alone]
    assert set().union(*known) == {"train", "val", "test"}
    assert len(before) == 20
    counts = {key: ledger["counts"][key] for key in ("names a product", "malformed", "repeated")}
    assert counts == {"names a product": 5, "malformed": 5, "repeated": 5}
    assert ledger["calls"] == 8


def test_the_simulated_teacher_cannot_judge_for_them_which_is_said_before_anybody_is_paid():
    write_params(personas=OPENAI, teacher={"kind": "simulated"})
    with pytest.raises(SystemExit, match=r"such personas have none; set teacher\.kind to"):
        personas.main()


def test_near_duplicates_are_dropped_and_counted():
    with ChatServer(write_words) as server:
        write_params(server.url, personas={**OPENAI, "max_cosine": 0.3})
        personas.main()
    counts = read_json(PERSONAS_LEDGER)["counts"]
    assert counts["near-duplicates"] > 10
    assert len(table()) == 40 - counts["near-duplicates"]


def test_a_reply_that_is_cut_off_is_asked_again_then_counted():
    def script(number, body):
        if "rainy cities" in prompt(body).partition("this is true")[2]:
            return completion('{"wishes": [{"text": "a g')
        return write_words(number, body)

    with ChatServer(script) as server:
        write_params(server.url, personas=OPENAI)
        personas.main()
    assert len(server.bodies) == 3 + 6
    assert read_json(PERSONAS_LEDGER)["counts"]["unreadable replies"] == 1
    assert "rainy cities" not in {row["facets"]["interest"] for row in table()}


def test_the_budget_ends_it():
    with ChatServer(write_words) as server:
        write_params(server.url, personas=OPENAI, teacher={"max_calls": 5})
        personas.main()
    assert len(server.bodies) == 5
    assert read_json(PERSONAS_LEDGER)["counts"]["unasked replies"] == 3


def test_a_model_that_names_nothing_stops():
    with ChatServer(lambda number, body: completion("I would rather not")) as server:
        write_params(server.url, personas=OPENAI)
        with pytest.raises(SystemExit, match="named no interests that could be read"):
            personas.main()


def test_the_gate_passes_sound_personas_and_shows_them():
    given(20)
    write_params(catalog={"split": SPLIT})
    personas.main()
    check_personas.main()
    verdict = read_json(PERSONAS_VERDICT)
    assert verdict["passed"]
    assert verdict["statistics"]["personas"] == 20
    assert verdict["notes"] == [
        "the spread over interests was not checked: no persona has a facet `interest` or"
        " `situation`"
    ]
    page = (check_personas.REPORT / "index.html").read_text()
    assert "somebody who likes the number" in page
    assert (check_personas.REPORT / "data_docs/index.html").is_file()


def test_the_gate_stops_the_pipeline_and_still_reports(capsys):
    given(2)
    write_params(catalog={"split": SPLIT})
    personas.main()
    with pytest.raises(SystemExit) as stop:
        check_personas.main()
    assert stop.value.code == 1
    assert not read_json(PERSONAS_VERDICT)["passed"]
    assert (check_personas.REPORT / "index.html").is_file()
    assert "lower check_personas.min_personas" in capsys.readouterr().err
