"""The last stages of a tower that has seen photographs, trained with its head."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines import base
from pipelines.run.params import load_params
from pipelines.training import features
from pipelines.training.image_tower import split_tower
from retrieval.encoder import create_encoder, load_encoder, save_encoder
from retrieval.storage.files import sha256_file

PROJECT = Path(__file__).parents[3]
PHOTOS = sorted((PROJECT / "tests" / "photos").glob("*.jpg"))[:6]
CAPTIONS = ["a shirt", "trousers", "a shoe", "a hat", "a dress", "a coat"]


def _params(**section):
    params = load_params(PROJECT / "params.yaml")
    changed = {"pretrained": "imagenet", "epochs": 8, "head_epochs": 4, **section}
    return params.model_copy(update={"base": params.base.model_copy(update=changed)})


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Makes a base model of six photos; the model before, what was made, and the products."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(features, "picture_files", lambda rows: [row["image"] for row in rows])
    splits = ("train", "train", "train", "base", "val", "test")
    products = [
        {
            "product_id": path.stem,
            "image": path,
            "image_sha256": sha256_file(path),
            "caption": caption,
            "split": split,
        }
        for path, caption, split in zip(PHOTOS, CAPTIONS, splits, strict=True)
    ]

    def run(**section):
        torch.manual_seed(0)
        encoder = create_encoder("minilm-efficientnet-lite0", "imagenet")
        before = {name: value.clone() for name, value in encoder.model.state_dict().items()}
        texts_ND = encoder.encode_texts(CAPTIONS)
        monkeypatch.setattr(base, "_training_texts", lambda: torch.from_numpy(texts_ND))
        return before, base.train_on_captions(encoder, texts_ND, products, _params(**section))

    return run, products


@pytest.mark.parametrize(("count", "stages"), [(0, ()), (1, ("6",)), (2, ("5", "6"))])
def test_so_many_stages_learn_and_nothing_else_does(make, count, stages):
    run, _ = make
    before, made = run(finetune_stages=count, detail=0.0)
    after = made.encoder.model.state_dict()
    changed = {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    places = [f"visual.trunk.blocks.{stage}." for stage in stages]
    ends = ["visual.trunk.conv_head.", "visual.trunk.bn2."] if stages else []
    assert all(name.startswith((*places, *ends, "visual.head.")) for name in changed)
    for place in (*places, *ends, "visual.head."):
        assert any(name.startswith(place) for name in changed), place
    assert not any("running_" in name for name in changed)  # batch norm keeps its statistics


def test_what_is_trained_further_fits_the_captions_better(make):
    run, _ = make
    losses = run(finetune_stages=2, detail=0.0)[1].losses["alignment"]
    assert len(losses) == 4 + 8  # the head alone, then the stages with it
    assert losses[-1] < min(losses[:4])


@pytest.mark.parametrize("detail", [0.0, pytest.param(0.7, marks=pytest.mark.slow)])
def test_distillation_finds_the_features_of_the_model_that_was_made(make, tmp_path, detail):
    """It loads the folder, and goes by the same vectors; a picture is read once."""
    run, products = make
    _, made = run(finetune_stages=1, detail=detail)
    save_encoder(made.encoder, tmp_path / "model")
    loaded = load_encoder(tmp_path / "model")
    tower = split_tower(loaded.model.visual)
    found = features.frozen_features(loaded, tower, products, lambda _: pytest.fail("read again"))
    vectors = loaded.encode_files(PHOTOS)
    np.testing.assert_allclose(vectors, made.images_ND, atol=1e-5)
    with torch.no_grad():
        kept = torch.nn.functional.normalize(tower.head(found[0]), dim=-1)
    np.testing.assert_allclose(vectors, kept, atol=1e-5)


@pytest.mark.slow
def test_the_residual_is_that_of_the_features_of_the_trained_stages(make):
    run, products = make
    _, made = run(finetune_stages=1, detail=0.7)
    visual = made.encoder.model.visual
    with torch.no_grad():
        pixels = features.read_pixels(made.encoder, products[:4])  # those to learn from
        own_NF = visual.trunk.trunk(made.encoder.normalised(pixels))
    torch.testing.assert_close(visual.trunk.mean_F, own_NF.mean(dim=0), atol=1e-4, rtol=1e-4)
