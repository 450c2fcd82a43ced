import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch.func import functional_call
from transformers import AutoModel, AutoTokenizer

from retrieval import concepts
from retrieval.concepts import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    DESCRIPTION,
    PROMPTS,
    Concept,
    Settings,
    encode_with_concepts,
    finish_with,
    learn,
    load_concept,
    new_concept,
    place,
    save_concept,
)
from retrieval.losses import concept_fit
from retrieval.minilm import minilm_folder
from retrieval.text_tower import TextTower

SETTINGS = Settings(steps=12, learning_rate=0.01, l2=0.35)


def _unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def _images(encoder, count=3, seed=0):
    """Stand-ins for photos of one thing: unit vectors near each other."""
    rng = np.random.default_rng(seed)
    center = rng.standard_normal(encoder.width)
    return _unit(center + 0.3 * rng.standard_normal((count, encoder.width))).astype(np.float32)


def _learned(tower, name="my mug", noun="mug", **changes):
    start = new_concept(name, noun, "sks", tower.value.in_features)
    settings = replace(SETTINGS, **changes)
    return learn(tower, start, _images(tower.encoder, seed=len(name)), settings)


@pytest.fixture(scope="module", params=["minilm", "clip"])
def tower(request, minilm, make_tiny):
    return TextTower(minilm if request.param == "minilm" else make_tiny(seed=7))


@pytest.fixture(scope="module")
def clip_tower(make_tiny):
    return TextTower(make_tiny(seed=8))


@pytest.fixture(scope="module")
def concept(tower):
    """A learned one: the update is big enough to be seen."""
    return _learned(tower, steps=30)[0]


@pytest.fixture
def folder(concept, tower, tmp_path):
    save_concept(concept, tower, tmp_path / "c")
    return tmp_path / "c"


def test_learning_lowers_the_loss(tower):
    concept, losses = _learned(tower, steps=30)
    assert len(losses) == 30
    assert losses[-1] < 0.9 * losses[0]
    assert concept.b_d.abs().max() > 0


def test_learning_starts_at_the_tower_as_it_is(tower, monkeypatch):
    texts = []
    prefix = tower.prefix
    monkeypatch.setattr(tower, "prefix", lambda prompts: texts.extend(prompts) or prefix(prompts))
    _, losses = _learned(tower, steps=1)
    assert len(set(texts)) == 3  # a prompt a photo, without replacement
    assert set(texts) <= {prompt.format("sks mug") for prompt in PROMPTS}
    difference = tower.encoder.encode_texts(texts) - _images(tower.encoder, seed=len("my mug"))
    assert losses[0] == pytest.approx(np.mean(difference.astype(np.float64) ** 2), rel=1e-5)


def test_a_learned_concept_is_nearer_to_its_photos(tower, concept):
    encoder, text = tower.encoder, "a photo of {my mug}"
    mean = _images(encoder, seed=len("my mug")).mean(axis=0)
    before = encoder.encode_texts([place(text, [concept])])[0]
    after = encode_with_concepts(encoder, text, [concept])
    assert after @ mean > before @ mean + 0.01
    assert np.linalg.norm(after) == pytest.approx(1, abs=1e-5)


def test_a_has_unit_norm_and_the_words_stay(concept):
    assert concept.a_d.norm().item() == pytest.approx(1, abs=1e-6)
    assert (concept.name, concept.noun, concept.identifier) == ("my mug", "mug", "sks")
    assert concept.phrase == "sks mug"


def _reference(weight_name, effective, model, ids, start, images, settings):
    """The paper's method with nothing saved: the whole tower in every step, by hand."""
    raw_d, b_d = start.a_d.clone().requires_grad_(), start.b_d.clone().requires_grad_()
    optimizer = torch.optim.Adam([raw_d, b_d], lr=settings.learning_rate)
    losses = []
    for _ in range(settings.steps):
        weight = effective(torch.outer(b_d, raw_d / raw_d.norm()))
        texts = functional_call(model, {weight_name: weight}, (ids,))
        texts = texts / texts.norm(dim=-1, keepdim=True)
        loss = ((texts - images) ** 2).mean() + settings.l2 * (b_d**2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, (raw_d / raw_d.norm()).detach(), b_d.detach()


def _compare(tower, monkeypatch, weight_name, effective, model):
    texts = []
    prefix = tower.prefix
    monkeypatch.setattr(tower, "prefix", lambda prompts: texts.extend(prompts) or prefix(prompts))
    start = new_concept("my mug", "mug", "sks", tower.value.in_features)
    images = _images(tower.encoder)
    got, losses = learn(tower, start, images, SETTINGS)
    ids = tower.encoder.tokens(texts)
    expected, a_d, b_d = _reference(
        weight_name, effective, model, ids, start, torch.from_numpy(images), SETTINGS
    )
    np.testing.assert_allclose(losses, expected, atol=1e-5)
    reference = Concept("my mug", "mug", "sks", a_d, b_d)
    queries = ["sks mug on a table", "a photo of sks mug"]
    one, other = (finish_with(tower, tower.prefix(queries), [c]) for c in (got, reference))
    np.testing.assert_allclose(one, other, atol=1e-4)
    assert np.abs(one - tower.encoder.encode_texts(queries)).max() > 1e-3


def test_learning_equals_the_whole_tower_trained_by_hand_minilm(minilm, monkeypatch):
    tower = TextTower(minilm)
    weight = tower.value.weight.detach().clone()
    name = f"transformer.{tower.value_path}.weight"
    _compare(tower, monkeypatch, name, lambda update: weight + update, minilm.model.text)


def test_learning_equals_the_whole_tower_trained_by_hand_clip(make_clip, monkeypatch):
    """Against open_clip's tower as it is built: fused projections, nothing split."""
    from retrieval.encoder import create_encoder

    name, weights = make_clip(seed=5)
    whole = create_encoder(name, str(weights)).model.text
    attention = whole.transformer.resblocks[-1].attn
    query, key, value = attention.in_proj_weight.detach().clone().chunk(3)
    tower = TextTower(create_encoder(name, str(weights)))
    _compare(
        tower,
        monkeypatch,
        "transformer.resblocks.1.attn.in_proj_weight",
        lambda update: torch.cat([query, key, value + update]),
        whole,
    )


def test_learning_leaves_the_tower_as_it_was(tower):
    model = tower.encoder.model
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    modules = [(name, type(module)) for name, module in model.named_modules()]
    _learned(tower)
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[key], before[key]) for key in before)
    assert [(name, type(module)) for name, module in model.named_modules()] == modules
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert not model.training


def test_a_failure_while_learning_leaves_the_tower_as_it_was(tower, monkeypatch):
    before = tower.encoder.encode_texts(["a mug"])

    def fail(*_):
        raise RuntimeError("stop")

    monkeypatch.setattr(concepts, "concept_fit", fail)
    with pytest.raises(RuntimeError, match="stop"):
        _learned(tower)
    assert type(tower.value) is torch.nn.Linear
    np.testing.assert_array_equal(tower.encoder.encode_texts(["a mug"]), before)


def test_lambda_keeps_the_update_small(clip_tower):
    free, _ = _learned(clip_tower, steps=60, l2=0.0)
    held, losses = _learned(clip_tower, steps=60, l2=35.0)
    assert held.b_d.norm() < 0.5 * free.b_d.norm()
    fit = concept_fit(torch.zeros(1, 2), torch.zeros(1, 2), held.b_d, 35.0)
    assert losses[-1] > fit.item() * 0.5  # the penalty is part of what is reported


@pytest.mark.parametrize("count", [0, len(PROMPTS) + 1])
def test_photos_without_a_prompt_each_are_refused(clip_tower, count):
    start = new_concept("my mug", "mug", "sks", clip_tower.value.in_features)
    images = np.zeros((count, clip_tower.encoder.width), dtype=np.float32)
    with pytest.raises(ValueError, match=rf"my mug: got {count} photos, expected 1 to 13"):
        learn(clip_tower, start, images, SETTINGS)


def test_as_many_photos_as_prompts_are_learned_from(clip_tower):
    start = new_concept("my mug", "mug", "sks", clip_tower.value.in_features)
    _, losses = learn(clip_tower, start, _images(clip_tower.encoder, len(PROMPTS)), SETTINGS)
    assert losses[-1] < losses[0]


def test_prompts_are_thirteen_different_ones():
    assert len(set(PROMPTS)) == 13
    assert all(prompt.count("{}") == 1 for prompt in PROMPTS)


def test_a_concept_follows_from_its_name_and_photos_alone(clip_tower):
    torch.manual_seed(1)
    first = [_learned(clip_tower, name)[0] for name in ("one", "other")]
    torch.manual_seed(2)
    second = [_learned(clip_tower, name)[0] for name in ("other", "one")][::-1]
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a.a_d, b.a_d)
        assert torch.equal(a.b_d, b.b_d)
    assert not torch.equal(first[0].a_d, first[1].a_d)


def test_a_new_concept_changes_nothing(clip_tower):
    start = new_concept("x", "mug", "sks", clip_tower.value.in_features)
    assert start.a_d.norm().item() == pytest.approx(1, abs=1e-6)
    texts = ["sks mug", "a mug"]
    np.testing.assert_allclose(
        finish_with(clip_tower, clip_tower.prefix(texts), [start]),
        clip_tower.encoder.encode_texts(texts),
        atol=1e-6,
    )


def test_saving_and_loading_keeps_every_bit(tower, concept, folder):
    loaded = load_concept(folder, tower.encoder)
    assert torch.equal(loaded.a_d, concept.a_d)
    assert torch.equal(loaded.b_d, concept.b_d)
    assert (loaded.name, loaded.noun, loaded.identifier) == ("my mug", "mug", "sks")


def test_saving_leaves_the_tower_as_it_was_and_nothing_beside(tower, concept, folder):
    assert type(tower.value) is torch.nn.Linear
    assert not any(parameter.requires_grad for parameter in tower.encoder.model.parameters())
    names = {path.name for path in folder.iterdir()}
    assert names == {ADAPTER_CONFIG, ADAPTER_WEIGHTS, DESCRIPTION}
    assert [path.name for path in folder.parent.iterdir()] == ["c"]


def test_an_adapter_names_no_place_of_this_machine(folder):
    text = (folder / ADAPTER_CONFIG).read_text()
    for place_ in (minilm_folder(), Path(__file__).parents[2], folder.parent, Path.home()):
        assert f"{place_}/" not in text
    assert json.loads(text)["base_model_name_or_path"] is None


def test_peft_reads_the_adapter_on_plain_minilm(minilm, tmp_path):
    tower = TextTower(minilm)
    concept, _ = _learned(tower, steps=30)
    save_concept(concept, tower, tmp_path / "c")
    tokenizer = AutoTokenizer.from_pretrained(minilm_folder())
    inputs = tokenizer(["a photo of sks mug"], return_tensors="pt")

    def embed(model):
        with torch.no_grad():
            return torch.nn.functional.normalize(model(**inputs).last_hidden_state.mean(1)).numpy()

    base = AutoModel.from_pretrained(minilm_folder()).eval()
    plain = embed(base)
    adapted = embed(PeftModel.from_pretrained(base, str(tmp_path / "c")).eval())
    expected = finish_with(tower, tower.prefix(["a photo of sks mug"]), [concept])
    np.testing.assert_allclose(adapted, expected, atol=1e-5)
    assert np.abs(adapted - plain).max() > 1e-3  # the adapter was not silently ignored


@pytest.mark.parametrize("name", [ADAPTER_CONFIG, ADAPTER_WEIGHTS, DESCRIPTION])
def test_a_missing_file_is_named(tower, folder, name):
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=name.replace(".", r"\.")):
        load_concept(folder, tower.encoder)


def _missing(tensors, key):
    del tensors[key]


def _unexpected(tensors, key):
    tensors[key.replace("value", "query").replace("v_proj", "q_proj")] = tensors[key].clone()


def _shape(tensors, key):
    tensors[key] = tensors[key][:, :-1].contiguous()


def _transposed(tensors, key):
    tensors[key] = tensors[key].T.contiguous()


def _rank_two(tensors, key):
    tensors[key] = tensors[key].repeat(2, 1)


@pytest.mark.parametrize("fault", [_missing, _unexpected, _shape, _transposed, _rank_two])
def test_tensors_that_do_not_fit_are_refused(tower, folder, fault):
    tensors = load_file(folder / ADAPTER_WEIGHTS)
    [key] = [key for key in tensors if "lora_A" in key]
    fault(tensors, key)
    save_file(tensors, folder / ADAPTER_WEIGHTS)
    with pytest.raises(ValueError, match=r"got tensors .*belongs to another model, learn it again"):
        load_concept(folder, tower.encoder)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("factor", ["lora_A", "lora_B"])
def test_a_factor_that_is_not_finite_is_refused(tower, folder, factor, value):
    tensors = load_file(folder / ADAPTER_WEIGHTS)
    [key] = [key for key in tensors if factor in key]
    tensors[key].view(-1)[3] = value
    save_file(tensors, folder / ADAPTER_WEIGHTS)
    with pytest.raises(ValueError, match="not finite; learn the concept again"):
        load_concept(folder, tower.encoder)


@pytest.mark.parametrize(("key", "value"), [("r", 2), ("lora_alpha", 8)])
def test_an_adapter_of_another_rank_or_weight_is_refused(tower, folder, key, value):
    config = json.loads((folder / ADAPTER_CONFIG).read_text())
    (folder / ADAPTER_CONFIG).write_text(json.dumps({**config, key: value}))
    with pytest.raises(ValueError, match=rf"(rank|alpha) {value}"):
        load_concept(folder, tower.encoder)


def test_a_concept_of_another_model_is_refused(minilm, clip_tower, tmp_path):
    concept, _ = _learned(clip_tower)
    save_concept(concept, clip_tower, tmp_path / "c")
    with pytest.raises(ValueError, match="another model"):
        load_concept(tmp_path / "c", minilm)


def test_saving_again_replaces_the_old_folder(tower, concept, folder):
    shutil.copy(folder / DESCRIPTION, folder / "old.txt")
    other = replace(concept, b_d=concept.b_d * 2)
    save_concept(other, tower, folder)
    assert torch.equal(load_concept(folder, tower.encoder).b_d, other.b_d)
    assert not (folder / "old.txt").exists()


def test_several_concepts_are_the_sum_of_their_updates(tower):
    first, second = (_learned(tower, name, steps=30)[0] for name in ("one", "other"))
    texts = ["sks mug and sks mug", "a mug"]
    prefix = tower.prefix(texts)
    both = finish_with(tower, prefix, [first, second])
    np.testing.assert_allclose(finish_with(tower, prefix, [second, first]), both, atol=1e-6)
    update = sum(torch.outer(c.b_d.double(), c.a_d.double()) for c in (first, second))
    with torch.no_grad():
        weight = tower.value.weight.clone()
        tower.value.weight.copy_(weight.double() + update)
        expected = tower.encoder.encode_texts(texts)
        tower.value.weight.copy_(weight)
    np.testing.assert_allclose(both, expected, atol=1e-5)
    assert np.abs(both - finish_with(tower, prefix, [first])).max() > 1e-3


def test_without_concepts_a_query_is_encoded_as_it_is(tower):
    got = encode_with_concepts(tower.encoder, "a {mug}", [])
    np.testing.assert_array_equal(got, tower.encoder.encode_texts(["a {mug}"])[0])


def _named(name, noun="mug", identifier="sks"):
    return Concept(name, noun, identifier, torch.zeros(2), torch.zeros(2))


@pytest.mark.parametrize(
    ("text", "names", "expected"),
    [
        ("{mug} on a table", ["mug"], "sks mug on a table"),
        ("{mug} beside {mug}", ["mug"], "sks mug beside sks mug"),
        ("on a table", ["mug"], "sks mug on a table"),
        ("{dog} and {mug}", ["mug", "dog"], "sks dog and sks mug"),
        ("in the snow", ["mug", "dog"], "sks mug sks dog in the snow"),
        ("with {dog}", ["mug", "dog"], "sks mug with sks dog"),
        ("a {cat} in the snow", [], "a {cat} in the snow"),
        ("asks about {mug}", ["mug"], "asks about sks mug"),  # no word of its own
    ],
)
def test_phrases_stand_where_their_names_do_or_in_front(text, names, expected):
    assert place(text, [_named(name, noun=name) for name in names]) == expected


@pytest.mark.parametrize(
    "text", ["a sks rifle", "SKS on a table", "sks", "on sks, please", "a rifle (sks)", "my sks."]
)
def test_a_query_that_holds_the_identifier_itself_is_refused(text):
    with pytest.raises(ValueError, match="'sks' stands for concepts; use another"):
        place(text, [_named("mug")])


def test_a_query_may_hold_any_other_word():
    assert place("a sks rifle", [_named("mug", identifier="qzx")]) == "qzx mug a sks rifle"
    assert place("a sks rifle", []) == "a sks rifle"
