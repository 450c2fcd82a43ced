"""The stage `label` in its own process state: what it plans, asks, writes and says."""

import pytest
import yaml

from pipelines import label
from pipelines.run.params import Params
from pipelines.run.paths import audits_file, ledger_file, rankings_file
from pipelines.run.recipe import PUBLISHED
from retrieval.storage.files import read_json, write_json
from retrieval.storage.schema import AUDITS, RANKINGS, read_rows
from tests.end_to_end.label_project import ROOT, ChatServer, make_label_project


@pytest.fixture
def server():
    with ChatServer() as server:
        yield server


@pytest.fixture
def project(tmp_path, monkeypatch, server):
    """40 products, 12 personas, 30 groups a cycle; a fifth of them are audited."""
    monkeypatch.chdir(tmp_path)
    limits = {"groups": 30, "audit_fraction": 0.2, "pair_fraction": 0.1}
    return make_label_project(tmp_path, server.url, **limits)


def change(folder, section, **values):
    path = folder / "params.yaml"
    params = yaml.safe_load(path.read_text())
    params[section] |= values
    path.write_text(yaml.safe_dump(params))


def test_a_cycle_leaves_labels_audits_and_what_they_cost(project, server, capsys):
    change(project, "teacher", usd_per_million_input_tokens=1.0)
    label.main("c1")
    rankings = read_rows(rankings_file("c1"), RANKINGS)
    audits = read_rows(audits_file("c1"), AUDITS)
    ledger = read_json(ledger_file("c1"))
    assert [row["group_id"] for row in rankings] == [f"c1-{n:05d}" for n in range(30)]
    assert all(sorted(row["ranking"]) == sorted(row["presented"]) for row in rankings)
    assert {row["teacher"] for row in rankings} == {"openai:Qwen/Qwen2.5-VL-7B-Instruct"}
    assert [row["kind"] for row in audits].count("group") == 6
    assert [row["kind"] for row in audits].count("pair") == 6
    assert {row["group_id"] for row in audits} <= {row["group_id"] for row in rankings}
    products = {product for row in rankings for product in row["presented"]}
    assert len(products) == 40
    asked = len(server.asked)
    assert (ledger["calls"], ledger["failures"], ledger["unasked"]) == (asked, 0, 0)
    assert (ledger["audit_groups"], ledger["audit_pairs"]) == (6, 3)
    assert ledger["cost_usd"] == pytest.approx(ledger["input_tokens"] / 1e6)
    out = capsys.readouterr().out
    assert "label c1: 42 calls to make (0 are in the journal), about" in out
    assert "30 rankings so far, 30 of them new" in out


def test_the_next_cycle_adds_to_the_labels_and_stops_with_training(project, capsys):
    label.main("c1")
    first = read_rows(rankings_file("c1"), RANKINGS)
    write_json(project / "metrics/cycles/c1.json", {"stopped": True})
    label.main("c2")
    assert read_rows(rankings_file("c2"), RANKINGS) == first
    assert read_rows(audits_file("c2"), AUDITS) == []
    ledger = read_json(ledger_file("c2"))
    assert {ledger[key] for key in ("calls", "audit_groups", "audit_pairs", "unasked")} == {0}
    assert "training stopped before cycle c2: old labels pass through" in capsys.readouterr().out


def test_a_budget_ends_it_with_what_it_has_and_more_asks_only_for_the_rest(project, server, capsys):
    change(project, "teacher", max_calls=20)
    label.main("c1")
    some = read_rows(rankings_file("c1"), RANKINGS)
    ledger = read_json(ledger_file("c1"))
    assert len(server.asked) == ledger["calls"] == 20
    assert 0 < len(some) == 30 - ledger["unasked"] < 20
    assert f"the budget ended before {ledger['unasked']} groups; raise" in capsys.readouterr().out
    change(project, "teacher", max_calls=None)
    label.main("c1")
    whole = read_rows(rankings_file("c1"), RANKINGS)
    assert len(set(server.asked)) == len(server.asked)
    assert len(whole) == 30
    assert [row for row in whole if row in some] == some


def test_a_file_brings_its_own_groups_a_cycle_at_a_time(project, tmp_path, server, capsys):
    rows = ["persona_id,presented,ranking"]
    rows += [f"p{n % 12},x{n}|x{n + 1}|x{n + 2},x{n + 2}|x{n}|x{n + 1}" for n in range(38)]
    rows += ["p0,x0|x1,x1|x0"]
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    change(project, "teacher", kind="file", file={"path": "labels.csv"})
    label.main("c1")
    assert "the file has groups of [2, 3] pictures: took the 38 of 3" in capsys.readouterr().out
    write_json(project / "metrics/cycles/c1.json", {"stopped": False})
    label.main("c2")
    rankings = read_rows(rankings_file("c2"), RANKINGS)
    assert [row["presented"][0] for row in rankings] == [f"x{n}" for n in range(38)]
    assert [row["group_id"][:2] for row in rankings] == ["c1"] * 30 + ["c2"] * 8
    assert all(row["ranking"] == [row["presented"][p] for p in (2, 0, 1)] for row in rankings)
    assert read_rows(audits_file("c2"), AUDITS) == []
    assert server.asked == []


def test_a_server_that_is_away_is_said_in_one_line(project, server):
    change(project, "teacher", openai={**_openai(project), "max_retries": 0})
    server.__exit__()
    with pytest.raises(SystemExit, match=r"did not answer .* nothing is lost"):
        label.main("c1")
    assert not rankings_file("c1").exists()


@pytest.mark.parametrize("structured", [True, False])
def test_a_server_of_which_nothing_can_be_read_is_asked_no_more(project, server, structured):
    change(project, "teacher", openai={**_openai(project), "structured": structured})
    said = {"message": {"content": "I like the second one."}, "finish_reason": "stop"}
    server.reply = lambda *_: {"choices": [said], "usage": {"prompt_tokens": 900}}
    words = (
        r'none of the first 10 replies could be read.*\("I like the second one\."\)'
        rf".*teacher\.openai\.structured \({structured}\)"
    )
    with pytest.raises(SystemExit, match=f"(?i){words}"):
        label.main("c1")
    assert len(server.asked) == 10
    assert not rankings_file("c1").exists()


def test_some_replies_that_could_not_be_read_are_told(project, server, capsys):
    usual = server.reply

    def reply(digest, body):
        spoilt = b"Person 3" in body
        return {"choices": [{"message": {"content": "no"}}]} if spoilt else usual(digest, body)

    server.reply = reply
    label.main("c1")
    said = capsys.readouterr().out
    assert "label c1: " in said
    assert ' replies could not be read; the last of them: the reply has no list "ranking"' in said


def _presented(folder, **changes):
    """What the first cycle shows, by group."""
    for section, values in changes.items():
        change(folder, section, **values)
    label.main("c1")
    return [row["presented"] for row in read_rows(rankings_file("c1"), RANKINGS)]


def test_the_published_recipe_draws_five_pictures_evenly_whatever_the_keys_say(
    project, monkeypatch, capsys
):
    monkeypatch.setitem(PUBLISHED["label"], "groups", 24)
    published = _presented(project, distill={"recipe": "published"})
    said = capsys.readouterr().out
    assert "published: 4 cycles of up to 30: see docs/distillation.md" in said
    spelt = {"groups": 24, "band_edges": [0.7, 0.9, 0.95], "band_sizes": [1, 1, 1, 2]}
    default = {"distill": {"recipe": "default"}}
    assert published == _presented(project, label={**spelt, "candidates": 1}, **default)
    assert "published" not in capsys.readouterr().out
    assert published != _presented(project, label={**spelt, "candidates": 10})
    assert [len(set(group)) for group in published] == [5] * 24


def test_enough_cycles_or_a_later_one_are_no_cause_to_say_so(capsys):
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    content["distill"]["recipe"] = "published"
    label.say_few_cycles(Params.model_validate(content), "c2")
    content["cycles"] = {f"c{number}": f"c{number - 1}" for number in range(1, 31)}
    label.say_few_cycles(Params.model_validate(content), "c1")
    assert capsys.readouterr().out == ""


def _openai(folder):
    return yaml.safe_load((folder / "params.yaml").read_text())["teacher"]["openai"]
