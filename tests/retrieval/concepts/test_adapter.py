import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModel, AutoTokenizer

from retrieval.concepts.adapter import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    DESCRIPTION,
    load_adapter,
    load_concept,
    save_concept,
)
from retrieval.concepts.concept import ConceptWarning
from retrieval.concepts.peft_base import peft_base
from retrieval.concepts.queries import finish_with
from retrieval.minilm import minilm_folder
from retrieval.text.tower import TextTower
from tests.retrieval.concepts.cases import learned

TEXTS = ["a photo of sks mug", "sks mug on a long wooden table", "a dog"]
FORMS = {
    "clip": {},
    "custom-block": {"scale_attn_inner": True, "scale_heads": True, "qk_norm": True},
}


@pytest.fixture(scope="module", params=["minilm", *FORMS])
def tower(request, make_tower):
    return make_tower(FORMS.get(request.param))


@pytest.fixture(scope="module", params=[1, 3], ids=["rank-1", "rank-3"])
def concept(request, tower):
    """A learned one: the update is big enough to be seen."""
    return learned(tower, steps=30, rank=request.param)[0]


@pytest.fixture
def folder(concept, tower, tmp_path):
    save_concept(concept, tower, tmp_path / "c")
    return tmp_path / "c"


@pytest.fixture
def clip_folder(clip_tower, tmp_path):
    save_concept(learned(clip_tower)[0], clip_tower, tmp_path / "c")
    return tmp_path / "c"


def _embed(tower, adapted):
    """Unit vectors of `TEXTS` by the tower, with PEFT's model in its module's place."""
    text = tower.encoder.model.text
    ids = tower.encoder.tokens(TEXTS)
    with torch.no_grad():
        if tower.value_path.startswith("encoder."):
            mask = (ids != text.config.pad_token_id).long()
            output = adapted(input_ids=ids, attention_mask=mask)
            vectors = text.proj(text.pooler(output, mask))
        else:
            vectors = adapted(ids)
    return nn.functional.normalize(vectors, dim=-1).numpy()


def test_saving_and_loading_keeps_every_bit(tower, concept, folder):
    loaded = load_concept(folder, tower.encoder)
    assert torch.equal(loaded.a_Rd, concept.a_Rd)
    assert torch.equal(loaded.b_Rd, concept.b_Rd)
    assert replace(loaded, a_Rd=0, b_Rd=0) == replace(concept, a_Rd=0, b_Rd=0)


def test_a_loaded_concept_changes_the_output(tower, concept, folder):
    loaded = load_concept(folder, tower.encoder)
    prefix = tower.prefix(TEXTS)
    got = finish_with(tower, prefix, [loaded])
    np.testing.assert_array_equal(got, finish_with(tower, prefix, [concept]))
    assert np.abs(got - finish_with(tower, prefix, [])).max() > 1e-3


def test_peft_reads_what_was_saved(tower, concept, folder):
    adapted = PeftModel.from_pretrained(peft_base(tower), str(folder)).eval()
    expected = finish_with(tower, tower.prefix(TEXTS), [concept])
    got = _embed(tower, adapted)
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert np.abs(got - tower.encoder.encode_texts(TEXTS)).max() > 1e-3  # not silently ignored


@pytest.mark.parametrize("options", [{"r": 1, "lora_alpha": 1}, {"r": 4, "lora_alpha": 6}])
@pytest.mark.parametrize("rslora", [False, True])
def test_what_peft_trained_is_read(tower, tmp_path, options, rslora):
    target = f"^{tower.value_path.replace('.', '[.]')}$"
    config = LoraConfig(**options, use_rslora=rslora, target_modules=target)
    adapted = get_peft_model(peft_base(tower), config)
    torch.manual_seed(1)
    for name, parameter in adapted.named_parameters():
        if "lora_" in name:
            nn.init.normal_(parameter, std=0.3)
    adapted.save_pretrained(str(tmp_path / "c"))
    expected = _embed(tower, adapted.eval())
    loaded = load_adapter(tmp_path / "c", tower.encoder, "my mug", "mug", "sks")
    got = finish_with(tower, tower.prefix(TEXTS), [loaded])
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert np.abs(got - tower.encoder.encode_texts(TEXTS)).max() > 1e-3
    save_concept(loaded, tower, tmp_path / "again")
    again = load_concept(tmp_path / "again", tower.encoder)
    np.testing.assert_allclose(
        finish_with(tower, tower.prefix(TEXTS), [again]), expected, atol=1e-5
    )


def test_an_adapter_fits_plain_minilm(minilm, tmp_path):
    """Nothing of this project is needed to use one."""
    tower = TextTower(minilm)
    concept, _ = learned(tower, steps=30)
    save_concept(concept, tower, tmp_path / "c")
    inputs = AutoTokenizer.from_pretrained(minilm_folder())(TEXTS[0], return_tensors="pt")
    base = AutoModel.from_pretrained(minilm_folder())
    adapted = PeftModel.from_pretrained(base, str(tmp_path / "c")).eval()
    with torch.no_grad():
        mean = adapted(**inputs).last_hidden_state.mean(1)
    expected = finish_with(tower, tower.prefix(TEXTS[:1]), [concept])
    np.testing.assert_allclose(nn.functional.normalize(mean), expected, atol=1e-5)


def test_nothing_is_saved_beside_and_no_place_is_named(tower, folder):
    names = {path.name for path in folder.iterdir()}
    assert names == {ADAPTER_CONFIG, ADAPTER_WEIGHTS, DESCRIPTION}
    assert [path.name for path in folder.parent.iterdir()] == ["c"]
    text = (folder / ADAPTER_CONFIG).read_text()
    for place_ in (minilm_folder(), Path(__file__).parents[3], folder.parent, Path.home()):
        assert f"{place_}/" not in text
    assert json.loads(text)["base_model_name_or_path"] is None
    assert json.loads((folder / DESCRIPTION).read_text())["base"] == tower.digest


@pytest.mark.parametrize("name", [ADAPTER_CONFIG, ADAPTER_WEIGHTS, DESCRIPTION])
def test_a_missing_file_is_named(clip_tower, clip_folder, name):
    (clip_folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=name.replace(".", r"\.")):
        load_concept(clip_folder, clip_tower.encoder)


def _missing(tensors, key):
    del tensors[key]


def _unexpected(tensors, key):
    tensors[key.replace("v_proj", "q_proj")] = tensors[key].clone()


def _renamed(tensors, key):
    tensors[key.replace("resblocks.1", "resblocks.0")] = tensors.pop(key)


def _shape(tensors, key):
    tensors[key] = tensors[key][:, :-1].contiguous()


def _transposed(tensors, key):
    tensors[key] = tensors[key].T.contiguous()


def _rank_two(tensors, key):
    tensors[key] = tensors[key].repeat(2, 1)


@pytest.mark.parametrize("fault", [_missing, _unexpected, _renamed, _shape, _transposed, _rank_two])
def test_tensors_that_do_not_fit_are_refused(clip_tower, clip_folder, fault):
    tensors = load_file(clip_folder / ADAPTER_WEIGHTS)
    [key] = [key for key in tensors if "lora_A" in key]
    fault(tensors, key)
    save_file(tensors, clip_folder / ADAPTER_WEIGHTS)
    with pytest.raises(ValueError, match=r"got tensors .*belongs to another model, learn it again"):
        load_concept(clip_folder, clip_tower.encoder)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("factor", ["lora_A", "lora_B"])
def test_a_factor_that_is_not_finite_is_refused(clip_tower, clip_folder, factor, value):
    tensors = load_file(clip_folder / ADAPTER_WEIGHTS)
    [key] = [key for key in tensors if factor in key]
    tensors[key].view(-1)[3] = value
    save_file(tensors, clip_folder / ADAPTER_WEIGHTS)
    with pytest.raises(ValueError, match="not finite; learn the concept again"):
        load_concept(clip_folder, clip_tower.encoder)


def test_a_damaged_file_is_refused(clip_tower, clip_folder):
    (clip_folder / ADAPTER_WEIGHTS).write_bytes(b"not tensors")
    with pytest.raises(ValueError, match="is damaged"):
        load_concept(clip_folder, clip_tower.encoder)


def _rewrite(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"r": 2}, "got tensors"),
        ({"r": 0}, "got rank 0"),
        ({"lora_alpha": None}, "alpha None"),
        ({"use_dora": True}, r"with \['use_dora'\], expected plain LoRA"),
        ({"rank_pattern": {"v_proj": 2}}, "rank_pattern"),
        ({"modules_to_save": ["ln_final"]}, "modules_to_save"),
        ({"bias": "all"}, "bias all"),
        ({"peft_type": "IA3"}, "got a IA3 adapter"),
    ],
)
def test_an_adapter_of_another_kind_is_refused(clip_tower, clip_folder, changes, match):
    _rewrite(clip_folder / ADAPTER_CONFIG, **changes)
    with pytest.raises(ValueError, match=match):
        load_concept(clip_folder, clip_tower.encoder)


def test_a_concept_of_another_base_is_refused(clip_tower, clip_folder, make_tiny):
    """The same form with other weights: only the digest tells."""
    other = TextTower(make_tiny(seed=9))
    with pytest.raises(ValueError, match=r"belongs to another model \(\w{12}\), learn it again"):
        load_concept(clip_folder, other.encoder)
    with pytest.raises(ValueError, match="belongs to another model version"):
        save_concept(learned(clip_tower)[0], other, clip_folder)
    assert load_concept(clip_folder, clip_tower.encoder).base == clip_tower.digest


def test_a_folder_of_an_earlier_release_is_taken_with_a_warning(clip_tower, clip_folder):
    words = json.loads((clip_folder / DESCRIPTION).read_text())
    (clip_folder / DESCRIPTION).write_text(json.dumps({k: words[k] for k in words if k != "base"}))
    with pytest.warns(ConceptWarning, match="names no base model"):
        loaded = load_concept(clip_folder, clip_tower.encoder)
    assert loaded.name == "my mug"
    (clip_folder / DESCRIPTION).write_text(json.dumps({"name": "x"}))
    with pytest.raises(ValueError, match="got no identifier, noun"):
        load_concept(clip_folder, clip_tower.encoder)


def test_saving_again_replaces_the_old_folder(clip_tower, clip_folder):
    shutil.copy(clip_folder / DESCRIPTION, clip_folder / "old.txt")
    concept, _ = learned(clip_tower)
    other = replace(concept, b_Rd=concept.b_Rd * 2)
    save_concept(other, clip_tower, clip_folder)
    assert torch.equal(load_concept(clip_folder, clip_tower.encoder).b_Rd, other.b_Rd)
    assert not (clip_folder / "old.txt").exists()
