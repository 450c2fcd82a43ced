import numpy as np
import pytest
import torch
from open_clip.hf_model import HFTextEncoder
from torch import nn
from transformers import MT5Config

from retrieval.encoder import Encoder, save_encoder
from retrieval.text_tower import SplitAttention, TextTower

TEXTS = ["a mug", "a blue striped mug with a star on a sandy beach", "the", ""]
OWN_TOWERS = {
    "clip": {},
    "without-projection": {"proj_type": "none"},
    "siglip-like": {"proj_bias": True, "pool_type": "last", "no_causal_mask": True},
    "first-token": {"pool_type": "first", "no_causal_mask": True},
    "end-token": {"pool_type": "eos", "eos_id": 49407},
    "layer-scale": {"ls_init_value": 0.5},
}
HF_TOWERS = {
    "bert-mean": ("bert", "mean_pooler"),
    "bert-cls-last-hidden": ("bert", "cls_last_hidden_state_pooler"),
    "roberta-mean": ("roberta", "mean_pooler"),
}


@pytest.fixture(scope="module", params=["minilm", *OWN_TOWERS, *HF_TOWERS])
def encoder(request, minilm, make_tiny, hugging_face):
    """Every form of text tower that concepts support."""
    if request.param == "minilm":
        return minilm
    if request.param in OWN_TOWERS:
        return make_tiny(**OWN_TOWERS[request.param])
    kind, pooler = HF_TOWERS[request.param]
    folder = hugging_face(kind)
    return make_tiny(
        context_length=20,
        hf_model_name=folder,
        hf_tokenizer_name=folder,
        hf_pooler_type=pooler,
        hf_proj_type="linear",
    )


def _update(tower, concepts=2, seed=0):
    """Factors big enough to be seen: A of unit norm, B."""
    generator = torch.Generator().manual_seed(seed)
    a_Kd, b_Kd = torch.randn(2, concepts, tower.value.in_features, generator=generator)
    return a_Kd / a_Kd.norm(dim=1, keepdim=True), b_Kd


def test_the_two_parts_together_are_the_whole_tower(encoder):
    expected = encoder.encode_texts(TEXTS)  # before a tower is split
    tower = TextTower(encoder)
    with torch.no_grad():
        got = tower.finish(tower.prefix(TEXTS)).numpy()
    np.testing.assert_allclose(got, expected, atol=1e-5)
    np.testing.assert_allclose(encoder.encode_texts(TEXTS), expected, atol=1e-5)


def test_finding_the_tower_again_changes_nothing(encoder):
    first, second = TextTower(encoder), TextTower(encoder)
    assert first.value is second.value
    assert first.value_path == second.value_path


def test_the_value_is_the_last_layers(encoder):
    """Swapping any earlier layer's value would change the prefix; swapping this one does not."""
    tower = TextTower(encoder)
    before = tower.prefix(TEXTS)
    with torch.no_grad():
        whole = tower.finish(before)
        weight = tower.value.weight.clone()
        tower.value.weight.mul_(-1)
        after = tower.prefix(TEXTS)
        changed = tower.finish(after)
        tower.value.weight.copy_(weight)
    torch.testing.assert_close(before.args[0], after.args[0], atol=0, rtol=0)
    assert (whole - changed).abs().max() > 1e-3


def test_an_update_is_the_weight_replaced_by_w_plus_ba(encoder):
    tower = TextTower(encoder)
    a_Kd, b_Kd = _update(tower)
    with torch.no_grad():
        with tower.updated(a_Kd, b_Kd):
            got = tower.finish(tower.prefix(TEXTS))
        weight = tower.value.weight.clone()
        tower.value.weight.copy_(weight.double() + b_Kd.double().T @ a_Kd.double())
        expected = encoder.encode_texts(TEXTS)
        tower.value.weight.copy_(weight)
    np.testing.assert_allclose(got.numpy(), expected, atol=2e-5)
    assert np.abs(expected - encoder.encode_texts(TEXTS)).max() > 1e-3


def test_an_update_ends_with_its_block(encoder):
    tower = TextTower(encoder)
    before = encoder.encode_texts(TEXTS)
    with tower.updated(*_update(tower)):
        assert np.abs(encoder.encode_texts(TEXTS) - before).max() > 1e-3
    np.testing.assert_array_equal(encoder.encode_texts(TEXTS), before)
    with pytest.raises(RuntimeError, match="stop"), tower.updated(*_update(tower)):
        raise RuntimeError("stop")
    np.testing.assert_array_equal(encoder.encode_texts(TEXTS), before)


def test_an_update_with_b_zero_changes_nothing(encoder):
    tower = TextTower(encoder)
    a_Kd, b_Kd = _update(tower)
    before = encoder.encode_texts(TEXTS)
    with tower.updated(a_Kd, torch.zeros_like(b_Kd)):
        np.testing.assert_allclose(encoder.encode_texts(TEXTS), before, atol=1e-7)


def test_gradients_reach_the_update_through_the_last_layer_alone(encoder):
    tower = TextTower(encoder)
    a_Kd, b_Kd = (factor.requires_grad_() for factor in _update(tower))
    prefix = tower.prefix(TEXTS)
    with tower.updated(a_Kd, b_Kd):
        vectors_BD = tower.finish(prefix)
    vectors_BD[:, 0].sum().backward()
    assert min(a_Kd.grad.abs().max().item(), b_Kd.grad.abs().max().item()) > 0
    assert all(parameter.grad is None for parameter in encoder.model.parameters())


def test_a_model_whose_tower_was_split_is_not_saved(make_tiny, tmp_path):
    encoder = make_tiny()
    TextTower(encoder)
    with pytest.raises(ValueError, match="text tower is split for concepts; load it anew"):
        save_encoder(encoder, tmp_path / "m")
    assert not (tmp_path / "m").exists()


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


def test_split_attention_keeps_its_own_copy_of_the_weights():
    fused = nn.MultiheadAttention(8, 2, batch_first=True)
    split = SplitAttention(fused)
    query, key, value = fused.in_proj_weight.detach().clone().chunk(3)
    with torch.no_grad():
        fused.in_proj_weight.zero_()
    for layer, weight in ((split.q_proj, query), (split.k_proj, key), (split.v_proj, value)):
        assert torch.equal(layer.weight, weight)


class _Model(nn.Module):
    def __init__(self, text):
        super().__init__()
        self.text = text


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ({"embed_cls": True}, "TextTransformer"),  # CoCa pools a token of its own
        ({"block_type": "custom"}, "TextTransformer"),  # fused attention of open_clip's own
    ],
    ids=["coca", "custom-block"],
)
def test_a_tower_of_another_form_is_refused_by_name(make_tiny, text, named):
    with pytest.raises(ValueError, match=rf"got text tower {named}.*expected open_clip's own with"):
        TextTower(make_tiny(**text))


def test_a_hugging_face_tower_of_another_kind_is_refused_by_name():
    config = MT5Config(vocab_size=50, d_model=16, d_kv=4, d_ff=16, num_layers=1, num_heads=2)
    tower = HFTextEncoder("none", 16, config, pooler_type="mean_pooler")
    with pytest.raises(ValueError, match=r"got text tower HFTextEncoder \(mt5\), expected .*bert"):
        TextTower(Encoder(_Model(tower), None, {}, "cpu"))
