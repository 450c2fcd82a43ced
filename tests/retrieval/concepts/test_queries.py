from dataclasses import replace

import numpy as np
import pytest
import torch

from retrieval.compute import PRODUCTS, resolve_precision
from retrieval.concepts.concept import new_concept, place
from retrieval.concepts.queries import encode_queries, encode_with_concepts, finish_with
from retrieval.text.tower import TextTower
from tests.retrieval.concepts.cases import learned


@pytest.fixture(scope="module", params=["minilm", "clip"])
def tower(request, minilm, make_tiny):
    return TextTower(minilm if request.param == "minilm" else make_tiny(seed=7))


@pytest.fixture(scope="module")
def concepts(tower):
    """Of ranks 1, 1, 2, 1; their updates are big enough to be seen."""
    return [
        learned(tower, name, noun, steps=30, rank=rank)[0]
        for name, noun, rank in [
            ("mug", "mug", 1),
            ("fido", "dog", 1),
            ("umbrella", "umbrella", 2),
            ("my car", "toy car", 1),
        ]
    ]


def _with_weight_changed(tower, text, concepts):
    """The query by the model itself, its value weight W + the sum of B A in float64."""
    weight_dd = tower.layer.value[0]
    before = weight_dd.detach().clone()
    update = sum((c.b_Rd.double().T @ c.a_Rd.double() for c in concepts), torch.zeros(()))
    with torch.no_grad():
        weight_dd.copy_(before.double() + update)
        vector = tower.encoder.encode_texts([text])[0]
        weight_dd.copy_(before)
    return vector


def test_every_row_has_its_own_concepts(tower, concepts):
    mug, fido, umbrella, car = concepts
    queries = [
        ("{fido} at the beach", [fido]),
        ("a plain query", []),
        ("in the snow", [mug, fido]),
        ("my {umbrella} beside {mug}, {fido} and {my car}", [mug, fido, umbrella, car]),
        ("a {mug} on a long wooden table in a garden", [mug]),
        ("with {umbrella}", [umbrella]),
    ]
    got = encode_queries(tower, *zip(*queries, strict=True))
    for vector, (text, row) in zip(got, queries, strict=True):
        expected = _with_weight_changed(tower, place(text, row), row)
        np.testing.assert_allclose(vector, expected, atol=1e-5)
        plain = tower.encoder.encode_texts([place(text, row)])[0]
        assert (np.abs(vector - plain).max() > 1e-3) == bool(row)


def test_a_long_list_of_queries_keeps_its_order(tower, concepts):
    texts = [f"{'very ' * (number % 5)}nice thing number {number}" for number in range(150)]
    rows = [concepts[: number % 3] for number in range(150)]
    got = encode_queries(tower, texts, rows)
    for number in (0, 1, 64, 77, 149):
        alone = encode_with_concepts(tower.encoder, texts[number], rows[number])
        np.testing.assert_allclose(got[number], alone, atol=1e-5)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_text_has_one_vector_whatever_else_is_asked(tower, precision):
    if precision == "bf16":
        if resolve_precision("auto", "cpu", PRODUCTS) == "fp32":
            pytest.skip("this processor emulates bf16")
        tower = tower.with_bfloat16_prefix()
    texts = [f"{'very ' * number}nice thing" for number in range(24)]
    together = encode_queries(tower, texts, [()] * len(texts))
    alone = [encode_queries(tower, [text], [()])[0] for text in texts]
    np.testing.assert_allclose(together, alone, atol=5e-7)


def test_no_queries_are_no_vectors(tower):
    assert encode_queries(tower, [], []).shape == (0, tower.encoder.width)
    with pytest.raises(ValueError, match=r"shorter|longer"):
        encode_queries(tower, ["a mug"], [])


def test_without_concepts_a_query_is_encoded_as_it_is(tower):
    got = encode_with_concepts(tower.encoder, "a {mug}", [])
    np.testing.assert_allclose(got, tower.encoder.encode_texts(["a {mug}"])[0], atol=1e-5)


def test_several_concepts_are_the_sum_of_their_updates(tower, concepts):
    texts = ["sks mug and sks dog", "a mug"]
    prefix = tower.prefix(texts)
    both = finish_with(tower, prefix, concepts[:2])
    np.testing.assert_allclose(finish_with(tower, prefix, concepts[1::-1]), both, atol=1e-6)
    for vector, text in zip(both, texts, strict=True):
        expected = _with_weight_changed(tower, text, concepts[:2])
        np.testing.assert_allclose(vector, expected, atol=1e-5)
    assert np.abs(both - finish_with(tower, prefix, concepts[:1])).max() > 1e-3


def test_a_new_concept_changes_nothing(tower):
    texts = ["sks mug", "a mug"]
    start = new_concept("x", "mug", "sks", tower.width)
    got = finish_with(tower, tower.prefix(texts), [start])
    np.testing.assert_allclose(got, tower.encoder.encode_texts(texts), atol=1e-5)


def test_a_concept_of_another_model_is_refused(tower, concepts):
    for other in (
        replace(concepts[0], base="0" * 64),
        new_concept("x", "mug", "sks", tower.width + 1),
    ):
        with pytest.raises(ValueError, match="belongs to another model version; learn it again"):
            encode_queries(tower, ["a", "b"], [[], [other]])


def test_ten_thousand_concepts_are_in_use_at_once(make_tiny):
    """Each holds 2 d numbers and nothing else; a batch takes its own without loading anything."""
    tower = TextTower(make_tiny(seed=3))
    generator = torch.Generator().manual_seed(0)
    bank = {}
    for number in range(10_000):
        name = f"c{number}"
        b_Rd = torch.randn(1, tower.width, generator=generator)
        bank[name] = replace(new_concept(name, "mug", "sks", tower.width), b_Rd=b_Rd)
    rows = [[bank[f"c{157 * row}"]] for row in range(64)]
    vectors = encode_queries(tower, ["on a table"] * 64, rows)
    assert len(np.unique(vectors.round(4), axis=0)) == 64
    alone = encode_with_concepts(tower.encoder, "on a table", rows[63])
    np.testing.assert_allclose(vectors[63], alone, atol=1e-5)


def test_a_learned_concept_keeps_two_vectors_in_memory(concepts, tower):
    for factor in (concepts[0].a_Rd, concepts[0].b_Rd):
        assert factor.untyped_storage().nbytes() == 4 * tower.width
