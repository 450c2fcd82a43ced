"""The head alone learns a teacher's order, on a tower small enough to see through."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pipelines.head import fit_head
from pipelines.params import load_params
from pipelines.paths import CAPTION_VECTORS, PERSONA_VECTORS
from pipelines.preferences import Preferences
from retrieval.encoder import create_encoder
from retrieval.vectors import write_vectors


def _unit(count, width, seed):
    rows = np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def settings():
    return load_params().distill


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Twelve pictures of one colour each; the persona likes the bright ones."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    encoder = create_encoder("minilm-resnet10t", None)
    ids = [f"p{number}" for number in range(12)]
    write_vectors(CAPTION_VECTORS, ids, _unit(12, 384, 1))
    write_vectors(PERSONA_VECTORS, ["u"], _unit(1, 384, 2))
    side = 48
    shades = torch.stack(
        [torch.full((3, side, side), 20 * number, dtype=torch.uint8) for number in range(12)]
    )
    reader = SimpleNamespace(device="cpu", read_pixels=lambda paths: shades[: len(paths)])
    products = [{"product_id": i, "image": f"{i}.jpg", "caption": i} for i in ids]
    rng = np.random.default_rng(0)
    groups = [sorted(rng.permutation(12)[:4].tolist(), reverse=True) for _ in range(40)]
    groups.append([11, 7, 3, 0])
    missing = set(range(12)) - {number for group in groups for number in group}
    assert not missing
    rankings = [
        {"persona_id": "u", "ranking": [ids[number] for number in group]} for group in groups
    ]
    return encoder, Preferences(reader, rankings, products), shades


def test_the_head_learns_the_order_and_the_trunk_stays(world, settings):
    encoder, preferences, shades = world
    trunk = {n: t.clone() for n, t in encoder.model.visual.trunk.state_dict().items()}
    quick = settings.model_copy(update={"head_epochs": 60, "retention_weight": 0.0})
    losses = fit_head(encoder, preferences, quick, seed=0)["preference"]
    assert losses[-1] < 0.5 * losses[0]
    scores = encoder.encode_pixels(shades) @ _unit(1, 384, 2)[0]
    assert np.corrcoef(scores, np.arange(12))[0, 1] > 0.9
    for name, tensor in encoder.model.visual.trunk.state_dict().items():
        assert torch.equal(tensor, trunk[name]), name
    assert not any(parameter.requires_grad for parameter in encoder.model.parameters())


def test_without_epochs_nothing_is_trained(world, settings):
    encoder, preferences, _ = world
    before = [parameter.clone() for parameter in encoder.model.visual.head.parameters()]
    nothing = fit_head(encoder, preferences, settings.model_copy(update={"head_epochs": 0}), 0)
    assert nothing == {"preference": [], "retention": []}
    for parameter, old in zip(encoder.model.visual.head.parameters(), before, strict=True):
        assert torch.equal(parameter, old)
