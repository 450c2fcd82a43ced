import csv
import math
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from pipelines import evaluate
from pipelines.evaluate_personas import query_rows, random_scores, summarise, truth_scores
from pipelines.evaluate_plots import BINS, PICTURE, TABLE, write_percentiles
from pipelines.held_out import HeldOut, read_held_out
from pipelines.paths import (
    CAPTION_VECTORS,
    PERSONA_VECTORS,
    PERSONAS_FILE,
    PRODUCTS_FILE,
    TOURNAMENTS_FILE,
    product_vectors,
)
from retrieval.schema import PERSONAS, PRODUCTS, QUERIES, TOURNAMENTS, read_rows, write_rows
from retrieval.vectors import write_vectors


def _product(number, split="test", **attributes):
    return {
        "product_id": f"p{number}",
        "title": "",
        "caption": f"caption {number}",
        "category": "",
        "price": 1.0,
        "attributes": attributes,
        "image": "",
        "image_sha256": "",
        "split": split,
    }


def _persona(name, split="test", **wants):
    named = {want.replace("_", "="): weight for want, weight in wants.items()}
    return {"persona_id": name, "text": name, "split": split, "wants": named}


GALLERY = [
    _product(0, kind="mug", color="blue"),
    _product(1, kind="mug", color="red"),
    _product(2, kind="vase", color="blue"),
    _product(3, kind="vase", color="red"),
]
GARDENER = _persona("gardener", kind_mug=1.0, color_blue=0.5)
COLORIST = _persona("colorist", color_red=1.0)
SILENT = _persona("silent")


def _held_out(*personas, winners):
    return HeldOut(list(personas), GALLERY, np.array(winners))


def test_query_rows_by_hand():
    held_out = _held_out(GARDENER, COLORIST, winners=[0, 3])
    scores_QC = np.array([[0.5, 0.9, 0.1, 0.7], [0.1, 0.2, 0.9, 0.9]])
    first, second = query_rows(held_out, "student", scores_QC)
    assert first == {
        "persona_id": "gardener",
        "model": "student",
        "winner": "p0",
        "rank": 3.0,
        "candidates": 4,
        "percentile": pytest.approx(1 / 3),
        "within_kind_percentile": 0.0,  # of the two mugs the second
    }
    assert second["rank"] == 1.5  # a tie with p2
    assert second["percentile"] == pytest.approx(2.5 / 3)
    assert second["within_kind_percentile"] == 1.0  # of the two red things the first


def test_rows_of_people_without_wants_fit_the_table_too(tmp_path):
    rows = query_rows(_held_out(SILENT, winners=[1]), "base", np.array([[0.1, 0.4, 0.3, 0.2]]))
    assert math.isnan(rows[0]["within_kind_percentile"])
    write_rows(tmp_path / "q.parquet", rows, QUERIES)
    assert read_rows(tmp_path / "q.parquet", QUERIES)[0]["percentile"] == 1.0


def _row(rank, percentile, within):
    return {"rank": rank, "percentile": percentile, "within_kind_percentile": within}


def test_summary_by_hand():
    rows = [_row(1.0, 1.0, 0.5), _row(3.0, 0.8, math.nan), _row(1.5, 0.9, 1.0), _row(11, 0.1, 0.0)]
    got = summarise(rows, samples=500, seed=0)
    low, high = got.pop("ci95")
    assert got == pytest.approx(
        {
            "mean_percentile": 0.7,
            "median_percentile": 0.85,
            "within_kind_percentile": 0.5,  # of the three where it is known
            "recall@1": 0.25,
            "recall@10": 0.75,
            "ndcg@10": (1 + 1 / 2 + 1 / math.log2(2.5)) / 4,
            "n": 4,
        }
    )
    assert 0.1 <= low < 0.7 < high <= 1.0


def test_within_kind_is_null_where_nobody_has_wants():
    rows = query_rows(_held_out(SILENT, winners=[1]), "base", np.array([[0.1, 0.4, 0.3, 0.2]]))
    assert summarise(rows, 100, 0)["within_kind_percentile"] is None


def test_the_truth_ranks_by_wants():
    held_out = _held_out(GARDENER, COLORIST, winners=[0, 3])
    truth = truth_scores(held_out)
    assert truth.tolist() == [[1.5, 1.0, 0.5, 0.0], [0.0, 1.0, 0.0, 1.0]]
    assert held_out.percentiles(truth).tolist() == [1.0, pytest.approx(2.5 / 3)]  # mid-rank tie


def test_there_is_no_truth_where_a_persona_has_no_wants():
    assert truth_scores(_held_out(GARDENER, SILENT, winners=[0, 1])) is None


@pytest.mark.parametrize(
    ("personas", "ceiling"), [((GARDENER, COLORIST), True), ((GARDENER, SILENT), False)]
)
def test_a_ceiling_is_reported_only_where_the_truth_is_known(monkeypatch, personas, ceiling):
    monkeypatch.setattr(evaluate, "load_minilm", lambda: lambda texts: np.ones((len(texts), 2)))
    monkeypatch.setattr(HeldOut, "scores", lambda self, model: np.zeros((2, 4)))
    held_out = _held_out(*personas, winners=[0, 3])
    scores = evaluate.persona_scores(held_out, SimpleNamespace(seed=0))
    expected = {"random", "base", "text", "student"} | ({"ceiling"} if ceiling else set())
    assert set(scores) == expected
    assert all(np.shape(of_model) == (2, 4) for of_model in scores.values())


def test_a_random_order_finds_the_winner_in_the_middle():
    people = [_persona(str(number)) for number in range(400)]
    held_out = HeldOut(people, GALLERY * 25, np.zeros(400, dtype=int))
    scores = random_scores(held_out, seed=0)
    assert held_out.percentiles(scores).mean() == pytest.approx(0.5, abs=0.06)
    np.testing.assert_array_equal(scores, random_scores(held_out, seed=0))
    assert not np.array_equal(scores, random_scores(held_out, seed=1))
    assert not np.array_equal(scores[0], scores[1])


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A catalogue of two splits, in a project of its own."""
    monkeypatch.chdir(tmp_path)
    products = [_product(9, split="train"), *GALLERY, _product(8, split="val")]
    personas = [SILENT, {**GARDENER, "split": "val"}, COLORIST]
    write_rows(PRODUCTS_FILE, products, PRODUCTS)
    write_rows(PERSONAS_FILE, personas, PERSONAS)
    rest = {"calls": 6, "undecided": 0, "repeats": 1, "confidence": 1.0, "teacher": "simulated"}
    tournaments = [
        {"persona_id": "gardener", "split": "val", "winner": "p8", **rest},
        {"persona_id": "colorist", "split": "test", "winner": "p3", **rest},
        {"persona_id": "silent", "split": "test", "winner": "p0", **rest},
    ]
    write_rows(TOURNAMENTS_FILE, tournaments, TOURNAMENTS)
    ids = [product["product_id"] for product in products]
    eye = np.eye(6, dtype=np.float32)
    write_vectors(PERSONA_VECTORS, ["silent", "gardener", "colorist"], eye[:3])
    write_vectors(CAPTION_VECTORS, ids, eye)
    write_vectors(product_vectors("base"), ids, eye)
    write_vectors(product_vectors("best"), ids[::-1], eye)
    return products


def test_held_out_people_stand_beside_their_own_winners(project):
    held_out = read_held_out("test")
    assert [persona["persona_id"] for persona in held_out.personas] == ["colorist", "silent"]
    assert held_out.product_ids == ["p0", "p1", "p2", "p3"]
    assert held_out.winner_Q.tolist() == [3, 0]
    # colorist is axis 2: of the base model's vectors the one of p1; silent is axis 0: of none.
    assert held_out.scores("base").tolist() == [[0, 1, 0, 0], [0, 0, 0, 0]]


def test_validation_people_judge_validation_products(project):
    held_out = read_held_out("val")
    assert held_out.product_ids == ["p8"]
    assert [persona["persona_id"] for persona in held_out.personas] == ["gardener"]


def test_caption_metrics_by_hand(project):
    """The base model finds each picture; the student's vectors are those of other pictures."""
    metrics = evaluate.caption_metrics(GALLERY)
    assert metrics["base"] == {"recall@1": 1.0, "recall@10": 1.0}
    assert metrics["student"]["recall@1"] == 0.0
    assert metrics["chance"] == {"recall@1": pytest.approx(0.25), "recall@10": 1.0}


PERCENTILES = {
    "random": [0.0, 0.5, 1.0, 0.25],
    "base": [0.9, 0.97, 1.0, 0.7],
    "student": [1.0, 1.0, 0.99, 0.2],
}


@pytest.fixture
def plots(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_percentiles


def test_the_table_of_percentiles_holds_shares(plots):
    plots(PERCENTILES)
    rows = list(csv.DictReader(TABLE.open(newline="")))
    assert len(rows) == len(PERCENTILES) * BINS
    for model in PERCENTILES:
        shares = [float(row["share"]) for row in rows if row["model"] == model]
        assert sum(shares) == pytest.approx(1)
    top = {row["model"]: float(row["share"]) for row in rows if row["percentile"] == "0.95"}
    assert top == {"random": 0.25, "base": 0.5, "student": 0.75}  # the last bin holds 1


def test_the_picture_of_percentiles_is_not_blank(plots):
    plots(PERCENTILES)
    with Image.open(PICTURE) as image:
        pixels = np.asarray(image.convert("RGB"))
    assert pixels.shape[0] > 200
    assert pixels.shape[1] > 400
    colors = {tuple(color) for color in np.unique(pixels.reshape(-1, 3), axis=0).tolist()}
    assert {(0x5B, 0x8D, 0xB8), (0x1B, 0x7F, 0x5C)} <= colors  # bars of base and student
    assert (0x3D, 0x3D, 0x3D) not in {  # none of the ceiling, which is not there
        color for color in colors if (pixels == color).all(axis=-1).sum() > 500
    }


def test_the_same_numbers_give_the_same_picture(plots):
    plots(PERCENTILES)
    first = PICTURE.read_bytes()
    plots(dict(reversed(PERCENTILES.items())))
    assert PICTURE.read_bytes() == first
