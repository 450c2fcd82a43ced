import pytest
import torch
from open_clip.timm_model import TimmModel
from torch import nn

from pipelines.training.image_tower import mirrored_features, split_stages, split_tower
from retrieval.efficientnet import TIMM_NAME
from retrieval.encoder import load_encoder, save_encoder


@pytest.fixture(params=["timm", "vit"])
def encoder(request, minilm, make_tiny):
    return minilm if request.param == "timm" else make_tiny()


def _pixels(encoder, pictures):
    return torch.stack([encoder.pixels(picture) for picture in pictures])


def test_head_after_trunk_is_the_whole_tower(encoder, pictures):
    shown = encoder.normalised(_pixels(encoder, pictures))
    tower = split_tower(encoder.model.visual)
    with torch.no_grad():
        whole = encoder.model.visual(shown)
        torch.testing.assert_close(tower.head(tower.trunk(shown)), whole, atol=1e-6, rtol=0)
        assert tower.trunk(shown).shape != whole.shape
        # The split leaves nothing behind.
        assert torch.equal(encoder.model.visual(shown), whole)


def test_every_parameter_is_in_one_part(encoder):
    visual = encoder.model.visual
    tower = split_tower(visual)
    parts = [*tower.trunk_parameters, *tower.head_parameters]
    assert tower.head_parameters
    assert {id(p) for p in parts} == {id(p) for p in visual.parameters()}
    assert len(parts) == len(list(visual.parameters()))


def test_what_is_trained_in_the_head_is_saved_with_the_model(make_tiny, tmp_path, pictures):
    encoder = make_tiny()
    tower = split_tower(encoder.model.visual)
    before = encoder.encode_images(pictures)
    for parameter in tower.head_parameters:
        parameter.data.mul_(torch.randn_like(parameter))
    after = encoder.encode_images(pictures)
    assert abs(after - before).max() > 1e-2
    save_encoder(encoder, tmp_path / "model")
    assert abs(load_encoder(tmp_path / "model").encode_images(pictures) - after).max() < 1e-6


def test_features_come_with_those_of_the_mirror_images(encoder, pictures):
    pixels = _pixels(encoder, pictures)
    tower = split_tower(encoder.model.visual)
    plain, mirrored = mirrored_features(encoder, tower, pixels)
    again, _ = mirrored_features(encoder, tower, pixels.flip(-1))
    torch.testing.assert_close(mirrored, again)
    assert (plain - mirrored).abs().max() > 1e-4


def test_a_tower_without_a_projection_is_refused_by_name():
    with pytest.raises(ValueError, match="got image tower Flatten, expected one that ends in"):
        split_tower(nn.Flatten())


@pytest.fixture(scope="module")
def efficientnet():
    torch.manual_seed(0)
    return TimmModel(TIMM_NAME, 8, proj="mlp").eval()


@pytest.mark.parametrize(("count", "shape"), [(1, (192, 2, 2)), (2, (112, 4, 4))])
def test_a_tower_is_split_before_its_last_stages(efficientnet, count, shape):
    pixels = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    tower, stages = split_stages(efficientnet, count)
    with torch.no_grad():
        maps = tower.trunk(pixels)
        assert maps.shape == (3, *shape)
        torch.testing.assert_close(stages(maps), efficientnet.trunk(pixels))
        torch.testing.assert_close(tower.head(maps), efficientnet(pixels))
        assert stages(maps).std(dim=0).max() > 0.01


@pytest.mark.parametrize(("count", "first"), [(1, "blocks.6."), (2, "blocks.5.")])
def test_the_last_stages_are_trained_with_what_follows_them(efficientnet, count, first):
    tower, _ = split_stages(efficientnet, count)
    names = {id(parameter): name for name, parameter in efficientnet.named_parameters()}
    trained = [names.pop(id(parameter)) for parameter in tower.head_parameters]
    starts = ("trunk.blocks.6.", "trunk.conv_head.", "trunk.bn2.", "head.", f"trunk.{first}")
    assert all(name.startswith(starts) for name in trained)
    assert not any(name.startswith(starts) for name in names.values())
    assert {id(parameter) for parameter in tower.trunk_parameters} == set(names)
