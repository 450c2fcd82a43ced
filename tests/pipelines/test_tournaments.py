"""Stage `tournaments`: whose tournaments count, and what a row holds."""

import itertools
from dataclasses import dataclass

import pytest
import yaml

from pipelines import tournaments
from pipelines.labelling.judges import all_judges
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
        [{"persona_id": f"u{n}", "split": splits[n % 3], "facets": {}} for n in range(12)],
        [{"product_id": str(n), "split": splits[n % 3]} for n in range(60)],
    )


def _hold(params, teacher, world, split):
    judges = all_judges(params, world.personas, world.products).personas[split]
    return hold_tournaments(params, teacher, judges, world.products, split)


def _params(**changes):
    changes = {"group_size": 5} | changes
    params = load_params()
    settings = params.tournaments.model_copy(update=changes)
    return params.model_copy(update={"tournaments": settings})


def test_rows_of_a_split(world):
    params = _params(repeats=3, max_test_personas=5)
    rows = _hold(params, Scripted(by_number), world, "test")
    assert (
        len({row["persona_id"] for row in rows} & {f"u{n}" for n in (1, 2, 4, 5, 7, 8, 10, 11)})
        == 5
    )
    assert rows[0] == {
        "persona_id": rows[0]["persona_id"],
        "split": "test",
        "winner": "59",
        "finalists": rows[0]["finalists"],
        "calls": 3 * (2 * 8 + 4 * (2 + 1)),  # of 40 products in groups of five: 8 matches, 2, 1
        "undecided": 0,
        "repeats": 3,
        "confidence": 1.0,
        "teacher": "scripted",
    }


def test_the_first_tournament_is_the_same_whatever_the_repeats(world):
    asked = []
    for repeats in (1, 2):
        teacher = Scripted(noisy)
        _hold(_params(repeats=repeats), teacher, world, "val")
        asked.append(set(teacher.asked))
    assert asked[0] < asked[1]


def test_a_persona_counts_where_all_its_tournaments_were_finished(world, capsys, monkeypatch):
    monkeypatch.setattr(hold, "__defaults__", (1,))  # one tournament at a time
    teacher = Scripted(by_number, budget=2 * 2 * 20 + 30)  # 20 products: 4 matches and 1, 20 calls
    rows = _hold(_params(repeats=2), teacher, world, "val")
    assert [row["persona_id"] for row in rows] == ["u0", "u3"]
    assert (
        "tournaments val: the budget ended before 2 of 4 personas; raise" in capsys.readouterr().out
    )
    with pytest.raises(SystemExit, match="got no winner in split test"):
        _hold(_params(), teacher, world, "test")


def test_a_winner_that_coins_chose_is_no_truth(world, capsys):
    """One persona's teacher sees places alone; the others' do not."""

    def sees_most(request):
        return request.presented if request.persona_id == "u3" else by_number(request)

    rows = _hold(_params(), Scripted(sees_most), world, "val")
    assert [row["persona_id"] for row in rows] == ["u0", "u6", "u9"]
    assert "1 of 4 personas have no winner: the teacher decided" in capsys.readouterr().out


def test_who_got_no_replies_is_left_out_and_counted(world, capsys):
    def hears_most(request):
        return None if request.persona_id == "u3" else by_number(request)

    rows = _hold(_params(), Scripted(hears_most), world, "val")
    assert [row["persona_id"] for row in rows] == ["u0", "u6", "u9"]
    assert "1 of 4 personas have no winner: every call about a final" in capsys.readouterr().out


def test_a_picture_that_is_refused_leaves_everybody_a_winner(world, capsys):
    def refuses(request):
        return None if "57" in request.presented else by_number(request)

    rows = _hold(_params(), Scripted(refuses), world, "val")
    assert len(rows) == 4
    assert all(row["winner"] != "57" and row["undecided"] == 0 for row in rows)
    said = capsys.readouterr().out
    assert "4 of 4 personas chose without some products about which every call failed" in said


def test_where_most_calls_fail_the_stage_does(world):
    def hears_one(request):
        return by_number(request) if request.persona_id == "u3" else None

    with pytest.raises(SystemExit, match=r"tournaments val: 3 of 4 .* Failed calls are no votes"):
        _hold(_params(), Scripted(hears_one), world, "val")
    with pytest.raises(SystemExit, match="tournaments test: 8 of 8"):
        _hold(_params(), Scripted(never), world, "test")


def test_a_file_may_know_only_some_personas(world):
    def knows_one(request):
        return by_number(request) if request.persona_id == "u3" else None

    teacher = Scripted(knows_one)
    teacher.name = "file"
    assert [row["persona_id"] for row in _hold(_params(), teacher, world, "val")] == ["u3"]
    teacher = Scripted(never)
    teacher.name = "file"
    with pytest.raises(SystemExit, match="got no winner in split val"):
        _hold(_params(), teacher, world, "val")


@pytest.mark.parametrize(("personas", "products"), [(0, 60), (12, 1)])
def test_a_split_without_personas_or_products_is_refused(world, personas, products):
    held = World(world.personas[:personas], world.products[:products])
    with pytest.raises(SystemExit, match=r"got \d personas and \d+ products in split val"):
        _hold(_params(), Scripted(by_number), held, "val")


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


def _write_small_catalogue(count):
    """Personas who want a red mug, half of them of each split; eight products a split."""
    wants = {"color=red": 1.0, "kind=mug": 0.5}
    people = [
        {
            "persona_id": f"u{n}",
            "text": "",
            "paraphrase": "",
            "wants": wants,
            "facets": {"interest": f"i{n // 2}"},
        }
        | {"split": split}
        for n, split in zip(range(count), itertools.cycle(("val", "test")))
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


def test_the_published_recipe_plays_pairs(tmp_path, monkeypatch):
    """Eight products a split: seven matches, each asked in both orders at least."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["distill"]["recipe"] = "published"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    _write_small_catalogue(2)
    tournaments.main()
    rows = read_rows(TOURNAMENTS_FILE, TOURNAMENTS)
    assert [row["winner"] for row in rows] == ["val-red-mug", "test-red-mug"]
    assert min(row["calls"] for row in rows) >= 14
    [group] = read_rows(HELD_OUT_GROUPS_FILE, RANKINGS)
    assert len(group["presented"]) == 2


@pytest.mark.parametrize(
    ("teacher", "tournaments_", "few"),
    [({}, {}, False), ({}, {"max_calls": 60}, True), ({"max_calls": 60}, {"max_calls": 900}, True)],
)
def test_a_budget_is_said_and_kept_to(tmp_path, monkeypatch, capsys, teacher, tournaments_, few):
    """Six personas a split, each worth some eight calls."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["teacher"] |= teacher
    params["tournaments"] |= tournaments_
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    _write_small_catalogue(12)
    tournaments.main()
    rows = read_rows(TOURNAMENTS_FILE, TOURNAMENTS)
    groups = read_rows(HELD_OUT_GROUPS_FILE, RANKINGS)
    said = capsys.readouterr().out
    tests = sum(row["split"] == "test" for row in rows)
    assert tests == len(groups)
    assert f"{len(rows) - tests} of 6 val personas, {tests} of 6 test personas" in said
    assert "too few for an interval of the gain" in said
    assert (len(rows) < 12) is few
    if few:
        assert len(rows) - tests >= 1
        assert sum(row["calls"] for row in rows) + len(groups) <= 60
