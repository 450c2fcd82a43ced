"""What tells pictures apart and no caption says, as a residual of the image tower."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from pipelines.training.detail import add_detail, detail_map, frequent_words
from pipelines.training.embedding_map import EmbeddingMap
from pipelines.training.image_tower import split_tower
from retrieval.encoder import create_encoder, load_encoder, save_encoder

PHOTOS = sorted((Path(__file__).parents[2] / "photos").glob("*.jpg"))
BETA = 0.7


def _photos():
    return [Image.open(path).convert("RGB") for path in PHOTOS]


@pytest.fixture(scope="module")
def plain():
    torch.manual_seed(0)
    return create_encoder("minilm-efficientnet-lite0", "imagenet")


@pytest.fixture(scope="module")
def features(plain):
    pixels = torch.stack([plain.pixels(photo) for photo in _photos()])
    with torch.no_grad():
        return plain.model.visual.trunk(plain.normalised(pixels))


@pytest.fixture(scope="module")
def said(plain, features):
    """What the head makes of the photos; before the residual takes the tower's place."""
    with torch.no_grad():
        return F.normalize(plain.model.visual.head(features), dim=-1)


@pytest.fixture(scope="module")
def detailed(plain, features, said):
    texts = torch.from_numpy(plain.encode_texts(["a mug", "a shirt", "a gift for a sailor"]))
    return add_detail(plain, features, [texts], BETA)


def test_the_map_takes_the_first_directions_whitened_to_where_texts_are_not():
    """Features vary by 4 along x, 1 along y; texts have all of a, little of b, none of c."""
    features = torch.tensor([[4.0, 0, 0], [-4, 0, 0], [0, 1, 0], [0, -1, 0]]) + 7
    texts = torch.tensor([[1.0, 0, 0], [1, 0, 0], [0.6, 0.8, 0]])
    found = detail_map(features, [texts])
    assert found.shape == (3, 3)  # D = 3 has room for one direction
    variance = 2 * 4**2 / 4
    expected = torch.zeros(3, 3)
    expected[2, 0] = variance**-0.5
    torch.testing.assert_close(found.abs(), expected)


@pytest.mark.parametrize(("pictures", "rank"), [(500, 128), (20, 19), (2, 1)])
def test_small_catalogues_have_fewer_directions(pictures, rank):
    torch.manual_seed(0)
    found = detail_map(torch.randn(pictures, 300), [F.normalize(torch.randn(900, 384), dim=-1)])
    assert torch.linalg.matrix_rank(found.double(), rtol=1e-6) == rank


def test_whitened_features_have_one_length_in_the_mean():
    torch.manual_seed(0)
    features = torch.randn(400, 50) * torch.logspace(0, 2, 50) + 3
    found = detail_map(features, [torch.eye(384)])
    moved = (features - features.mean(dim=0)) @ found.T
    np.testing.assert_allclose(np.linalg.norm(moved, axis=1).mean(), 50**0.5, rtol=0.02)


def test_each_sort_of_text_counts_the_same():
    """A thousand words do not hide that captions lie along another direction."""
    words, captions = torch.eye(3)[:1].repeat(1000, 1), torch.eye(3)[1:2]
    found = detail_map(
        torch.randn(9, 4, generator=torch.Generator().manual_seed(0)), [words, captions]
    )
    assert (found[2].abs() > 1e-3).any()
    assert found[:2].abs().max() < 1e-6


def test_a_vector_is_what_captions_say_and_the_residual(detailed, features, said):
    tower = detailed.model.visual.trunk
    unsaid = F.normalize((features - features.mean(dim=0)) @ tower.detail_DF.T, dim=-1)
    expected = F.normalize(said + BETA * unsaid, dim=-1)
    np.testing.assert_allclose(detailed.encode_images(_photos()), expected, atol=1e-5)


def test_texts_hardly_see_the_residual(detailed, said):
    """Which photo suits a text best stays, and which is another's twin becomes plain."""
    images = torch.from_numpy(detailed.encode_images(_photos()))
    texts = torch.from_numpy(detailed.encode_texts(["a long walk in the rain", "running", "sand"]))
    scale = (1 + BETA**2) ** 0.5
    assert (scale * images @ texts.T - said @ texts.T).abs().max() < 0.15
    apart = 1 - torch.eye(len(images))
    assert ((images @ images.T) * apart).max() < ((said @ said.T) * apart).max()


def test_a_model_folder_keeps_it(detailed, tmp_path):
    save_encoder(detailed, tmp_path / "model")
    loaded = load_encoder(tmp_path / "model")
    np.testing.assert_array_equal(
        loaded.encode_images(_photos()), detailed.encode_images(_photos())
    )
    assert loaded.config["vision_cfg"] == detailed.config["vision_cfg"]


def test_a_map_of_the_embedding_space_folds_into_it(detailed):
    torch.manual_seed(0)
    found = EmbeddingMap(torch.randn(384), 4, "cpu")
    torch.nn.init.normal_(found.map_up, std=0.3)
    visual = detailed.model.visual
    before = visual.head.proj.weight.clone()
    images = torch.from_numpy(detailed.encode_images(_photos()))
    try:
        found.fold(visual)
        np.testing.assert_allclose(
            detailed.encode_images(_photos()), found(images).detach(), atol=1e-5
        )
    finally:
        visual.head.proj.weight.data.copy_(before)


def test_distillation_trains_the_projection_after_it(detailed):
    [weight] = split_tower(detailed.model.visual).head_parameters
    torch.testing.assert_close(weight.detach(), torch.eye(384))


def test_open_clip_alone_refuses_the_folder_by_the_tower_s_name(detailed, tmp_path):
    """It must not read it as another tower; in a process of its own nothing has registered it."""
    save_encoder(detailed, tmp_path / "model")
    code = f"import open_clip; open_clip.create_model('local-dir:{tmp_path}/model')"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 1
    assert "Unknown model (tf_efficientnet_lite0_detail)" in ended.stderr


def test_frequent_words_are_whole_words(plain):
    words = frequent_words(plain)
    assert len(words) == len(set(words)) == 2000
    assert {"the", "house", "water"} <= set(words)
    assert all(word.isalpha() for word in words)
