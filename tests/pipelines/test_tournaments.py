"""Stage `tournaments`: whose tournaments count, and what a row holds."""

from dataclasses import dataclass

import pytest
import yaml

from pipelines import tournaments
from pipelines.labelling.knockout import hold
from pipelines.run.params import load_params
from pipelines.run.paths import HELD_OUT_GROUPS_FILE, PERSONAS_FILE, PRODUCTS_FILE, TOURNAMENTS_FILE
from pipelines.tournaments import SPLITS, hold_tournaments
from retrieval.storage.schema import (
    PERSONAS,
    PRODUCTS,
    RANKINGS,
    TOURNAMENTS,
    read_rows,
    write_rows,
)
from tests.end_to_end.label_project import ROOT, ChatServer, make_label_project
from tests.pipelines.labelling.scripted import Scripted, by_number, never, noisy


@dataclass(frozen=True)
class World:
    personas: list
    products: list


@pytest.fixture
def world():
    splits = ["val", "test", "test"]
    return World(
        [{"persona_id": f"u{n}", "split": splits[n % 3]} for n in range(12)],
        [{"product_id": str(n), "split": splits[n % 3]} for n in range(60)],
    )


def _params(**changes):
    params = load_params()
    settings = params.tournaments.model_copy(update=changes)
    return params.model_copy(update={"tournaments": settings})


def test_rows_of_a_split(world):
    params = _params(repeats=3, max_test_personas=5)
    rows = hold_tournaments(params, Scripted(by_number), world.personas, world.products, "test")
    assert [row["persona_id"] for row in rows] == ["u1", "u2", "u4", "u5", "u7"]
    assert rows[0] == {
        "persona_id": "u1",
        "split": "test",
        "winner": "59",
        "finalists": rows[0]["finalists"],
        "calls": 3 * (2 * 8 + 4 * 2),  # of 40 products in groups of five: 8 matches, then 2
        "undecided": 0,
        "repeats": 3,
        "confidence": 1.0,
        "teacher": "scripted",
    }


def test_the_first_tournament_is_the_same_whatever_the_repeats(world):
    asked = []
    for repeats in (1, 2):
        teacher = Scripted(noisy)
        hold_tournaments(_params(repeats=repeats), teacher, world.personas, world.products, "val")
        asked.append(set(teacher.asked))
    assert asked[0] < asked[1]


def test_a_persona_counts_where_all_its_tournaments_were_finished(world, capsys, monkeypatch):
    monkeypatch.setattr(hold, "__defaults__", (1,))  # one tournament at a time
    teacher = Scripted(by_number, budget=2 * 2 * 20 + 30)  # 20 products: five matches, 20 calls
    rows = hold_tournaments(_params(repeats=2), teacher, world.personas, world.products, "val")
    assert [row["persona_id"] for row in rows] == ["u0", "u3"]
    assert (
        "tournaments val: the budget ended before 2 of 4 personas; raise" in capsys.readouterr().out
    )
    with pytest.raises(SystemExit, match="got no winner in split test"):
        hold_tournaments(_params(), teacher, world.personas, world.products, "test")


def test_a_winner_that_coins_chose_is_no_truth(world, capsys):
    """One persona's teacher has no answer; the others' do."""

    def sees_most(request):
        return None if request.persona_id == "u3" else by_number(request)

    teacher = Scripted(sees_most)
    rows = hold_tournaments(_params(), teacher, world.personas, world.products, "val")
    assert "u3" not in [row["persona_id"] for row in rows]
    assert len(rows) == 3
    assert "1 of 4 personas have no winner: the teacher decided" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="got no winner in split test"):
        hold_tournaments(_params(), Scripted(never), world.personas, world.products, "test")


@pytest.mark.parametrize(("personas", "products"), [(0, 60), (12, 1)])
def test_a_split_without_personas_or_products_is_refused(world, personas, products):
    held = (world.personas[:personas], world.products[:products])
    with pytest.raises(SystemExit, match=r"got \d personas and \d+ products in split val"):
        hold_tournaments(_params(), Scripted(by_number), *held, "val")


@pytest.mark.parametrize(
    ("reply", "calls", "words"),
    [
        ({"choices": [{"message": {"content": "The second."}}]}, 10, r"first 10 .*The second\."),
        ({"error": {"message": "no card free"}}, 2, r"2 tries; last: HTTP 200 with.*no card free"),
    ],
)
def test_a_server_of_which_nothing_can_be_read_ends_the_stage(
    tmp_path, monkeypatch, reply, calls, words
):
    """No coin decides in its place, no winner is written, and it is asked a few times only."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("random.uniform", lambda *_: 0.0)
    with ChatServer() as server:
        server.reply = lambda *_: reply
        make_label_project(tmp_path, server.url, products=60)
        _change_openai(tmp_path, concurrency=1, max_retries=1)
        for path, table in ((PERSONAS_FILE, PERSONAS), (PRODUCTS_FILE, PRODUCTS)):
            rows = read_rows(path, table)
            splits = [{"split": SPLITS[number % 2]} for number in range(len(rows))]
            write_rows(path, [row | split for row, split in zip(rows, splits, strict=True)], table)
        with pytest.raises(SystemExit, match=words):
            tournaments.main()
    assert len(server.asked) == calls
    assert not TOURNAMENTS_FILE.exists()


def _change_openai(folder, **changes):
    path = folder / "params.yaml"
    params = yaml.safe_load(path.read_text())
    params["teacher"]["openai"] |= changes
    path.write_text(yaml.safe_dump(params))


def test_the_published_recipe_plays_pairs(tmp_path, monkeypatch):
    """Eight products a split: seven matches, each asked in both orders at least."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["distill"]["recipe"] = "published"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    wants = {"color=red": 1.0, "kind=mug": 0.5}
    people = [
        {"persona_id": f"u{n}", "text": "", "paraphrase": "", "wants": wants, "facets": {}}
        | {"split": split}
        for n, split in enumerate(("val", "test"))
    ]
    colors, kinds = ("red", "blue"), ("mug", "kite", "drum", "vase")
    products = [
        dict.fromkeys(PRODUCTS.names, "")
        | {"product_id": f"{split}-{color}-{kind}", "price": 1.0, "split": split}
        | {"attributes": {"color": color, "kind": kind}}
        for split in ("val", "test")
        for color in colors
        for kind in kinds
    ]
    write_rows(PERSONAS_FILE, people, PERSONAS)
    write_rows(PRODUCTS_FILE, products, PRODUCTS)
    tournaments.main()
    rows = read_rows(TOURNAMENTS_FILE, TOURNAMENTS)
    assert [row["winner"] for row in rows] == ["val-red-mug", "test-red-mug"]
    assert min(row["calls"] for row in rows) >= 14
    [group] = read_rows(HELD_OUT_GROUPS_FILE, RANKINGS)
    assert len(group["presented"]) == 2
