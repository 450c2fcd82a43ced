from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pipelines.paths import CAPTION_VECTORS, PERSONA_VECTORS, PRODUCTS_FILE
from pipelines.preferences import Preferences
from retrieval.vectors import write_vectors

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


def _read_pixels(paths):
    """A picture is its number, painted all over."""
    assert all(path.parent == PRODUCTS_FILE.parent / "images" for path in paths)
    return torch.stack([torch.full((3, 2, 2), int(path.stem), dtype=torch.uint8) for path in paths])


@pytest.fixture
def preferences(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_vectors(PERSONA_VECTORS, PERSONAS[::-1], TEXTS[::-1])
    write_vectors(CAPTION_VECTORS, [product["product_id"] for product in PRODUCTS], CAPTIONS)
    encoder = SimpleNamespace(device="cpu", read_pixels=_read_pixels)
    return lambda rankings=RANKINGS: Preferences(encoder, rankings, PRODUCTS)


def _products_of(made, batch):
    """The products of each group, told from their pictures."""
    pictures_GK = made.pixels(batch)[:, 0, 0, 0][batch.place_GK]
    return [[f"p{number}" for number in row] for row in pictures_GK.tolist()]


@pytest.mark.parametrize("groups", [[0], [3], [0, 1, 2, 3], [3, 1], [2, 2]])
def test_a_batch_gives_back_the_teachers_orders(preferences, groups):
    made = preferences()
    batch = made.rows(np.array(groups))
    assert _products_of(made, batch) == [LABELLED[group]["ranking"] for group in groups]


def test_a_batch_holds_every_distinct_product_once(preferences):
    made = preferences()
    batch = made.rows(np.arange(4))
    numbers = made.pixels(batch)[:, 0, 0, 0].tolist()
    assert sorted(numbers) == [1, 2, 3, 5, 7]
    assert batch.place_GK.shape == (4, 3)


def test_captions_and_personas_stand_beside_their_own(preferences):
    groups = np.array([3, 1])
    made = preferences()
    batch = made.rows(groups)
    numbers = made.pixels(batch)[:, 0, 0, 0].tolist()
    own = made.captions_CD[batch.caption_U].numpy()
    np.testing.assert_array_equal(own, CAPTIONS[numbers])
    people = [PERSONAS.index(LABELLED[group]["persona_id"]) for group in groups]
    np.testing.assert_array_equal(batch.personas_GD.numpy(), TEXTS[people])


@pytest.mark.parametrize("groups", [[0, 1, 2, 3], [1], [2]])
def test_equal_captions_have_one_number(preferences, groups):
    made = preferences()
    batch = made.rows(np.array(groups))
    numbers = made.pixels(batch)[:, 0, 0, 0].tolist()
    captions = batch.caption_U.tolist()
    for one, own in zip(numbers, captions, strict=True):
        for other, theirs in zip(numbers, captions, strict=True):
            assert (own == theirs) == (one % 4 == other % 4)
    assert len(made.captions_CD) == len({number % 4 for number in (1, 2, 3, 5, 7)})


def test_groups_without_a_label_are_left_out(preferences):
    assert len(preferences()) == 4


def test_only_ranked_products_are_read(preferences):
    read = []
    encoder = SimpleNamespace(
        device="cpu", read_pixels=lambda paths: read.extend(paths) or _read_pixels(paths)
    )
    Preferences(encoder, RANKINGS, PRODUCTS)
    assert sorted(path.stem for path in read) == ["1", "2", "3", "5", "7"]


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
