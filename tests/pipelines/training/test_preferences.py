from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.run.params import load_params
from pipelines.run.paths import CAPTION_VECTORS, PERSONA_VECTORS
from pipelines.training.losses import picture_choice
from pipelines.training.preferences import TEXT_SCALE, Preferences
from retrieval.storage.vectors import write_vectors

ROOT = Path(__file__).parents[3]
PRODUCTS = [
    {"product_id": f"p{number}", "image": f"images/{number}.jpg", "caption": f"c{number % 4}"}
    for number in range(10)
]
PERSONAS = ["u0", "u1", "u2"]
RANKINGS = [
    {"persona_id": "u0", "ranking": ["p3", "p1", "p7"]},
    {"persona_id": "u1", "ranking": []},  # the teacher gave no label
    {"persona_id": "u1", "ranking": ["p7", "p3", "p5"]},
    {"persona_id": "u0", "ranking": ["p5", "p2", "p1"]},
    {"persona_id": "u2", "ranking": ["p1", "p3", "p2"]},
]
LABELLED = [row for row in RANKINGS if row["ranking"]]


def _unit(count, width, seed):
    rows = np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


TEXTS = _unit(3, 6, 2)
CAPTIONS = _unit(4, 6, 1)[[number % 4 for number in range(10)]]  # equal captions, equal vectors


@pytest.fixture
def preferences(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_vectors(PERSONA_VECTORS, PERSONAS[::-1], TEXTS[::-1])
    write_vectors(CAPTION_VECTORS, [product["product_id"] for product in PRODUCTS], CAPTIONS)
    settings = load_params(ROOT / "params.yaml").distill

    def make(rankings=RANKINGS, **changes):
        return Preferences(rankings, PRODUCTS, settings.model_copy(update=changes), "cpu")

    return make


def _whole(made, groups):
    [batch] = made.parts(np.array(groups), 1)
    return batch


def _products_of(batch):
    """The products of each group."""
    return [[f"p{row}" for row in group] for group in batch.products_U[batch.place_GK].tolist()]


@pytest.mark.parametrize("groups", [[0], [3], [0, 1, 2, 3], [3, 1], [2, 2]])
def test_a_batch_gives_back_the_teachers_orders(preferences, groups):
    batch = _whole(preferences(), groups)
    assert _products_of(batch) == [LABELLED[group]["ranking"] for group in groups]


def test_a_batch_holds_every_distinct_product_once(preferences):
    batch = _whole(preferences(), range(4))
    assert batch.products_U.tolist() == [1, 2, 3, 5, 7]
    assert batch.place_GK.shape == (4, 3)


def test_captions_and_personas_stand_beside_their_own(preferences):
    groups = [3, 1]
    made = preferences()
    batch = _whole(made, groups)
    own = made.captions_CD[batch.caption_U].numpy()
    np.testing.assert_array_equal(own, CAPTIONS[batch.products_U])
    people = [PERSONAS.index(LABELLED[group]["persona_id"]) for group in groups]
    np.testing.assert_array_equal(batch.personas_GD.numpy(), TEXTS[people])


@pytest.mark.parametrize("groups", [[0, 1, 2, 3], [1], [2]])
def test_equal_captions_have_one_number(preferences, groups):
    made = preferences()
    batch = _whole(made, groups)
    captions = batch.caption_U.tolist()
    for one, own in zip(batch.products_U.tolist(), captions, strict=True):
        for other, theirs in zip(batch.products_U.tolist(), captions, strict=True):
            assert (own == theirs) == (one % 4 == other % 4)
    assert len(made.captions_CD) == len({number % 4 for number in (1, 2, 3, 5, 7)})


@pytest.mark.parametrize("count", [1, 2, 3, 4, 9])
@pytest.mark.parametrize("changes", [{}, {"loss": "bradley-terry-sum"}])
def test_the_losses_of_parts_add_up(preferences, count, changes):
    made = preferences(**changes)
    images = torch.from_numpy(_unit(10, 6, 5))
    scale = torch.tensor(9.0)

    def losses(parts):
        found = [made.losses(images[part.products_U], part, 4.0, scale) for part in parts]
        return [sum(values).item() for values in zip(*found, strict=True)]

    groups = np.array([0, 1, 2, 3])
    parts = made.parts(groups, count)
    assert len(parts) == min(count, 4)
    assert losses(parts) == pytest.approx(losses(made.parts(groups, 1)), abs=1e-6)
    retained = [part.products_U[part.retained_V].tolist() for part in parts]
    assert sorted(row for rows in retained for row in rows) == [1, 2, 3, 5, 7]


def test_groups_without_a_label_are_left_out(preferences):
    assert len(preferences()) == 4


def test_labels_that_are_none_stop_the_stage(preferences):
    with pytest.raises(SystemExit, match="got 1 groups and no label among them; see reports"):
        preferences(RANKINGS[1:2])


@pytest.mark.parametrize("size", [1, 3, 4, 100])
@pytest.mark.parametrize("steps", [1, 2, 9])
def test_every_group_comes_once_before_any_comes_again(preferences, size, steps):
    plan = preferences().plan(steps=steps, size=size, seed=0)
    assert [len(batch) for batch in plan] == [size] * steps
    seen = np.concatenate(plan)
    for start in range(0, len(seen) - 3, 4):
        assert sorted(seen[start : start + 4].tolist()) == [0, 1, 2, 3]
    assert max(np.bincount(seen)) - min(np.bincount(seen, minlength=4)) <= 1


def test_the_order_is_shuffled_by_the_seed(preferences):
    def orders(seed):
        return [batch.tolist() for batch in preferences().plan(20, 4, seed)]

    assert orders(1) == orders(1) != orders(2)
    assert len({tuple(order) for order in orders(1)}) > 5


def test_a_product_that_has_no_caption_vector_is_named(preferences):
    write_vectors(CAPTION_VECTORS, ["p1"], CAPTIONS[:1])
    with pytest.raises(KeyError, match="p2"):
        preferences()


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_the_shares_in_finding_pictures_add_up(preferences, parts):
    made = preferences()
    rows = made.draw_pictures(np.random.default_rng(0))
    assert rows.tolist() == [1, 2, 3, 5, 7]  # what no group ranks is no candidate
    images = torch.from_numpy(_unit(5, 6, 5))
    shares = [made.text_retention(images, rows, part, parts).item() for part in range(parts)]
    captions = torch.from_numpy(CAPTIONS[1:4])  # of c1, c2, c3
    right = torch.tensor([0, 1, 2, 0, 2])
    whole = picture_choice(images, captions, right, TEXT_SCALE).mean().item()
    assert sum(shares) == pytest.approx(whole, rel=1e-5)


def test_of_many_pictures_some_are_drawn_anew_each_step(preferences, monkeypatch):
    monkeypatch.setattr("pipelines.training.preferences.MOST_PICTURES", 3)
    drawn = [preferences().draw_pictures(np.random.default_rng(seed)).tolist() for seed in range(9)]
    assert {len(rows) for rows in drawn} == {3}
    assert len({tuple(rows) for rows in drawn}) > 1
    assert {row for rows in drawn for row in rows} == {1, 2, 3, 5, 7}
