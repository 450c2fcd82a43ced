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


CAPTIONS, TEXTS = _unit(10, 6, 1), _unit(3, 6, 2)


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


def _products_of(batch):
    """The products of each group, told from their pictures."""
    pictures_GK = batch.pixels_U3SS[:, 0, 0, 0][batch.place_GK]
    return [[f"p{number}" for number in row] for row in pictures_GK.tolist()]


@pytest.mark.parametrize("groups", [[0], [3], [0, 1, 2, 3], [3, 1], [2, 2]])
def test_a_batch_gives_back_the_teachers_orders(preferences, groups):
    batch = preferences().batch(np.array(groups))
    assert _products_of(batch) == [LABELLED[group]["ranking"] for group in groups]


def test_a_batch_holds_every_distinct_product_once(preferences):
    batch = preferences().batch(np.arange(4))
    numbers = batch.pixels_U3SS[:, 0, 0, 0].tolist()
    assert sorted(numbers) == [1, 2, 3, 5, 7]
    assert batch.place_GK.shape == (4, 3)


def test_captions_and_personas_stand_beside_their_own(preferences):
    groups = np.array([3, 1])
    batch = preferences().batch(groups)
    numbers = batch.pixels_U3SS[:, 0, 0, 0].tolist()
    np.testing.assert_array_equal(batch.captions_UD.numpy(), CAPTIONS[numbers])
    people = [PERSONAS.index(LABELLED[group]["persona_id"]) for group in groups]
    np.testing.assert_array_equal(batch.personas_GD.numpy(), TEXTS[people])


@pytest.mark.parametrize("groups", [[0, 1, 2, 3], [1], [2]])
def test_equal_captions_are_marked(preferences, groups):
    batch = preferences().batch(np.array(groups))
    numbers = batch.pixels_U3SS[:, 0, 0, 0].tolist()
    expected = [[one % 4 == other % 4 for other in numbers] for one in numbers]
    assert batch.same_caption_UU.tolist() == expected
    pairs = [one % 4 == other % 4 for one in numbers for other in numbers if one != other]
    assert any(pairs)
    assert not all(pairs)


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
def test_every_epoch_goes_through_all_groups_once(preferences, size):
    plan = preferences().plan(epochs=3, size=size, seed=0)
    steps = -(-4 // size)
    assert len(plan) == 3 * steps
    for epoch in range(3):
        batches = plan[epoch * steps : (epoch + 1) * steps]
        assert sorted(np.concatenate(batches).tolist()) == [0, 1, 2, 3]
        assert all(1 <= len(batch) <= size for batch in batches)


def test_epochs_are_shuffled_by_the_seed(preferences):
    def orders(seed):
        return [batch.tolist() for batch in preferences().plan(20, 4, seed)]

    assert orders(1) == orders(1) != orders(2)
    assert len({tuple(order) for order in orders(1)}) > 5


def test_a_product_that_has_no_caption_vector_is_named(preferences):
    write_vectors(CAPTION_VECTORS, ["p1"], CAPTIONS[:1])
    with pytest.raises(KeyError, match="p2"):
        preferences()
