import pytest
import torch
from open_clip.transformer import Attention
from torch import nn

from retrieval.concepts.peft_base import SplitAttention, peft_base
from retrieval.text.tower import TextTower

TEXTS = ["a mug", "a blue striped mug with a star on a sandy beach", ""]


@pytest.mark.parametrize(
    "form",
    [{}, {"embed_cls": True}, {"block_type": "custom", "embed_cls": True, "scale_heads": True}],
    ids=["clip", "coca", "custom-coca"],
)
def test_a_tower_taken_apart_gives_the_same_and_leaves_the_model(make_tiny, form):
    tower = TextTower(make_tiny(**form))
    model = tower.encoder.model.text
    names = [name for name, _ in model.named_modules()]
    base, ids = peft_base(tower), tower.encoder.tokens(TEXTS)
    with torch.no_grad():
        torch.testing.assert_close(base(ids), model(ids), atol=1e-5, rtol=0)
    assert isinstance(base.get_submodule(tower.value_path), nn.Linear)
    assert torch.equal(base.get_submodule(tower.value_path).weight, tower.layer.value[0])
    assert [name for name, _ in model.named_modules()] == names


def test_a_hugging_face_encoder_is_its_own_base(minilm):
    tower = TextTower(minilm)
    base, encoder = peft_base(tower), minilm.model.text.transformer
    assert type(base) is type(encoder)
    assert base is not encoder
    assert torch.equal(base.get_submodule(tower.value_path).weight, tower.layer.value[0])


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("width", "heads"), [(16, 1), (32, 4), (48, 12)])
def test_split_attention_is_multihead_attention(width, heads, causal):
    torch.manual_seed(width)
    fused = nn.MultiheadAttention(width, heads, batch_first=True).eval()
    for bias in (fused.in_proj_bias, fused.out_proj.bias):
        nn.init.normal_(bias)
    x_BLd = torch.randn(3, 7, width)
    mask = torch.full((7, 7), float("-inf")).triu(1) if causal else None
    with torch.no_grad():
        expected, _ = fused(x_BLd, x_BLd, x_BLd, need_weights=False, attn_mask=mask)
        got, weights = SplitAttention(fused)(
            x_BLd, x_BLd, x_BLd, need_weights=False, attn_mask=mask
        )
    assert weights is None
    torch.testing.assert_close(got, expected, atol=1e-6, rtol=0)


def test_split_attention_is_open_clips_own():
    torch.manual_seed(0)
    fused = Attention(32, 4, qk_norm=True, scale_heads=True, inner_norm=True).eval()
    nn.init.normal_(fused.head_scale)
    x_BLd = torch.randn(3, 7, 32)
    with torch.no_grad():
        got, expected = SplitAttention(fused)(x_BLd), fused(x_BLd)
    torch.testing.assert_close(got, expected, atol=1e-6, rtol=0)


def test_split_attention_keeps_its_own_copy_of_the_weights():
    fused = nn.MultiheadAttention(8, 2, batch_first=True)
    split = SplitAttention(fused)
    query, key, value = fused.in_proj_weight.detach().clone().chunk(3)
    with torch.no_grad():
        fused.in_proj_weight.zero_()
    for layer, weight in ((split.q_proj, query), (split.k_proj, key), (split.v_proj, value)):
        assert torch.equal(layer.weight, weight)
