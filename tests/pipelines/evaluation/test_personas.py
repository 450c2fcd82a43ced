import itertools
import math

import numpy as np
import pytest

from pipelines.evaluation import personas as evaluate_personas
from pipelines.evaluation.captions import caption_metrics
from pipelines.evaluation.personas import (
    compare,
    persona_scores,
    query_rows,
    random_scores,
    read_listings,
    summarise,
    teacher_gains,
    truth_scores,
)
from pipelines.evaluation.statistics import Resampling
from pipelines.held_out.winners import HeldOut, read_held_out
from pipelines.run.paths import (
    BASE,
    CAPTION_VECTORS,
    PERSONA_VECTORS,
    PERSONAS_FILE,
    PRODUCTS_FILE,
    TOURNAMENTS_FILE,
    product_vectors,
)
from retrieval.storage.schema import PERSONAS, PRODUCTS, QUERIES, TOURNAMENTS, read_rows, write_rows
from retrieval.storage.vectors import write_vectors


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


RESAMPLING = Resampling(500, 1000, 0)
NUMBERS = itertools.count()


def test_query_rows_by_hand():
    held_out = HeldOut(
        [GARDENER, COLORIST],
        GALLERY,
        np.array([0, 3]),
        finalists_Q=[np.array([0, 1]), np.array([3])],
        groups_Q=[[np.array([0, 1, 2]), np.array([1, 3])], []],
        slices_Q=[{"interest": "garden"}, {}],
    )
    scores_QC = np.array([[0.5, 0.9, 0.1, 0.7], [0.1, 0.2, 0.9, 0.9]])
    first, second = query_rows(held_out, "student", scores_QC)
    assert first == {
        "persona_id": "gardener",
        "wording": "original",
        "model": "student",
        "winner": "p0",
        "rank": 3.0,
        "candidates": 4,
        "percentile": pytest.approx(1 / 3),
        "within_kind_percentile": 0.0,  # of the two mugs the second
        # The winner (10) at rank 3, the next finalist (9) at rank 1.
        "ndcg@10": pytest.approx((9 + 10 / 2) / (10 + 9 / math.log2(3))),
        # Of p0 > p1 > p2 one pair of three is reversed; p1 > p3 is right.
        "tau": pytest.approx((1 / 3 + 1) / 2),
        "slices": {"interest": "garden"},
        "top": ["p1", "p3", "p0", "p2"],
    }
    assert second["rank"] == 1.5  # a tie with p2
    assert second["percentile"] == pytest.approx(2.5 / 3)
    assert second["within_kind_percentile"] == 1.0  # of the two red things the first
    assert second["ndcg@10"] == pytest.approx((1 + 1 / math.log2(3)) / 2)  # either order
    assert math.isnan(second["tau"])


def test_rows_of_people_without_wants_fit_the_table_too(tmp_path):
    rows = query_rows(_held_out(SILENT, winners=[1]), "base", np.array([[0.1, 0.4, 0.3, 0.2]]))
    assert math.isnan(rows[0]["within_kind_percentile"])
    assert math.isnan(rows[0]["ndcg@10"])
    write_rows(tmp_path / "q.parquet", rows, QUERIES)
    assert read_rows(tmp_path / "q.parquet", QUERIES)[0]["percentile"] == 1.0


def test_the_ten_first_finalists_are_worth_finding():
    catalogue = [_product(number) for number in range(14)]
    finalists = [np.arange(12), np.array([3])]
    held_out = HeldOut([GARDENER, SILENT], catalogue, np.array([0, 3]), finalists)
    gains_QC = teacher_gains(held_out)
    assert gains_QC[0].tolist() == [10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0, 0, 0]
    assert gains_QC[1].tolist() == [0, 0, 0, 10, *[0] * 10]


def _row(rank, percentile, within, ndcg=math.nan, tau=math.nan, interest=""):
    return {
        "persona_id": str(next(NUMBERS)),
        "slices": {"interest": interest} if interest else {},
        "rank": rank,
        "percentile": percentile,
        "within_kind_percentile": within,
        "ndcg@10": ndcg,
        "tau": tau,
    }


def test_summary_by_hand():
    rows = [
        _row(1.0, 1.0, 0.5, 1.0, 0.2),
        _row(3.0, 0.8, math.nan, 0.5, math.nan),
        _row(1.5, 0.9, 1.0, 0.3, -0.6),
        _row(11, 0.1, 0.0, 0.0, 1.0),
        _row(2, 0.7, 0.5, 0.2, 1.0),
    ] * 2
    for number, row in enumerate(rows := [dict(row) for row in rows]):
        row["persona_id"] = str(number)
    got = summarise(rows, RESAMPLING)
    low, high = got.pop("ci95")
    assert got == pytest.approx(
        {
            "mean_percentile": 0.7,
            "median_percentile": 0.8,
            "within_kind_percentile": 0.5,  # of the four where it is known
            "recall@1": 0.2,
            "recall@10": 0.8,
            "ndcg@10": 0.4,
            "tau": 0.4,  # likewise
            "n": 10,
            "clusters": 10,
        }
    )
    assert 0.1 <= low < 0.7 < high <= 1.0


def test_within_kind_is_null_where_nobody_has_wants():
    rows = query_rows(_held_out(SILENT, winners=[1]), "base", np.array([[0.1, 0.4, 0.3, 0.2]]))
    got = summarise(rows, RESAMPLING)
    assert got["within_kind_percentile"] is got["ndcg@10"] is got["tau"] is got["ci95"] is None
    assert (got["n"], got["mean_percentile"]) == (1, 1.0)


def test_the_summary_of_nobody_is_null():
    got = summarise([], RESAMPLING)
    assert got.pop("n") == got.pop("clusters") == 0
    assert set(got.values()) == {None}


def _models(**percentiles):
    return {
        model: [_row(1, value, math.nan) for value in values]
        for model, values in percentiles.items()
    }


def test_comparison_by_hand():
    base, student = [0.2, 0.4, 0.6, 0.8, 0.5] * 2, [0.6, 0.8, 1.0, 0.8, 0.9] * 2
    rows = _models(base=base, student=student, ceiling=[1.0] * 10)
    reworded = _models(base=[0.5], student=[0.4])
    got = compare(rows, reworded, RESAMPLING)
    assert (got["n"], got["clusters"]) == (10, 10)
    assert got["gain"] == pytest.approx(0.32)  # 0.4 eight times, and 0 twice
    assert 0.1 < got["ci95"][0] < 0.32 < got["ci95"][1] <= 0.4
    assert got["p_value"] == pytest.approx(8 / 1001, abs=8 / 1001)  # 2 * 4 patterns of 1,024
    assert got["gap_closed"] == pytest.approx((0.82 - 0.5) / (1 - 0.5))
    assert got["gap_closed_ci95"][0] < 0.64 < got["gap_closed_ci95"][1] < 1
    assert got["paraphrased_gain"] == pytest.approx(-0.1)
    assert got["paraphrased_ci95"] is got["paraphrased_p_value"] is None  # of one persona
    assert got["within_kind_gain"] is got["within_kind_ci95"] is got["tau_gain"] is None


@pytest.mark.parametrize(("interests", "claimed"), [(9, False), (10, True)])
def test_below_ten_interests_nothing_is_claimed_however_many_personas(interests, claimed):
    def rows(high):
        return [
            _row(1, high + 0.01 * (n % 7), 0.5 + high / 2, interest=f"i{n % interests}")
            for n in range(200)
        ]

    models = {"base": rows(0.3), "student": rows(0.5), "ceiling": rows(0.9)}
    got = compare(models, models, RESAMPLING)
    assert (got["n"], got["clusters"]) == (200, interests)
    keys = ("ci95", "p_value", "within_kind_ci95", "gap_closed_ci95", "paraphrased_ci95",
            "paraphrased_p_value")  # fmt: skip
    assert [got[key] is not None for key in keys] == [claimed] * len(keys)
    assert (summarise(models["base"], RESAMPLING)["ci95"] is not None) == claimed


@pytest.mark.parametrize("ceiling", [{}, {"ceiling": [0.1, 0.3]}])
def test_no_gap_is_closed_without_a_ceiling_above_the_base(ceiling):
    rows = _models(base=[0.2, 0.4], student=[0.6, 0.8], **ceiling)
    got = compare(rows, _models(base=[], student=[]), RESAMPLING)
    assert got["gap_closed"] is got["gap_closed_ci95"] is None
    assert got["paraphrased_gain"] is got["paraphrased_p_value"] is None


def test_the_comparison_of_nobody_is_null():
    nobody = _models(base=[], student=[], ceiling=[])
    got = compare(nobody, nobody, RESAMPLING)
    assert got.pop("n") == got.pop("clusters") == 0
    assert set(got.values()) == {None}


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
    monkeypatch.setattr(HeldOut, "scores", lambda self, model: np.zeros((2, 4)))
    held_out = _held_out(*personas, winners=[0, 3])
    scores = persona_scores(held_out, lambda texts: np.ones((len(texts), 4)), seed=0)
    expected = {"random", "base", "text", "student"} | ({"ceiling"} if ceiling else set())
    assert set(scores) == expected
    assert all(np.shape(of_model) == (2, 4) for of_model in scores.values())


def test_only_those_who_read_are_asked_in_other_words(monkeypatch):
    reworded = [{**GARDENER, "paraphrase": "other words"}, {**SILENT, "paraphrase": ""}]
    asked = []
    monkeypatch.setattr(HeldOut, "scores", lambda self, model: np.zeros((1, 4)))
    held_out = _held_out(*reworded, winners=[0, 3]).paraphrased()
    scores = persona_scores(held_out, lambda texts: asked.extend(texts) or np.ones((1, 4)), 0)
    assert asked == ["other words"]
    assert list(scores) == ["base", "text", "student"]
    [row] = query_rows(held_out, "base", scores["base"])
    assert (row["persona_id"], row["wording"], row["winner"]) == ("gardener", "paraphrased", "p0")


def test_listings_are_read_once_with_title_and_caption(monkeypatch):
    asked = []

    def encode(texts):
        asked.append(list(texts))
        return np.array([[len(text)] for text in texts])

    monkeypatch.setattr(evaluate_personas, "load_minilm", lambda: encode)
    text = read_listings([{**GALLERY[0], "title": "Mug"}, {**GALLERY[1], "title": ""}])
    assert text(["ab"]).tolist() == [[2 * len("Mug. caption 0"), 2 * len(". caption 1")]]
    text(["c"])
    assert asked == [["Mug. caption 0", ". caption 1"], ["ab"], ["c"]]


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
    write_vectors(product_vectors(BASE), ids, eye)
    write_vectors(product_vectors("student"), ids[::-1], eye)
    return products


def test_held_out_people_stand_beside_their_own_winners(project):
    held_out = read_held_out("test")
    assert [persona["persona_id"] for persona in held_out.personas] == ["colorist", "silent"]
    assert held_out.product_ids == ["p0", "p1", "p2", "p3"]
    assert held_out.winner_Q.tolist() == [3, 0]
    # colorist is axis 2: of the base model's vectors the one of p1; silent is axis 0: of none.
    assert held_out.scores(BASE).tolist() == [[0, 1, 0, 0], [0, 0, 0, 0]]


def test_validation_people_judge_validation_products(project):
    held_out = read_held_out("val")
    assert held_out.product_ids == ["p8"]
    assert [persona["persona_id"] for persona in held_out.personas] == ["gardener"]


def test_caption_metrics_by_hand(project):
    """The base model finds each picture; the student's vectors are those of other pictures."""
    metrics = caption_metrics(GALLERY)
    found = {"recall@1": 1.0, "recall@10": 1.0}
    assert metrics["base"] == {**found, "image_to_text": found}
    assert metrics["student"]["recall@1"] == metrics["student"]["image_to_text"]["recall@1"] == 0.0
    chance = {"recall@1": pytest.approx(0.25), "recall@10": 1.0}
    assert metrics["chance"] == {**chance, "image_to_text": chance}


def test_captions_and_pictures_are_found_each_their_own_way(project):
    """One picture that every caption likes best: each caption misses, that picture alone finds."""
    images = np.array([[1, 0, 0], [0.9, 0.436, 0], [0.9, 0, 0.436]], dtype=np.float32)
    texts = np.array([[1, 0, 0], [0.98, 0.2, 0], [0.98, 0, 0.2]], dtype=np.float32)
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (images, texts)]
    ids = ["p0", "p1", "p2"]
    for model in ("c0", "student"):
        write_vectors(product_vectors(model), ids, unit[0])
    write_vectors(CAPTION_VECTORS, ids, unit[1])
    metrics = caption_metrics(GALLERY[:3])["base"]
    assert metrics["recall@1"] == pytest.approx(1 / 3)
    assert metrics["image_to_text"]["recall@1"] == 1.0
