import numpy as np
import pytest
import torch

from pipelines.training.caption_training import mirror_half, pair_with_captions


@pytest.fixture
def captioned():
    captions = ["a", "b", "a", "c", "b", "a", "d"]
    vectors = {caption: np.eye(4)[row] for row, caption in enumerate("abcd")}
    rows = torch.tensor(np.stack([vectors[caption] for caption in captions]))
    return pair_with_captions(captions, rows), captions, rows


def test_each_picture_finds_its_own_captions_vector(captioned):
    made, captions, rows = captioned
    assert len(made.captions_CD) == len(set(captions))
    assert torch.equal(made.captions_CD[made.number_N], rows)


@pytest.mark.parametrize(("size", "steps"), [(1, 7), (3, 2), (7, 1), (50, 1)])
def test_an_epoch_shows_each_picture_at_most_once(captioned, size, steps):
    batches = captioned[0].batches(size, 3, np.random.default_rng(0))
    assert len(batches) == 3 * steps
    for epoch in range(3):
        shown = np.concatenate(batches[epoch * steps : (epoch + 1) * steps])
        assert len(set(shown)) == len(shown) == steps * min(size, 7)


def test_epochs_are_shuffled_by_the_generator(captioned):
    def first(seed):
        return np.concatenate(captioned[0].batches(7, 2, np.random.default_rng(seed))).tolist()

    assert first(0) == first(0) != first(1)
    assert first(0)[:7] != first(0)[7:]


def test_half_of_the_pictures_are_mirrored_and_none_otherwise_changed():
    pixels = torch.arange(4 * 3).reshape(1, 3, 2, 2).repeat(400, 1, 1, 1)
    shown = mirror_half(pixels, np.random.default_rng(0))
    mirrored = (shown == pixels.flip(-1)).all(dim=(1, 2, 3))
    assert torch.equal(shown[~mirrored], pixels[~mirrored])
    assert 150 < mirrored.sum() < 250
