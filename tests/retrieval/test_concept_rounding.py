from dataclasses import replace

import numpy as np
import pytest
import torch

from retrieval import concept_learning, concept_rounding
from retrieval.concept_objective import Data, Objective, prefix_of
from retrieval.concept_rounding import LEAST, steady_from
from retrieval.concepts import learn_many, new_concept
from tests.retrieval.concept_cases import SETTINGS, learned, photos_of


@pytest.fixture
def tower(make_tower):
    """A new model each time: what is known of one is kept."""
    return make_tower({})


def _crowd_of(tower, count):
    starts = [new_concept(f"c{n}", f"dog {n % 3}", "sks", tower.width) for n in range(count)]
    return starts, [photos_of(tower.encoder, 2 + n % 4, seed=n) for n in range(count)]


@pytest.mark.parametrize("form", [None, {}, {"pool_type": "last", "no_causal_mask": True}])
@pytest.mark.parametrize("rank", [1, 3])
def test_where_rounding_is_steady_a_concept_has_the_same_bits_in_any_crowd(make_tower, form, rank):
    tower = make_tower(form)
    if steady_from(tower, rank) is None:
        pytest.skip("this machine's products depend on their size")
    settings = replace(SETTINGS, steps=40, rank=rank, precision="fp32")
    starts, photos = _crowd_of(tower, 19)
    together, losses_CS = learn_many(tower, starts, photos, settings)
    for few in (1, 2, 7, 16):
        some, some_losses = learn_many(tower, starts[:few], photos[:few], settings)
        np.testing.assert_array_equal(some_losses, losses_CS[:few])
        for one, other in zip(some, together, strict=False):
            assert torch.equal(one.a_Rd, other.a_Rd)
            assert torch.equal(one.b_Rd, other.b_Rd)


@pytest.mark.parametrize("form", [None, {}])
def test_fillers_change_no_loss(make_tower, form):
    tower = make_tower(form)
    texts = ["a photo of sks mug", "sks mug", "look, sks mug"]
    photos = torch.from_numpy(photos_of(tower.encoder, 3)[[0, 1, 2, 0]]).view(2, 2, -1)
    text_CP, valid_CP = torch.tensor([[0, 1], [2, 0]]), torch.tensor([[True, True], [True, False]])
    factors = torch.randn(2, 2, 1, tower.width, generator=torch.Generator().manual_seed(1))
    plain, filled = (
        Objective(
            tower, Data(prefix_of(tower, texts, least), text_CP, valid_CP, photos), 0.3, least
        )(*factors)
        for least in (1, 16)
    )
    assert plain.shape == filled.shape == (2,)
    torch.testing.assert_close(filled, plain, rtol=1e-5, atol=0)


def _sums_that_depend_on_rows(tower, monkeypatch, depend):
    """One bit of every row's result depends on how many rows there are, as `depend` says."""
    finish = tower.layer.finish

    def disturbed(rows_Nd, residual_Nd):
        return finish(rows_Nd, residual_Nd) * (1 + 2e-7 * depend(len(rows_Nd)))

    monkeypatch.setattr(tower.layer, "finish", disturbed)


def test_more_concepts_are_tried_where_few_are_not_enough(tower, monkeypatch):
    _sums_that_depend_on_rows(tower, monkeypatch, lambda rows: rows < 40)
    assert steady_from(tower, 1) == 64


def test_where_rounding_is_never_steady_learning_goes_on_in_fp64(tower, monkeypatch):
    exact = learned(tower, precision="fp64")[0]
    concept_rounding._STEADY.clear()
    _sums_that_depend_on_rows(tower, monkeypatch, lambda rows: rows % 2)
    assert steady_from(tower, 1) is None
    for precision, same in (("auto", True), ("fp32", False)):
        assert torch.equal(learned(tower, precision=precision)[0].b_Rd, exact.b_Rd) == same


def test_what_precedes_the_last_value_is_tried_too(tower, monkeypatch):
    attend = tower.layer.attend

    def disturbed(x_BLd, mask_BQHL, picked_B):
        return attend(x_BLd * (1 + 2e-7 * (len(x_BLd) % 2)), mask_BQHL, picked_B)

    monkeypatch.setattr(tower.layer, "attend", disturbed)
    assert steady_from(tower, 1) is None


def test_it_is_tried_once_for_each_number_of_threads(tower, monkeypatch):
    tried = []
    monkeypatch.setattr(
        concept_rounding, "_steady", lambda tower, rank, least: tried.append(least) or True
    )
    threads = torch.get_num_threads()
    for _ in range(2):
        assert steady_from(tower, 1) == LEAST[0]
    assert tried == [LEAST[0]]
    try:
        torch.set_num_threads(threads + 1)
        steady_from(tower, 1)
    finally:
        torch.set_num_threads(threads)
    assert len(tried) == 2


def test_fillers_stay_when_concepts_leave(tower, monkeypatch):
    """A concept that goes on alone, after the others converged, is computed in as large a crowd."""
    sizes = []

    class Watched(Objective):
        def __init__(self, tower, data, l2, least):
            super().__init__(tower, data, l2, least)
            sizes.append((len(data.text_CP), self._fillers))

    monkeypatch.setattr(concept_learning, "Objective", Watched)
    monkeypatch.setattr(concept_learning, "steady_from", lambda tower, rank: 16)
    starts, photos = _crowd_of(tower, 3)
    settings = replace(SETTINGS, steps=400, l2=0.01, tolerance=0.005)
    learn_many(tower, starts, photos, settings)
    assert len(sizes) > 1
    assert all(count + fillers == 16 for count, fillers in sizes)
