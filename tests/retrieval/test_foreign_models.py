"""A user's own CLIP, by tag or file; and what is said where it cannot be had."""

import numpy as np
import open_clip
import pytest
import torch

from retrieval.encoder import create_encoder, load_encoder, save_encoder


def _no_network(*arguments, **options):
    msg = "LocalEntryNotFoundError: no connection\nand a long story"
    raise OSError(msg)


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
    monkeypatch.setattr("open_clip.get_tokenizer", _no_network)
    (tmp_path / "weights.pt").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match="or its tokenizer cannot be had"):
        create_encoder("ViT-B-16-SigLIP", str(tmp_path / "weights.pt"))


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
