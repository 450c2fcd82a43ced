from contextlib import contextmanager

import numpy as np
import pytest
import torch
from open_clip.hf_model import HFTextEncoder
from torch import nn
from torch.func import functional_call
from transformers import BertConfig, MT5Config

from retrieval.encoder import Encoder, load_encoder, save_encoder
from retrieval.text.tower import TextTower, Updates

TEXTS = ["a mug", "a blue striped mug with a star on a sandy beach", "the", ""]
OWN_TOWERS = {
    "clip": {},
    "without-projection": {"proj_type": "none"},
    "siglip-like": {"proj_bias": True, "pool_type": "last", "no_causal_mask": True},
    "first-token": {"pool_type": "first", "no_causal_mask": True},
    "end-token": {"pool_type": "eos", "eos_id": 49407},
    "layer-scale": {"ls_init_value": 0.5},
    "coca": {"embed_cls": True},
    "coca-bidirectional": {"embed_cls": True, "no_causal_mask": True},
    "norms-and-activations-of-their-own": {
        "norm_kwargs": {"eps": 1e-2},
        "act_kwargs": {"approximate": "tanh"},
    },
    "custom-block": {"block_type": "custom"},
    "custom-block-with-everything": {
        "qk_norm": True,
        "scale_heads": True,
        "scale_attn_inner": True,
        "scale_attn": True,
        "scale_fc": True,
        "ls_init_value": 0.5,
    },
    "custom-block-coca": {"block_type": "custom", "embed_cls": True, "scale_heads": True},
}
HF_TOWERS = {
    "bert-mean": ("bert", "mean_pooler"),
    "bert-cls": ("bert", "cls_pooler"),
    "bert-cls-last-hidden": ("bert", "cls_last_hidden_state_pooler"),
    "roberta-mean": ("roberta", "mean_pooler"),
    "roberta-cls": ("roberta", "cls_pooler"),
    "xlm-roberta-mean": ("xlm-roberta", "mean_pooler"),
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


def _updates(tower, rows, concepts=2, seed=0):
    """Factors big enough to be seen: A of unit norm, B."""
    generator = torch.Generator().manual_seed(seed)
    a_BKd, b_BKd = torch.randn(2, rows, concepts, tower.width, generator=generator)
    return Updates(a_BKd / a_BKd.norm(dim=-1, keepdim=True), b_BKd)


@contextmanager
def _value_changed(tower, change_dd):
    """Inside, the model's own value projection has another weight."""
    weight_dd = tower.layer.value[0]  # a view of the model's
    before = weight_dd.detach().clone()
    with torch.no_grad():
        weight_dd.add_(change_dd)
    yield
    with torch.no_grad():
        weight_dd.copy_(before)


def _finish(tower, texts, updates=None):
    with torch.no_grad():
        return tower.finish(tower.prefix(texts), updates).numpy()


def test_the_two_parts_together_are_the_whole_tower(encoder):
    got = _finish(TextTower(encoder), TEXTS)
    np.testing.assert_allclose(got, encoder.encode_texts(TEXTS), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(got, axis=1), 1, atol=1e-5)


def test_a_text_has_one_vector_whatever_it_is_batched_with(encoder):
    tower = TextTower(encoder)
    alone = np.concatenate([_finish(tower, [text]) for text in TEXTS])
    np.testing.assert_allclose(_finish(tower, TEXTS), alone, atol=1e-5)


def _context(encoder):
    """All the positions that the text tower has."""
    context = encoder.config["text_cfg"].get("context_length", 77)
    return context + bool(encoder.config["text_cfg"].get("embed_cls"))


def test_each_text_gets_its_own_updates(encoder):
    """Against the model whose value weight is W + B A, one text after another."""
    tower = TextTower(encoder)
    updates = _updates(tower, len(TEXTS))
    got = _finish(tower, TEXTS, updates)
    expected = []
    for text, a_Kd, b_Kd in zip(TEXTS, updates.a_BKd, updates.b_BKd, strict=True):
        with _value_changed(tower, b_Kd.T @ a_Kd):
            expected.append(encoder.encode_texts([text])[0])
    np.testing.assert_allclose(got, expected, atol=2e-5)
    assert np.abs(got - encoder.encode_texts(TEXTS)).max(axis=1).min() > 1e-3


def test_a_padded_update_changes_nothing(encoder):
    tower = TextTower(encoder)
    updates = _updates(tower, len(TEXTS), concepts=3)
    updates.b_BKd[:, 2] = 0
    updates.a_BKd[:, 2] = 0
    two = Updates(updates.a_BKd[:, :2], updates.b_BKd[:, :2])
    np.testing.assert_allclose(
        _finish(tower, TEXTS, updates), _finish(tower, TEXTS, two), atol=1e-6
    )
    nothing = Updates(updates.a_BKd, torch.zeros_like(updates.b_BKd))
    np.testing.assert_allclose(_finish(tower, TEXTS, nothing), _finish(tower, TEXTS), atol=1e-7)


def test_gradients_are_those_of_the_whole_tower(encoder):
    tower = TextTower(encoder)
    updates = _updates(tower, 1, concepts=1)
    factors = [updates.a_BKd.requires_grad_(), updates.b_BKd.requires_grad_()]
    [name], [weight] = zip(*_value_parameter(tower), strict=True)
    target_D = torch.randn(encoder.width, generator=torch.Generator().manual_seed(1))

    vector_BD = tower.finish(tower.prefix(TEXTS[1:2]), updates)
    got = torch.autograd.grad((vector_BD @ target_D).sum(), factors)
    change = updates.b_BKd[0].T @ updates.a_BKd[0]
    rows = torch.arange(len(weight))[-tower.width :]
    changed = weight.detach().index_add(0, rows, change)
    if len(weight) == 3 * tower.width:  # query, key and value are one parameter
        assert torch.equal(tower.layer.value[0], weight[rows])
    whole_BD = functional_call(
        encoder.model.text, {name: changed}, (encoder.tokens(TEXTS[1:2]),), strict=False
    )
    whole_BD = nn.functional.normalize(whole_BD, dim=-1)
    expected = torch.autograd.grad((whole_BD @ target_D).sum(), factors)
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4 * other.abs().max().item(), rtol=0)
        assert other.abs().max() > 0
    assert all(parameter.grad is None for parameter in encoder.model.parameters())


def _value_parameter(tower):
    """The model's parameter that holds the last layer's value, as the model itself names it."""
    pointer = tower.layer.value[0].untyped_storage().data_ptr()
    return [
        (name, parameter)
        for name, parameter in tower.encoder.model.text.named_parameters()
        if parameter.untyped_storage().data_ptr() == pointer
    ]


@pytest.mark.parametrize(
    ("form", "positions"),
    [
        ({}, 5),  # start, a, blue, mug, end
        ({"pool_type": "first"}, 1),  # in a causal tower the first token sees itself alone
        ({"embed_cls": True}, 7),  # one padding token, which open_clip's mask shows, and CoCa's own
        ({"pool_type": "last", "no_causal_mask": True}, 16),  # nothing hides SigLIP's padding
    ],
    ids=["clip", "first", "coca", "siglip"],
)
def test_positions_that_the_pooled_token_does_not_see_are_cut(make_tiny, form, positions):
    prefix = TextTower(make_tiny(**form)).prefix(["a mug", "a blue mug"])
    assert prefix.inputs_BLd.shape[:2] == (2, positions)
    assert prefix.weights_BQHL.shape == (2, 1, 4, positions)


def test_a_mean_is_taken_of_the_texts_own_tokens(minilm):
    prefix = TextTower(minilm).prefix(["a mug", "a blue mug"])
    assert prefix.inputs_BLd.shape[:2] == (2, 5)  # [CLS] a blue mug [SEP]
    assert prefix.owner_N.tolist() == [0] * 4 + [1] * 5


def test_the_prefix_does_not_depend_on_the_value(encoder):
    tower = TextTower(encoder)
    before = tower.prefix(TEXTS)
    with _value_changed(tower, torch.eye(tower.width)):
        after = tower.prefix(TEXTS)
    assert torch.equal(before.inputs_BLd, after.inputs_BLd)
    assert torch.equal(before.weights_BQHL, after.weights_BQHL)
    assert not torch.equal(before.rows_Nd, after.rows_Nd)


def test_the_model_stays_as_it_was_and_can_be_saved(make_tiny, tmp_path):
    encoder = make_tiny()
    before = encoder.encode_texts(TEXTS)
    _finish(TextTower(encoder), TEXTS)
    np.testing.assert_array_equal(encoder.encode_texts(TEXTS), before)
    save_encoder(encoder, tmp_path / "m")
    np.testing.assert_array_equal(load_encoder(tmp_path / "m").encode_texts(TEXTS), before)


def test_reduced_precision_is_a_copy_that_rounds(encoder):
    tower = TextTower(encoder)
    updates = _updates(tower, len(TEXTS))
    before = _finish(tower, TEXTS, updates)
    rounded = _finish(tower.in_bfloat16(), TEXTS, updates)
    assert rounded.dtype == np.float32
    assert 1e-6 < np.abs(rounded - before).max() < 2e-2
    np.testing.assert_array_equal(_finish(tower, TEXTS, updates), before)


def test_a_prefix_in_reduced_precision_is_that_of_the_same_tower(encoder):
    tower = TextTower(encoder)
    updates = _updates(tower, len(TEXTS))
    before = _finish(tower, TEXTS, updates)
    rounding = tower.with_bfloat16_prefix()
    rounded = _finish(rounding, TEXTS, updates)
    assert rounded.dtype == np.float32
    assert 1e-6 < np.abs(rounded - before).max() < 2e-2
    assert rounding.digest == tower.digest  # what was learned for the one can be used in the other
    np.testing.assert_array_equal(_finish(tower, TEXTS, updates), before)


def test_a_digest_names_the_tensors(make_tiny):
    first, same, other = (TextTower(make_tiny(seed=seed)) for seed in (1, 1, 2))
    assert first.digest == same.digest != other.digest
    before = first.digest
    with _value_changed(first, torch.eye(first.width)):
        assert first.digest != before
    assert first.digest == before


TINY_BERT = BertConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=4)


class _Model(nn.Module):
    def __init__(self, text):
        super().__init__()
        self.text = text


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ({"pool_type": "none"}, "pool_type 'none'"),
        ({"scaled_cosine_attn": True}, "scaled cosine attention"),
    ],
    ids=["unpooled", "scaled-cosine"],
)
def test_a_tower_of_another_form_is_refused_by_name(make_tiny, text, fault):
    with pytest.raises(
        ValueError, match=rf"got text tower TextTransformer with {fault}.*need open_clip"
    ):
        TextTower(make_tiny(**text))


@pytest.mark.parametrize(
    ("config", "pooler", "fault"),
    [
        (
            MT5Config(vocab_size=50, d_model=16, d_kv=4, d_ff=16, num_layers=1, num_heads=2),
            "mean_pooler",
            r"\(mt5\) with an encoder of type mt5",
        ),
        (TINY_BERT, "max_pooler", r"\(bert\) with MaxPooler"),
        (
            BertConfig(hidden_size=32, num_attention_heads=4, is_decoder=True),
            "mean_pooler",
            r"\(bert\) with a decoder's",
        ),
    ],
    ids=["mt5", "max", "decoder"],
)
def test_a_hugging_face_tower_of_another_kind_is_refused_by_name(config, pooler, fault):
    tower = HFTextEncoder("none", config.hidden_size, config, pooler_type=pooler)
    with pytest.raises(ValueError, match=f"got text tower HFTextEncoder {fault}.*bert, roberta"):
        TextTower(Encoder(_Model(tower), None, {}, "cpu"))


def test_open_clip_cannot_run_what_is_refused_as_such(make_tiny):
    """Its max pooling and scaled cosines raise; when they no longer do, support them."""
    with pytest.raises(RuntimeError, match="batch1 must be a 3D tensor"):
        make_tiny(scaled_cosine_attn=True).encode_texts(TEXTS)
    tower = HFTextEncoder("none", TINY_BERT.hidden_size, TINY_BERT, pooler_type="max_pooler")
    with pytest.raises(RuntimeError, match="bool"):
        tower(torch.ones(1, 3, dtype=torch.long))
