import math
from types import SimpleNamespace

import numpy as np
import pytest

from pipelines import evaluate, evaluate_concepts
from pipelines.evaluate_concepts import caption_recall, encode_kindred, encode_text_only, fill
from pipelines.evaluate_personas import query_rows, random_scores, summarise, truth_scores
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
    rest = {"paraphrase": "", "facets": {}}
    return {"persona_id": name, "text": name, "split": split, "wants": named, **rest}


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
    for name in ("ndcg@10", "tau", "slices", "top"):
        del first[name]
    assert first == {
        "persona_id": "gardener",
        "wording": "original",
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
        {"persona_id": "gardener", "split": "val", "winner": "p8", "finalists": ["p8"], **rest},
        {"persona_id": "colorist", "split": "test", "winner": "p3", "finalists": ["p3"], **rest},
        {"persona_id": "silent", "split": "test", "winner": "p0", "finalists": ["p0"], **rest},
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


@pytest.mark.parametrize(
    ("text", "phrases", "expected"),
    [
        ("an image of *", ["sks mug"], "an image of sks mug"),
        ("* and *", ["sks mug", "sks vase"], "sks mug and sks vase"),
        ("* on a table", ["mug"], "mug on a table"),
        ("no star", [], "no star"),
    ],
)
def test_phrases_go_where_the_stars_stand_in_turn(text, phrases, expected):
    assert fill(text, phrases) == expected


def _tower():
    """An encoder that remembers what it is asked."""
    asked = []
    encoder = SimpleNamespace(
        encode_texts=lambda texts: asked.extend(texts) or np.ones((len(texts), 2))
    )
    return SimpleNamespace(encoder=encoder), asked


QUERY = {"text": "* and *", "concepts": ["a", "b"]}


def test_the_baseline_reads_the_nouns():
    tower, asked = _tower()
    assert encode_text_only(tower, [QUERY], {"a": "mug", "b": "vase"}).shape == (1, 2)
    assert asked == ["mug and vase"]


def test_each_query_has_its_own_concepts_switched_on(monkeypatch):
    calls = []
    monkeypatch.setattr(
        evaluate_concepts,
        "finish_with",
        lambda tower, prefix, concepts: calls.append((prefix, concepts)) or np.ones((1, 2)),
    )
    tower = SimpleNamespace(prefix=list)
    a, b = SimpleNamespace(phrase="sks mug"), SimpleNamespace(phrase="sks vase")
    queries = [QUERY, {"text": "* here", "concepts": ["b"]}]
    assert encode_kindred(tower, queries, {"a": a, "b": b}).shape == (2, 2)
    assert calls == [(["sks mug and sks vase"], [a, b]), (["sks vase here"], [b])]


SUBJECT_GALLERY = [
    {"row_id": "a", "concepts": ["a"]},
    {"row_id": "b", "concepts": ["b"]},
    {"row_id": "ab", "concepts": ["a", "b"]},
    {"row_id": "nobody", "concepts": []},
]


def _measure(scores, queries):
    """With the gallery as axes, a query's vector is its scores."""
    return evaluate_concepts.measure(SUBJECT_GALLERY, np.eye(4), queries, np.array(scores))


def _query(kind, *truths):
    return {"kind": kind, "truths": list(truths)}


def test_measure_by_hand():
    got = _measure(
        [[0.5, 0.1, 0.9, 0.7], [0.2, 0.9, 0.4, 0.3], [0.9, 0.8, 0.7, 0.6]],
        [
            _query("concept_only", "a"),
            _query("context", "a", "ab"),
            _query("multi", "ab"),
        ],
    )
    # Alone, "a" is second: the pair, which scores higher, is not in the pool.
    assert got["concept_only"] == {"map": 0.5, "mrr": 0.5}
    # In the whole gallery the truths of the second query are at ranks 2 and 4.
    assert got["context"] == {
        "map": pytest.approx((1 / 2 + 2 / 4) / 2),
        "mrr": 0.5,
        "recall@1": 0.0,
        "recall@5": 1.0,
    }
    assert got["multi"] == {
        "map": pytest.approx(1 / 3),
        "mrr": pytest.approx(1 / 3),
        "recall@1": 0.0,
    }


def test_pairs_are_in_no_concept_only_pool_but_in_the_others():
    scores = [[0.5, 0.0, 0.9, 0.0]]
    assert _measure(scores, [_query("concept_only", "a")])["concept_only"]["mrr"] == 1.0
    assert _measure(scores, [_query("context", "a")])["context"]["mrr"] == 0.5


def test_a_kind_of_query_that_is_not_there_has_no_numbers():
    got = _measure([[0.5, 0.1, 0.9, 0.7]], [_query("context", "a")])
    assert got["concept_only"] == {"map": None, "mrr": None}
    assert got["multi"] == {"map": None, "mrr": None, "recall@1": None}


def test_queries_are_averaged_within_their_kind():
    got = _measure(
        [[0.9, 0, 0, 0], [0.1, 0.2, 0.3, 0.4]], [_query("context", "a"), _query("context", "a")]
    )
    assert got["context"]["mrr"] == pytest.approx((1 + 1 / 4) / 2)
    assert got["context"]["recall@1"] == 0.5


def test_caption_recall_is_averaged_over_concepts_switched_on_one_by_one(monkeypatch):
    count = 30
    seen = []

    def finish(tower, prefix, concepts):
        assert prefix == tuple(captions)
        seen.append(list(concepts))
        return np.eye(count) * (-1 if concepts == ["bad"] else 1)  # its own picture last, or first

    monkeypatch.setattr(evaluate_concepts, "finish_with", finish)
    captions = [str(number) for number in range(count)]
    tower = SimpleNamespace(prefix=tuple)
    got = caption_recall(tower, captions, np.eye(count), ["good", "bad"])
    assert got == {"unmodified": 1.0, "adapted": 0.5}
    assert sorted(seen) == [[], ["bad"], ["good"]]
