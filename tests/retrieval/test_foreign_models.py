"""A user's own CLIP, by tag or file; and what is said where it cannot be had."""

import shutil

import numpy as np
import open_clip
import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from retrieval.encoder import create_encoder, load_encoder, save_encoder


def _no_network(*arguments, **options):
    msg = "LocalEntryNotFoundError: no connection\nand a long story"
    raise OSError(msg)


def _train_tokenizer(texts):
    """One of SigLIP's form: pieces of words, `</s>` at the end and as padding."""
    pieces = Tokenizer(models.Unigram())
    pieces.normalizer = normalizers.Lowercase()
    pieces.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=60, special_tokens=["</s>", "<unk>"], unk_token="<unk>", show_progress=False
    )
    pieces.train_from_iterator(texts, trainer)
    pieces.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", pieces.token_to_id("</s>"))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=pieces, pad_token="</s>", eos_token="</s>", unk_token="<unk>"
    )


def test_weights_that_cannot_be_downloaded_are_said_in_a_sentence(monkeypatch):
    monkeypatch.setattr("open_clip.factory.download_pretrained", _no_network)
    with pytest.raises(FileNotFoundError) as said:
        create_encoder("ViT-B-32", "laion2b_s34b_b79k")
    message = str(said.value)
    assert message.startswith("got model 'ViT-B-32' with weights 'laion2b_s34b_b79k', and they")
    assert "no connection" in message
    assert "path to a file of weights, or one of the tags ['openai'" in message
    assert "\n" not in message


def test_a_tag_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(FileNotFoundError, match=r"weights 'laion3b'.* one of the tags \['openai'"):
        create_encoder("ViT-B-32", "laion3b")


def test_a_tokenizer_that_cannot_be_downloaded_is_said_in_a_sentence(monkeypatch, tmp_path):
    """Nothing of open_clip is replaced: transformers finds no folder, no cache and no hub."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "weights.pt").write_bytes(b"")
    with pytest.raises(FileNotFoundError) as said:
        create_encoder("ViT-B-16-SigLIP", str(tmp_path / "weights.pt"))
    message = str(said.value)
    name = "timm/ViT-B-16-SigLIP"
    assert message.startswith(f"got model 'ViT-B-16-SigLIP', and its tokenizer {name} cannot be")
    assert message.endswith(f"or in a folder {name} here")
    assert "\n" not in message


def test_weights_of_another_model_are_refused_by_their_tensors(make_clip):
    (name, _), (_, other) = make_clip(layers=3), make_clip()
    with pytest.raises(RuntimeError, match=r"resblocks\.2\."):
        create_encoder(name, str(other))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ViT-B-32", "ViT-L-14"])
def test_clips_of_real_size_are_two_lines_of_the_parameters(name, pictures, tmp_path):
    """Random weights, as a file; a hub would bring others of the same form."""
    torch.manual_seed(0)
    state = open_clip.create_model(name).state_dict()
    torch.save(state, tmp_path / "weights.pt")
    encoder = create_encoder(name, str(tmp_path / "weights.pt"))
    save_encoder(encoder, tmp_path / "model")
    loaded = load_encoder(tmp_path / "model")
    np.testing.assert_array_equal(
        loaded.encode_images(pictures[:2]), encoder.encode_images(pictures[:2])
    )
    np.testing.assert_array_equal(
        loaded.encode_texts(["a blue mug", "naïve café"]),
        encoder.encode_texts(["a blue mug", "naïve café"]),
    )


@pytest.mark.slow
def test_a_siglip_of_real_size_with_a_tokenizer_at_hand(pictures, tmp_path, monkeypatch):
    """Its tokenizer is on the hub; one that was trained here stands in, in a folder of its name."""
    texts = [
        "a blue mug",
        "naïve café",
        "a red cup beside a blue vase, for a long walk in the rain",
    ]
    monkeypatch.chdir(tmp_path)
    _train_tokenizer(texts).save_pretrained("timm/ViT-B-16-SigLIP")
    torch.manual_seed(0)
    state = open_clip.create_model("ViT-B-16-SigLIP").state_dict()
    state["logit_bias"] = torch.full_like(state["logit_bias"], -12.5)  # it starts at -10
    torch.save(state, "weights.pt")
    encoder = create_encoder("ViT-B-16-SigLIP", "weights.pt")
    save_encoder(encoder, tmp_path / "model")
    shutil.rmtree("timm")
    loaded = load_encoder(tmp_path / "model")
    assert loaded.model.logit_bias.item() == -12.5
    assert encoder.tokens(texts).shape == (3, 64)  # nothing hides its padding, so none is cut
    assert len(encoder.tokens(texts).unique()) > 20
    assert torch.equal(loaded.tokens(texts), encoder.tokens(texts))
    np.testing.assert_array_equal(loaded.encode_texts(texts), encoder.encode_texts(texts))
    np.testing.assert_array_equal(
        loaded.encode_images(pictures[:2]), encoder.encode_images(pictures[:2])
    )
    plain = open_clip.create_model("ViT-B-16-SigLIP", "weights.pt").eval()
    with torch.no_grad():
        expected = plain.encode_text(encoder.tokens(texts), normalize=True)
    np.testing.assert_allclose(encoder.encode_texts(texts), expected, atol=1e-5)
