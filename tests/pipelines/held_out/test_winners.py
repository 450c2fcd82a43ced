import numpy as np
import pytest

from pipelines.held_out.winners import HeldOut, read_held_out
from pipelines.run.paths import (
    BASE,
    PARAPHRASE_VECTORS,
    PERSONA_VECTORS,
    PERSONAS_FILE,
    PRODUCTS_FILE,
    TOURNAMENTS_FILE,
    product_vectors,
)
from retrieval.storage.schema import PERSONAS, PRODUCTS, TOURNAMENTS, write_rows
from retrieval.storage.vectors import write_vectors

EYE = np.eye(4, dtype=np.float32)


def _persona(name, paraphrase=""):
    return {"persona_id": name, "text": f"{name} wants", "split": "test", "wants": {},
            "paraphrase": paraphrase, "facets": {}}  # fmt: skip


PEOPLE = [_persona("a", "a longs for"), _persona("b"), _persona("c", "c longs for")]


@pytest.fixture
def held_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    products = [
        {**dict.fromkeys(PRODUCTS.names, ""), "product_id": f"p{n}", "price": 1.0,
         "attributes": {}, "split": "test"}
        for n in range(4)
    ]  # fmt: skip
    rest = {"calls": 1, "undecided": 0, "repeats": 1, "confidence": 1.0, "teacher": "t"}
    tournaments = [
        {"persona_id": name, "split": "test", "winner": finalists[0], "finalists": finalists}
        for name, finalists in (("a", ["p2", "p0"]), ("b", ["p1"]), ("c", ["p3", "p2", "p1"]))
    ]
    write_rows(PRODUCTS_FILE, products, PRODUCTS)
    write_rows(PERSONAS_FILE, PEOPLE, PERSONAS)
    write_rows(TOURNAMENTS_FILE, [{**row, **rest} for row in tournaments], TOURNAMENTS)
    write_vectors(PERSONA_VECTORS, ["a", "b", "c"], EYE[:3])
    write_vectors(PARAPHRASE_VECTORS, ["a", "c"], EYE[[3, 2]])
    write_vectors(product_vectors(BASE), [f"p{n}" for n in range(4)], EYE)
    return read_held_out("test")


def test_finalists_are_columns_in_the_teachers_order(held_out):
    assert [finalists.tolist() for finalists in held_out.finalists_Q] == [[2, 0], [1], [3, 2, 1]]
    assert held_out.texts == ["a wants", "b wants", "c wants"]


def test_paraphrases_are_of_those_who_have_one_with_the_same_winners(held_out):
    reworded = held_out.paraphrased()
    assert reworded.texts == ["a longs for", "c longs for"]
    assert reworded.winner_Q.tolist() == [2, 3]
    assert [finalists.tolist() for finalists in reworded.finalists_Q] == [[2, 0], [3, 2, 1]]
    assert held_out.only([0, 2]).scores(BASE).tolist() == [[1, 0, 0, 0], [0, 0, 1, 0]]
    assert reworded.scores(BASE).tolist() == [[0, 0, 0, 1], [0, 0, 1, 0]]


def test_some_keep_what_belongs_to_them(held_out):
    full = HeldOut(
        held_out.personas, held_out.products, held_out.winner_Q, held_out.finalists_Q,
        groups_Q=[["of a"], ["of b"], ["of c"]], slices_Q=[{"i": "a"}, {"i": "b"}, {"i": "c"}],
    )  # fmt: skip
    some = full.only([2, 0])
    assert [persona["persona_id"] for persona in some.personas] == ["c", "a"]
    assert some.winner_Q.tolist() == [3, 2]
    assert (some.groups_Q, some.slices_Q) == ([["of c"], ["of a"]], [{"i": "c"}, {"i": "a"}])
    nobody = full.only([])
    assert len(nobody.personas) == len(nobody.winner_Q) == len(nobody.slices_Q) == 0
    assert nobody.products == full.products
