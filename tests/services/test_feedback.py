"""From a click to a label: kept over HTTP, written as a file, read by the stage `label`."""

import csv
import dataclasses
from pathlib import Path

import pytest
import yaml

from pipelines import label, personas
from pipelines.run.paths import FOUND_PERSONAS_FILE, PERSONAS_FILE, rankings_file
from retrieval.storage.schema import PERSONAS, RANKINGS, read_rows, write_rows
from services.cli import main
from services.sharing.feedback import choices, is_allowed
from services.store.database import open_database
from services.store.feedback import Feedback, FeedbackStore
from services.store.tenants import LOCAL, Tenant
from tests.end_to_end.label_project import make_label_project
from tests.services.fake_engine import make_product

SHOWN = ["p0", "p1", "p2", "p3"]


@pytest.fixture
def engine(fake_engine, monkeypatch):
    """Finds five products; feedback is allowed."""
    monkeypatch.setenv("KINDRED_FEEDBACK", "1")
    return fake_engine


def give(client, **changes):
    body = {"query": "a mug", "shown": SHOWN, "chosen": "p2", **changes}
    return client.post("/v1/feedback", json={k: v for k, v in body.items() if v is not None})


def kept():
    return FeedbackStore(open_database()).read_all()


@pytest.mark.parametrize(
    ("chosen", "rejected", "expected"),
    [
        ("c", "", ["ca", "cb", "cd"]),  # what stood above it, and the next one
        ("a", "", ["ab"]),
        ("e", "", ["ea", "eb", "ec", "ed"]),
        ("b", "e", ["ba", "bc", "be", "ae", "ce", "de"]),
        (None, "ce", ["ac", "bc", "dc", "ae", "be", "de"]),
        (None, "abcde", []),
    ],
)
def test_choices_follow_from_what_was_seen(chosen, rejected, expected):
    given = Feedback("a mug", tuple("abcde"), chosen, tuple(rejected))
    assert choices(given) == [tuple(pair) for pair in expected]


def test_feedback_is_kept(client):
    assert client.get("/v1/model").json()["feedback"] is True
    answer = give(client, rejected=["p0"])
    assert (answer.status_code, answer.content) == (204, b"")
    assert give(client, query="{odd", chosen=None, rejected=["p1"]).status_code == 204
    assert kept() == [
        Feedback("a mug", tuple(SHOWN), "p2", ("p0",)),
        Feedback("{odd", tuple(SHOWN), None, ("p1",)),
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"shown": ["p2", "p9"]}, "got product 'p9' in shown, which this version does not have"),
        ({"chosen": "p4"}, "got 'p4' chosen or rejected, which is not among those shown"),
        ({"rejected": ["p4"]}, "got 'p4' chosen or rejected"),
        ({"chosen": None}, "nothing chosen and nothing rejected"),
        ({"rejected": ["p2"]}, "got 'p2' chosen and rejected"),
        ({"shown": ["p2", "p2"]}, "a product twice in shown"),
        ({"shown": []}, "shown"),
        ({"query": " "}, "query"),
        ({"query": "a\x00mug"}, "control character U+0000"),
        ({"query": "{mug} on a beach"}, "there is no concept of that name"),
    ],
)
def test_what_cannot_be_true_is_refused_and_nothing_is_kept(client, changes, said):
    answer = give(client, **changes)
    assert answer.status_code == 422
    assert said in answer.json()["detail"]
    assert kept() == []


def test_without_leave_nothing_is_kept(client, monkeypatch):
    monkeypatch.delenv("KINDRED_FEEDBACK")
    answer = give(client)
    assert answer.status_code == 403
    assert "KINDRED_FEEDBACK=1" in answer.json()["detail"]
    assert client.get("/v1/model").json()["feedback"] is False
    assert kept() == []


def test_a_key_says_whether_its_tenants_feedback_is_kept(monkeypatch):
    monkeypatch.setenv("KINDRED_FEEDBACK", "1")
    assert is_allowed(LOCAL)
    assert not is_allowed(Tenant("t1", "anna", feedback=False))
    monkeypatch.delenv("KINDRED_FEEDBACK")
    assert is_allowed(Tenant("t1", "anna", feedback=True))


def test_a_query_is_kept_in_words_that_others_understand(client, monkeypatch):
    async def resolve(tenant, text):
        return text, (type("Concept", (), {"name": "my mug", "noun": "mug"}),)

    monkeypatch.setattr(client.app.state.concepts, "resolve", resolve)
    assert give(client, query="{my mug} on a beach").status_code == 204
    assert [one.text for one in kept()] == ["mug on a beach"]


def test_from_a_click_to_a_label(client, tmp_path, monkeypatch, capsys):
    """Whoever looks for a night train skips x0 and chooses x1; one more finds x0 bad."""
    engine = client.app.state.live._engine
    engine.products = {f"x{n}": dataclasses.replace(make_product(n), product_id=f"x{n}")
                       for n in range(4)}  # fmt: skip
    shown = ["x0", "x1", "x2"]
    for query, more in [
        ("a lamp, for night trains", {"chosen": "x1"}),
        ("A lamp, for  night trains", {"chosen": None, "rejected": ["x0"]}),
        ("person 3", {"chosen": "x2"}),
    ]:
        assert give(client, query=query, shown=shown, **more).status_code == 204

    project = tmp_path / "project"
    make_label_project(project, "http://127.0.0.1:9", groups=30)
    monkeypatch.chdir(project)
    assert main(["feedback", "clicks.csv"]) == 0
    assert "6 choices from 3 answers in clicks.csv" in capsys.readouterr().out
    with Path("clicks.csv").open(newline="") as file:
        assert list(csv.reader(file))[:3] == [
            ["text", "winner", "loser"],
            ["a lamp, for night trains", "x1", "x0"],
            ["a lamp, for night trains", "x1", "x2"],
        ]

    params = yaml.safe_load((project / "params.yaml").read_text())
    params["teacher"] |= {"kind": "file", "file": {"path": "clicks.csv"}}
    (project / "params.yaml").write_text(yaml.safe_dump(params))
    write_rows(FOUND_PERSONAS_FILE, read_rows(PERSONAS_FILE, PERSONAS), PERSONAS)
    personas.main()
    new = read_rows(PERSONAS_FILE, PERSONAS)[-1]
    assert new["text"] == "a lamp, for night trains"
    label.main("c1")
    labels = {
        (row["persona_id"], *row["ranking"]) for row in read_rows(rankings_file("c1"), RANKINGS)
    }
    assert labels == {
        (new["persona_id"], "x1", "x0"),
        (new["persona_id"], "x1", "x2"),
        (new["persona_id"], "x2", "x0"),
        ("p3", "x2", "x0"),
        ("p3", "x2", "x1"),
    }
