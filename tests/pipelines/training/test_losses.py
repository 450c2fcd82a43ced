import math

import numpy as np
import pytest
import torch

from pipelines.training.losses import alignment, caption_choice, picture_choice
from retrieval.concepts.objective import concept_fit, concept_fits


def _unit(rng, *shape):
    rows = rng.standard_normal(shape)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def _tensor(array):
    return torch.tensor(np.asarray(array), dtype=torch.float32)


@pytest.mark.parametrize("count", [1, 2, 7, 128])
def test_choice_among_indistinguishable_captions_is_ln_n(count):
    captions = torch.nn.functional.normalize(torch.ones(count, 3), dim=-1)
    loss = caption_choice(captions[:1], captions, torch.tensor([0]), torch.tensor(14.0))
    assert loss.item() == pytest.approx(math.log(count), abs=1e-5)


def test_choice_between_two_orthogonal_captions_by_hand():
    # Each row: logits (s, 0), so the loss is ln(1 + e^-s).
    loss = caption_choice(torch.eye(2), torch.eye(2), torch.tensor([0, 1]), torch.tensor(3.0))
    assert loss.item() == pytest.approx(math.log1p(math.exp(-3)), abs=1e-6)


@pytest.mark.parametrize("scale", [1.0, 16.0, 100.0])
def test_choice_equals_a_float64_loop(scale):
    rng = np.random.default_rng(3)
    images, captions = _unit(rng, 5, 8), _unit(rng, 9, 8)
    right = [4, 0, 8, 8, 2]
    terms = []
    for image, own in zip(images, right, strict=True):
        logits = [scale * float(image @ caption) for caption in captions]
        top = max(logits)
        terms.append(top + math.log(sum(math.exp(x - top) for x in logits)) - logits[own])
    loss = caption_choice(
        _tensor(images), _tensor(captions), torch.tensor(right), torch.tensor(scale)
    )
    assert loss.item() == pytest.approx(sum(terms) / len(terms), abs=1e-4)


def test_choice_does_not_push_apart_pictures_of_an_equal_caption():
    # Both pictures lie on their common caption, the only one: there is nothing to gain.
    images_BD = torch.tensor([[1.0, 0.0], [1.0, 0.0]], requires_grad=True)
    right = torch.tensor([0, 0])
    caption_choice(images_BD, torch.tensor([[1.0, 0.0]]), right, torch.tensor(9.0)).backward()
    assert images_BD.grad.abs().max().item() == pytest.approx(0, abs=1e-6)


def test_choice_is_lower_for_the_right_captions():
    rng = np.random.default_rng(7)
    images = _tensor(_unit(rng, 6, 8))
    order, scale = torch.arange(6), torch.tensor(10.0)
    assert caption_choice(images, images, order, scale) < caption_choice(
        images, images, order.roll(1), scale
    )


def test_concept_fit_worked_by_hand():
    # Distances (1, -1) and (0, 0) on four numbers: mean 0.5. B = (3, 4): mean of squares 12.5.
    texts_BD = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    images_BD = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    loss = concept_fit(texts_BD, images_BD, torch.tensor([3.0, 4.0]), l2=0.1)
    assert loss.item() == pytest.approx(0.5 + 1.25)


def test_concepts_of_different_numbers_of_photos_are_each_fitted_for_itself():
    rng = np.random.default_rng(9)
    texts, images, b = _tensor(_unit(rng, 5, 8)), _tensor(_unit(rng, 5, 8)), torch.ones(2, 3)
    rows = {0: [0, 3], 1: [1, 2, 4]}
    got = concept_fits(
        texts, images, torch.tensor([0, 1, 1, 0, 1]), b * torch.tensor([[1], [2]]), 0.5
    )
    expected = [concept_fit(texts[at], images[at], b[0] * (1 + c), 0.5) for c, at in rows.items()]
    torch.testing.assert_close(got, torch.stack(expected))
    first, second = (((texts - images) ** 2)[at].mean().item() for at in rows.values())
    assert got.tolist() == pytest.approx([first + 0.5 * 1, second + 0.5 * 4], abs=1e-6)


@pytest.mark.parametrize("l2", [0.0, 0.35])
def test_concept_fit_of_unit_vectors_is_their_cosine_distance_over_the_width(l2):
    rng = np.random.default_rng(8)
    texts, images, b = _unit(rng, 3, 16), _unit(rng, 3, 16), rng.standard_normal(16)
    cosines = (texts * images).sum(axis=1)
    expected = np.mean(2 - 2 * cosines) / 16 + l2 * np.mean(b**2)
    loss = concept_fit(_tensor(texts), _tensor(images), _tensor(b), l2)
    assert loss.item() == pytest.approx(expected, abs=1e-6)


def test_concept_fit_is_zero_only_at_the_photos_without_an_update():
    rows = torch.eye(3)
    assert concept_fit(rows, rows, torch.zeros(3), 0.35).item() == 0
    assert concept_fit(rows, rows, torch.tensor([0.0, 0.1, 0.0]), 0.35).item() > 0


def test_alignment_worked_by_hand():
    # Cosines 1, 0.6 and -1: the mean of 0, 0.4 and 2.
    images = torch.tensor([[1.0, 0.0], [0.6, 0.8], [-1.0, 0.0]])
    captions = torch.tensor([[1.0, 0.0]] * 3)
    assert alignment(images, captions).item() == pytest.approx(0.8, abs=1e-6)


def test_alignment_is_half_the_mean_squared_distance():
    rng = np.random.default_rng(0)
    images, captions = _unit(rng, 20, 7), _unit(rng, 20, 7)
    expected = np.square(images - captions).sum(axis=1).mean() / 2
    assert alignment(_tensor(images), _tensor(captions)).item() == pytest.approx(expected, abs=1e-6)


def test_pictures_that_cannot_be_told_apart_give_ln_n_for_each_caption():
    images, captions = torch.eye(3)[[2] * 5], torch.eye(3)[:2]
    losses = picture_choice(images, captions, torch.tensor([0, 0, 1, 1, 1]), 50.0)
    torch.testing.assert_close(losses, torch.full((2,), math.log(5)))


def test_each_picture_of_a_caption_is_right():
    """Scores 1, 0, 0 of two right and one wrong: the mean of -1 and 0, plus ln(e + 2)."""
    images = torch.tensor([[1.0, 0], [0, 1], [0, 1]])
    [loss] = picture_choice(images, torch.tensor([[1.0, 0]]), torch.tensor([0, 0, -1]), 1.0)
    assert loss.item() == pytest.approx(math.log(math.e + 2) - 0.5)


def test_a_caption_without_a_picture_adds_nothing():
    losses = picture_choice(torch.eye(2), torch.eye(2), torch.tensor([0, 0]), 9.0)
    assert losses[0] > 0
    assert losses[1] == 0


def test_it_punishes_what_the_choice_among_captions_does_not_see():
    """Both pictures are nearest to their own caption, yet b's picture is a's nearest too."""
    captions = torch.nn.functional.normalize(torch.tensor([[1.0, 0, 0], [0.9, 0.4, 0]]), dim=1)
    images = torch.nn.functional.normalize(torch.tensor([[0.3, 0, 1], [0.9, 0.3, 0.0]]), dim=1)
    right = torch.tensor([0, 1])
    assert ((images @ captions.T).argmax(dim=1) == right).all()
    assert (captions @ images.T).argmax(dim=1).tolist() == [1, 1]
    one, other = picture_choice(images, captions, right, 20.0)
    assert one > 1 > 0.1 > other
