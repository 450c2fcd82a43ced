"""Towers of three kinds split between their blocks, and low-rank updates of the last ones."""

import pytest
import torch
from open_clip.timm_model import TimmModel
from torch import nn

from retrieval.image_tower import SplitTower
from retrieval.low_rank import LowRank
from retrieval.tower_blocks import split_before_block

SIDES = {"resnet": 48, "vit": 32, "timm-vit": 224}


def _towers(kind, make_tiny):
    torch.manual_seed(0)
    if kind == "vit":
        return make_tiny(layers=2).model.visual
    name, pool = ("resnet10t", "avg") if kind == "resnet" else ("vit_tiny_patch16_224", "")
    made = TimmModel(name, 24, image_size=SIDES[kind], pool=pool, proj="mlp")
    return made.requires_grad_(requires_grad=False)


@pytest.fixture(params=list(SIDES))
def tower(request, make_tiny):
    """An image tower in eval mode with nothing at zero, and pixels for it."""
    visual = _towers(request.param, make_tiny).eval()
    with torch.no_grad():
        for parameter in visual.parameters():
            if parameter.ndim <= 1:  # ResNet's last norms start at zero: branches would be dead
                parameter.add_(0.1 * torch.rand_like(parameter) + 0.1)
    side = SIDES[request.param]
    return visual, torch.randn(3, 3, side, side, generator=torch.Generator().manual_seed(1))


def _count(visual):
    for trained in range(1, 100):
        try:
            split_before_block(visual, trained)
        except ValueError:
            return trained - 1
    return 0


def test_head_after_trunk_is_the_whole_tower_wherever_it_is_split(tower):
    visual, pixels = tower
    whole = visual(pixels)
    blocks = _count(visual)
    assert blocks >= 1
    sizes = []
    for trained in sorted({1, min(2, blocks), blocks}):
        split = split_before_block(visual, trained)
        torch.testing.assert_close(split.head(split.trunk(pixels)), whole, atol=1e-5, rtol=0)
        parts = [*split.trunk_parameters, *split.head_parameters]
        assert sorted(map(id, parts)) == sorted(map(id, visual.parameters()))
        sizes.append(len(split.head_parameters))
    assert sizes == sorted(set(sizes))  # each block adds to what is trained


def test_what_is_frozen_decides_the_features_alone(tower):
    visual, pixels = tower
    split = split_before_block(visual, 1)
    features = split.trunk(pixels)
    for parameter in split.head_parameters:
        parameter.data.mul_(torch.rand_like(parameter))
    assert torch.equal(split.trunk(pixels), features)
    split.trunk_parameters[0].data.mul_(1.5)
    assert not torch.equal(split.trunk(pixels), features)


@pytest.mark.parametrize("trained", [0, -1, 99])
def test_more_blocks_than_there_are_are_refused(tower, trained):
    with pytest.raises(ValueError, match=rf"got distill.blocks {trained}, expected 1 to \d+"):
        split_before_block(tower[0], trained)


@pytest.mark.parametrize(
    ("visual", "name"),
    [
        (nn.Flatten(), "Flatten"),
        (SplitTower, "type"),
        (TimmModel("regnetx_002", 8, image_size=32, pool="avg"), "timm RegNet"),
    ],
)
def test_towers_of_other_kinds_are_refused_by_name(visual, name):
    with pytest.raises(ValueError, match=rf"got image tower {name}, expected open_clip's"):
        split_before_block(visual, 1)


def test_new_updates_change_nothing_and_all_of_them_learn(tower):
    visual, pixels = tower
    whole = visual(pixels)
    updates = LowRank(visual, 1, rank=2).tower()
    torch.testing.assert_close(updates.head(updates.trunk(pixels)), whole, atol=1e-5, rtol=0)
    for parameter in updates.head_parameters:  # B starts at zero, and A's gradient with it
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    updates.head(updates.trunk(pixels)).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in updates.head_parameters)
    assert all(parameter.grad is None for parameter in updates.trunk_parameters)


def test_merged_updates_leave_a_plain_tower_that_does_the_same(tower):
    visual, pixels = tower
    names = {name: tensor.clone() for name, tensor in visual.state_dict().items()}
    before = visual(pixels)
    low_rank = LowRank(visual, 1, rank=2)
    updates = low_rank.tower()
    for parameter in updates.head_parameters:
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    adapted = updates.head(updates.trunk(pixels)).detach()
    low_rank.merge()
    assert visual.state_dict().keys() == names.keys()
    torch.testing.assert_close(visual(pixels), adapted, atol=1e-4, rtol=1e-4)
    assert (adapted - before).abs().max() > 1e-2
    changed = {n for n, t in visual.state_dict().items() if not torch.equal(t, names[n])}
    for name in changed:
        difference = (visual.state_dict()[name] - names[name]).flatten(1)
        assert torch.linalg.matrix_rank(difference, rtol=1e-3) <= 2 * (
            3 if "in_proj" in name else 1
        )
    assert changed
