import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F

from pipelines.training.embedding_map import EmbeddingMap, last_projection, spanned
from retrieval.encoder import create_encoder


@pytest.fixture
def filled():
    torch.manual_seed(0)
    found = EmbeddingMap(torch.randn(384), 4, "cpu")
    torch.nn.init.normal_(found.map_up, std=0.3)
    return found


def test_at_first_nothing_changes():
    vectors = F.normalize(torch.randn(5, 12), dim=-1)
    torch.testing.assert_close(EmbeddingMap(torch.ones(12), 3, "cpu")(vectors), vectors)


def test_a_map_worked_by_hand():
    """(1, 0) + P Q (1, 0) = (1, 0) + (0, 2) * 0.5 = (1, 1)."""
    found = EmbeddingMap(torch.zeros(2), 1, "cpu")
    found.map_down.data = torch.tensor([[0.5, 7.0]])
    found.map_up.data = torch.tensor([[0.0], [2.0]])
    got = found(torch.tensor([[1.0, 0.0]]))
    torch.testing.assert_close(got, torch.full((1, 2), 2**-0.5))


def test_it_adds_nothing_along_what_texts_share():
    torch.manual_seed(0)
    found = EmbeddingMap(torch.tensor([3.0, 0.0, 4.0]), 2, "cpu")
    torch.nn.init.normal_(found.map_up)
    vectors = F.normalize(torch.randn(6, 3), dim=-1)
    added = vectors @ found.map_down.T @ found.map_up.T
    shared = torch.tensor([0.6, 0.0, 0.8])
    expected = F.normalize(vectors + added - torch.outer(added @ shared, shared), dim=-1)
    torch.testing.assert_close(found(vectors), expected)


def test_held_back_it_adds_only_within_the_span_and_so_much_less():
    """P = (1, 2, 3)' held to the first axis and halved: (0.5, 0, 0)'."""
    found = EmbeddingMap(torch.zeros(3), 1, "cpu")
    found.map_up.data = torch.tensor([[1.0], [2.0], [3.0]])
    axis = torch.tensor([[1.0, 0.0, 0.0]])
    torch.testing.assert_close(found.held_back(axis, 0.5), torch.tensor([[0.5], [0.0], [0.0]]))
    torch.testing.assert_close(found.held_back(None, 1.0), found.map_up.data)


@pytest.mark.parametrize(("share", "count"), [(0.5, 1), (0.8, 1), (0.81, 2), (0.96, 3), (1.0, 3)])
def test_the_span_is_the_first_directions_that_hold_the_share(share, count):
    """Variances 80, 15 and 5 % along the axes; the mean is no direction."""
    deviations = np.sqrt([80, 15, 5])
    texts = np.concatenate([np.diag(deviations), -np.diag(deviations)]) + 7.0
    span = spanned(texts, share)
    np.testing.assert_allclose(abs(span), np.eye(3)[:count], atol=1e-6)


def test_folded_into_the_tower_it_gives_the_same_vectors(filled):
    visual = create_encoder("minilm-resnet10t", None).model.visual.eval()
    pictures = torch.rand(3, 3, 48, 48)
    with torch.no_grad():
        expected = filled(F.normalize(visual(pictures), dim=-1))
        before = F.normalize(visual(pictures), dim=-1)
        filled.fold(visual)
        got = F.normalize(visual(pictures), dim=-1)
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)
    assert np.abs((got - before).numpy()).max() > 0.01


def test_it_folds_into_a_vision_transformer_s_projection():
    visual = open_clip.transformer.VisionTransformer(
        image_size=32, patch_size=16, width=32, layers=1, heads=2, mlp_ratio=2, output_dim=12
    ).eval()
    found = EmbeddingMap(torch.randn(12), 2, "cpu")
    torch.nn.init.normal_(found.map_up, std=0.3)
    pictures = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        expected = found(F.normalize(visual(pictures), dim=-1))
        found.fold(visual)
        got = F.normalize(visual(pictures), dim=-1)
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)


def test_a_tower_without_a_linear_end_is_refused_by_name():
    with pytest.raises(ValueError, match="got image tower Sequential, expected one that ends"):
        last_projection(torch.nn.Sequential(torch.nn.Conv2d(3, 3, 1)))
