import pytest
import torch
from torch import nn

from pipelines.training.image_tower import mirrored_features, split_tower
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
