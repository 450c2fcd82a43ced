"""The whole stage on small tables; models are vectors on disk, concepts and MLflow left out."""

import csv
import json
import math
import re
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from pipelines import evaluate
from pipelines.evaluation import personas as evaluate_personas
from pipelines.evaluation.tables import BINS, WORST
from pipelines.run.params import PARAMS, load_params
from pipelines.run.paths import (
    CALIBRATION_FILE,
    CAPTION_VECTORS,
    CONCEPTS,
    CYCLES_FILE,
    HELD_OUT_GROUPS_FILE,
    PARAPHRASE_VECTORS,
    PERCENTILES_FILE,
    PERSONA_VECTORS,
    PERSONAS_FILE,
    PRODUCTS_FILE,
    SLICES_FILE,
    STUDENT_MODEL,
    SUBJECTS_FILE,
    TOURNAMENTS_FILE,
    WORST_FILE,
    product_vectors,
)
from retrieval.storage.schema import (
    PERSONAS,
    PRODUCTS,
    QUERIES,
    RANKINGS,
    SUBJECTS,
    TOURNAMENTS,
    read_rows,
    write_rows,
)
from retrieval.storage.vectors import write_vectors

TOP = Path(__file__).parents[2]
KINDS = ("mug", "kite", "vase")


def _unit(rng, count):
    rows = rng.normal(size=(count, 8)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


class Place:
    """A project's folder with test personas of which each loves one kind."""

    def __init__(self, people=20, products=30, rich=True, interests=("tea", "yoga"), seen=("tea",)):
        rng = np.random.default_rng(0)
        self.products = [self._product(n, rich) for n in range(products)]
        trained = [
            {**self._persona(0, rich, [interest]), "persona_id": f"t{interest}", "split": "train"}
            for interest in seen
        ]
        self.people = [self._persona(n, rich, interests) for n in range(people)]
        ids = [product["product_id"] for product in self.products]
        held = [product for product in self.products if product["split"] == "test"]
        write_rows(PRODUCTS_FILE, self.products, PRODUCTS)
        write_rows(PERSONAS_FILE, [*self.people, *trained], PERSONAS)
        write_rows(SUBJECTS_FILE, [], SUBJECTS)
        choices = [self._choice(person, held, n) for n, person in enumerate(self.people)]
        write_rows(TOURNAMENTS_FILE, choices, TOURNAMENTS)
        groups = [self._group(person, held) for person in self.people if rich]
        write_rows(HELD_OUT_GROUPS_FILE, groups, RANKINGS)
        names = [person["persona_id"] for person in self.people]
        reworded = [person["persona_id"] for person in self.people if person["paraphrase"]]
        write_vectors(PERSONA_VECTORS, names, _unit(rng, len(names)))
        write_vectors(PARAPHRASE_VECTORS, reworded, _unit(rng, len(reworded)))
        write_vectors(CAPTION_VECTORS, ids, _unit(rng, len(ids)))
        for model in ("c0", "student", *load_params().cycles):
            write_vectors(product_vectors(model), ids, _unit(rng, len(ids)))

    @staticmethod
    def _product(number, rich):
        return {
            "product_id": f"p{number}", "title": "", "caption": f"picture {number}",
            "category": "home" if rich else "", "price": float(number) if rich else math.nan,
            "attributes": {"kind": KINDS[number % 3]} if rich else {}, "image": "",
            "image_sha256": "", "split": "train" if number % 5 == 0 else "test",
        }  # fmt: skip

    @staticmethod
    def _persona(number, rich, interests):
        return {
            "persona_id": f"u{number}", "text": f"wish {number}", "split": "test",
            "wants": {f"kind={KINDS[number % 3]}": 1.0} if rich else {},
            "paraphrase": f"hope {number}" if rich and number % 2 else "",
            "facets": {"interest": interests[number % len(interests)]} if rich else {},
        }  # fmt: skip

    @staticmethod
    def _choice(person, held, number):
        winner = held[number % len(held)]["product_id"]
        others = [product["product_id"] for product in held[:12]]
        return {
            "persona_id": person["persona_id"], "split": "test", "winner": winner,
            "finalists": [winner, *(other for other in others if other != winner)], "calls": 1,
            "undecided": 0, "repeats": 1, "confidence": math.nan, "teacher": "t",
        }  # fmt: skip

    @staticmethod
    def _group(person, held):
        shown = [product["product_id"] for product in held[:5]]
        return {
            "group_id": f"g{person['persona_id']}", "persona_id": person["persona_id"],
            "presented": shown, "ranking": shown[::-1], "teacher": "t", "request_sha256": "",
        }  # fmt: skip


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Evaluate a place: metrics, rows of the queries table, and what MLflow was given."""
    text = (TOP / PARAMS).read_text(encoding="utf-8")
    (tmp_path / PARAMS).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    logged = {}

    @contextmanager
    def no_run(*arguments):
        yield "run"

    def axis(texts):
        return np.array([[len(text), sum(map(ord, text)) % 7] for text in texts], dtype=float)

    monkeypatch.setattr(evaluate, "training_run", no_run)
    monkeypatch.setattr(evaluate, "log_metrics", lambda metrics: logged.update(metrics=metrics))
    monkeypatch.setattr(evaluate, "log_files", lambda paths: logged.update(files=list(paths)))
    monkeypatch.setattr(evaluate, "ask_about_concepts", lambda *arguments: None)
    monkeypatch.setattr(evaluate_personas, "load_minilm", lambda: axis)

    def evaluated(**place):
        for folder in (STUDENT_MODEL, CONCEPTS):
            folder.mkdir(parents=True)
        Place(**place)
        evaluate.main()
        metrics = json.loads(evaluate.EVALUATION.read_text())
        assert [path for path in logged["files"] if not path.is_file()] == []
        return metrics, read_rows(evaluate.QUERIES_FILE, QUERIES), logged["metrics"]

    return evaluated


def _table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_everything_there_is_to_tell(run, capsys):
    metrics, rows, logged = run()
    # Every other persona loves yoga, which no training persona does.
    assert {model: summary["n"] for model, summary in metrics["persona"].items()} == dict.fromkeys(
        ("random", "base", "text", "student", "ceiling"), 10
    )
    assert metrics["slices"]["interests"]["seen"]["n"] == 10
    assert metrics["slices"]["interests"]["unseen"]["n"] == 10
    assert metrics["slices"]["interest"]["yoga"]["n"] == 10
    assert metrics["slices"]["category"]["home"]["n"] == 10
    mean = np.mean([r["percentile"] for r in rows if _is(r, "student", "seen")])
    assert metrics["persona"]["student"]["mean_percentile"] == pytest.approx(mean)
    gain = metrics["comparison"]["gain"]
    base = metrics["persona"]["base"]["mean_percentile"]
    assert gain == pytest.approx(mean - base)
    assert gain == pytest.approx(metrics["slices"]["interests"]["seen"]["gain"])
    assert metrics["comparison"]["clusters"] == 1  # all of them love tea: nothing more is claimed
    assert metrics["comparison"]["ci95"] is metrics["comparison"]["p_value"] is None
    assert set(logged) == set(metrics) - {"slices"}
    assert f"base {base:.3f}, student {mean:.3f}" in capsys.readouterr().out


def test_intervals_come_with_ten_interests(run):
    interests = [f"interest {number}" for number in range(11)]
    metrics, _, _ = run(people=44, interests=interests, seen=interests[:10])
    comparison = metrics["comparison"]
    assert (comparison["n"], comparison["clusters"]) == (40, 10)
    assert comparison["ci95"][0] < comparison["gain"] < comparison["ci95"][1]
    assert 0 < comparison["p_value"] <= 1
    unseen = metrics["slices"]["interests"]["unseen"]
    assert (unseen["n"], unseen["clusters"], unseen["ci95"]) == (4, 1, None)
    slices = {(row["slice"], row["value"]): row for row in _table(SLICES_FILE)}
    seen, numbers = slices["interests", "seen"], metrics["slices"]["interests"]["seen"]
    assert [float(seen[end]) for end in ("low", "high")] == pytest.approx(numbers["ci95"], abs=1e-6)
    assert (seen["n"], seen["clusters"]) == ("40", "10")


def _is(row, model, interests, wording="original"):
    found = (row["model"], row["slices"].get("interests"), row["wording"])
    return found == (model, interests, wording)


def test_the_other_wording_has_the_same_winners_and_other_scores(run):
    metrics, rows, _ = run(interests=("tea",))
    reworded = {r["persona_id"]: r for r in rows if _is(r, "student", "seen", "paraphrased")}
    assert len(reworded) == metrics["persona_paraphrased"]["student"]["n"] == 10
    assert set(metrics["persona_paraphrased"]) == {"base", "text", "student"}
    same = [r for r in rows if _is(r, "student", "seen") and r["persona_id"] in reworded]
    assert all(reworded[r["persona_id"]]["winner"] == r["winner"] for r in same)
    assert any(reworded[r["persona_id"]]["rank"] != r["rank"] for r in same)


def test_tables_for_the_report(run):
    metrics, rows, _ = run(interests=("tea",))
    slices = {(row["slice"], row["value"]): row for row in _table(SLICES_FILE)}
    assert len(slices) == sum(map(len, metrics["slices"].values()))
    seen, numbers = slices["interests", "seen"], metrics["slices"]["interests"]["seen"]
    assert float(seen["gain"]) == pytest.approx(numbers["gain"], abs=1e-6)
    assert (seen["low"], seen["high"]) == ("", "")  # of one interest
    cycles = _table(CYCLES_FILE)
    assert len(cycles) == BINS * (1 + len(load_params().cycles))
    shares = [float(row["share"]) for row in cycles if row["cycle"] == "base"]
    assert sum(shares) == pytest.approx(1, abs=1e-5)
    counts = dict.fromkeys(("base", "student"), 0)
    for row in _table(CALIBRATION_FILE):
        counts[row["model"]] += int(row["n"])
    assert counts == {"base": 20 * 10, "student": 20 * 10}  # ten pairs a group
    worst = json.loads(WORST_FILE.read_text())
    student = sorted(r["percentile"] for r in rows if _is(r, "student", "seen"))
    assert [one["percentile"] for one in worst] == student[:WORST]
    of_base = {r["persona_id"]: r["percentile"] for r in rows if _is(r, "base", "seen")}
    for one in worst:
        assert one["base_percentile"] == of_base[one["persona_id"]]
        assert one["text"] == f"wish {one['persona_id'][1:]}"
        assert len(one["top"]) == 5


def test_the_last_lines_of_the_cycles_can_be_deleted(run):
    lines = Path(PARAMS).read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if not re.match(r"  c[2-9]: ", line)]
    assert len(kept) == len(lines) - 3
    Path(PARAMS).write_text("".join(kept), encoding="utf-8")
    assert list(load_params().cycles) == ["c1"]
    metrics, _, _ = run(interests=("tea",))
    assert metrics["persona"]["student"]["n"] == 20
    assert {row["cycle"] for row in _table(CYCLES_FILE)} == {"base", "c1"}


@pytest.mark.parametrize("people", [1, 2, 6, 30])
def test_real_photos_without_wants_facets_paraphrases_or_groups(run, people):
    metrics, rows, _ = run(people=people, rich=False)
    assert set(metrics["persona"]) == {"random", "base", "text", "student"}
    student = metrics["persona"]["student"]
    assert student["n"] == people
    assert student["within_kind_percentile"] is student["tau"] is None
    assert 1 <= student["clusters"] <= people
    assert (student["ci95"] is None) == (student["clusters"] < 10)
    assert {summary["n"] for summary in metrics["persona_paraphrased"].values()} == {0}
    assert metrics["comparison"]["gap_closed"] is None
    assert metrics["comparison"]["paraphrased_gain"] is None
    assert set(metrics["slices"]) <= {"wishes"}  # texts that wish alike
    assert len(rows) == 4 * people
    assert _table(CALIBRATION_FILE) == []


def test_nobody_but_unseen_interests(run, capsys):
    metrics, rows, _ = run(interests=("opera",))
    assert {summary["n"] for summary in metrics["persona"].values()} == {0}
    assert {s["mean_percentile"] for s in metrics["persona"].values()} == {None}
    assert metrics["comparison"]["gain"] is metrics["comparison"]["p_value"] is None
    assert metrics["slices"]["interests"]["unseen"]["n"] == 20
    assert json.loads(WORST_FILE.read_text()) == _table(CYCLES_FILE) == []
    assert _table(PERCENTILES_FILE) == []
    assert "every test persona has an unseen interest" in capsys.readouterr().out
    assert {row["slices"]["interest"] for row in rows} == {"opera"}
