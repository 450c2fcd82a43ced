import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest

from pipelines.evaluation.concepts import ConceptAnswers
from pipelines.evaluation.statistics import Resampling
from pipelines.run.paths import SUBJECTS_FILE
from pipelines.subjects import measure as evaluate_concepts
from pipelines.subjects.measure import (
    Answer,
    caption_recall,
    encode_kindred,
    encode_text_only,
    fill,
)
from retrieval.storage.files import sha256_file
from retrieval.storage.schema import CONCEPT_QUERIES, SUBJECTS, read_rows, write_rows


@pytest.mark.parametrize(
    ("text", "phrases", "expected"),
    [
        ("an image of *", ["sks mug"], "an image of sks mug"),
        ("* and *", ["sks mug", "sks vase"], "sks mug and sks vase"),
        ("* on a table", ["mug"], "mug on a table"),
        ("no star", [], "no star"),
        ("* beside another *", ["sks mug"], "sks mug beside another sks mug"),
        ("* and * or *", ["sks mug", "sks vase"], "sks mug and sks vase or sks vase"),
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


def test_each_query_names_its_own_concepts(monkeypatch):
    calls = []
    monkeypatch.setattr(
        evaluate_concepts,
        "encode_queries",
        lambda tower, texts, rows: calls.append((texts, rows)) or np.ones((len(texts), 2)),
    )
    queries = [QUERY, {"text": "* here", "concepts": ["b"]}]
    assert encode_kindred(None, queries, {"a": "A", "b": "B"}).shape == (2, 2)
    assert calls == [(["{a} and {b}", "{b} here"], [["A", "B"], ["B"]])]


SUBJECT_GALLERY = [
    {"row_id": "a", "concepts": ["a"]},
    {"row_id": "b", "concepts": ["b"]},
    {"row_id": "ab", "concepts": ["a", "b"]},
    {"row_id": "nobody", "concepts": []},
]


def _measure(scores, queries):
    """With the gallery as axes, a query's vector is its scores."""
    return evaluate_concepts.measure(
        SUBJECT_GALLERY, np.eye(4), queries, np.array(scores), distractors=True
    )


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
        "recall@5": 1.0,
    }
    # Both queries for scenes together, the first one not.
    assert got["all"]["mrr"] == pytest.approx((1 / 2 + 1 / 3) / 2)


def test_pairs_are_in_no_concept_only_pool_but_in_the_others():
    scores = [[0.5, 0.0, 0.9, 0.0]]
    assert _measure(scores, [_query("concept_only", "a")])["concept_only"]["mrr"] == 1.0
    assert _measure(scores, [_query("context", "a")])["context"]["mrr"] == 0.5


def test_a_kind_of_query_that_is_not_there_has_no_numbers():
    got = _measure([[0.5, 0.1, 0.9, 0.7]], [_query("context", "a")])
    assert got["concept_only"] == {"map": None, "mrr": None}
    assert got["multi"] == {"map": None, "mrr": None, "recall@1": None, "recall@5": None}
    assert got["all"] == got["context"]


def test_queries_are_averaged_within_their_kind():
    got = _measure(
        [[0.9, 0, 0, 0], [0.1, 0.2, 0.3, 0.4]], [_query("context", "a"), _query("context", "a")]
    )
    assert got["context"]["mrr"] == pytest.approx((1 + 1 / 4) / 2)
    assert got["context"]["recall@1"] == 0.5


@pytest.mark.parametrize("at_once", [7, 30, 1000])
def test_caption_recall_with_concepts_switched_on_one_by_one(monkeypatch, at_once):
    count = 30
    seen = []

    def finish(tower, prefix, concepts):
        seen.append((list(concepts), list(prefix)))
        own = np.eye(count)[[int(text) for text in prefix]]
        return own * (-1 if concepts == ["bad"] else 1)  # its own picture last, or first

    monkeypatch.setattr(evaluate_concepts, "finish_with", finish)
    monkeypatch.setattr(evaluate_concepts, "CAPTIONS", at_once)
    captions = [str(number) for number in range(count)]
    tower = SimpleNamespace(prefix=tuple)
    assert caption_recall(tower, captions, np.eye(count), ["good", "bad"]) == (1.0, [1.0, 0.0])
    for concepts in ([], ["bad"], ["good"]):
        assert [text for on, texts in seen if on == concepts for text in texts] == captions


def _answer(kind, *concepts, rank=1.0, precision=1.0):
    query = {"row_id": f"{kind} {concepts}", "kind": kind, "concepts": list(concepts)}
    return Answer(query, rank, precision)


NAMES = [f"s{number}" for number in range(12)]
RESAMPLING = Resampling(400, 100, 0)


def test_the_summary_of_concepts_has_intervals_by_subject():
    """Half the subjects are always found first, half never: queries alone would be surer."""
    answers = [
        _answer("context", name, rank=1.0 + 3 * (number % 2))
        for number, name in enumerate(NAMES)
        for _ in range(8)
    ]
    alone = [_answer("concept_only", name, precision=0.5) for name in NAMES]
    found = ConceptAnswers({"kindred": [*answers, *alone]}, 1.0, dict.fromkeys(NAMES, 0.9))
    summary = found.summarise(RESAMPLING)
    context = summary["kindred"]["context"]
    assert (context["n"], context["subjects"]) == (96, 12)
    assert context["mrr"] == pytest.approx((1 + 1 / 4) / 2)
    low, high = context["ci95"]["mrr"]
    # Of 12 draws of 1 or 1/4: a standard error of 3/8 / √12, whatever the number of queries.
    assert (high - low) / (2 * 1.96) == pytest.approx(0.375 / math.sqrt(12), rel=0.2)
    assert summary["kindred"]["concept_only"]["ci95"]["map"] == pytest.approx([0.5, 0.5])
    assert summary["kindred"]["multi"] == {
        **dict.fromkeys(("map", "mrr", "recall@1", "recall@5")),
        "ci95": dict.fromkeys(("map", "mrr", "recall@1", "recall@5")),
        "n": 0,
        "subjects": 0,
    }
    assert summary["caption_recall@10"] == {
        "unmodified": 1.0,
        "adapted": pytest.approx(0.9),
        "adapted_ci95": pytest.approx([0.9, 0.9]),
        "subjects": 12,
    }


@pytest.mark.parametrize(("subjects", "claimed"), [(9, False), (10, True)])
def test_fewer_than_ten_subjects_have_no_interval(subjects, claimed):
    names = NAMES[:subjects]
    pairs = [_answer("multi", *pair) for pair in itertools.pairwise(names)]
    found = ConceptAnswers({"kindred": pairs}, 1.0, dict.fromkeys(names, 0.9)).summarise(RESAMPLING)
    multi = found["kindred"]["multi"]
    assert (multi["n"], multi["subjects"]) == (subjects - 1, subjects)
    assert (multi["ci95"]["mrr"] is not None) == claimed
    assert (found["caption_recall@10"]["adapted_ci95"] is not None) == claimed


def test_rows_say_who_was_asked_what(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_rows(SUBJECTS_FILE, [], SUBJECTS)
    answers = {"kindred": [_answer("context", "s0", rank=11.0, precision=0.2)]}
    rows = ConceptAnswers(answers, 1.0, {"s0": 0.75}).rows()
    write_rows(tmp_path / "rows.parquet", rows, CONCEPT_QUERIES)
    scene, captions = read_rows(tmp_path / "rows.parquet", CONCEPT_QUERIES)
    assert (scene["rank"], scene["average_precision"], scene["recall@10"]) == (11.0, 0.2, 0.0)
    assert (captions["kind"], captions["concepts"], captions["recall@10"]) == (
        "captions", ["s0"], 0.75
    )  # fmt: skip
    assert scene["subjects_sha256"] == captions["subjects_sha256"] == sha256_file(SUBJECTS_FILE)
