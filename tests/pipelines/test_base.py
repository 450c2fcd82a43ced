from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pipelines import base
from pipelines.run.params import load_params
from pipelines.run.paths import PARAPHRASE_VECTORS, PERSONA_VECTORS
from retrieval.storage.vectors import read_vectors

PARAMS_FILE = Path(__file__).parents[2] / "params.yaml"
TEXTS = ["gardening", "sailing", "growing plants", "being on boats"]


def _encode(texts):
    """A text's vector is its own axis."""
    axes = np.eye(len(TEXTS), dtype=np.float32)
    return axes[[TEXTS.index(text) for text in texts]].reshape(-1, len(TEXTS))


@pytest.fixture
def encoder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = SimpleNamespace(visual=None)
    return SimpleNamespace(encode_texts=_encode, device="cpu", model=model)


def _persona(name, text, paraphrase="", split="test"):
    return {"persona_id": name, "text": text, "paraphrase": paraphrase, "split": split}


def test_texts_and_paraphrases_are_embedded_under_the_personas_ids(encoder):
    people = [_persona("a", TEXTS[0]), _persona("b", TEXTS[1], TEXTS[3])]
    base.embed_personas(encoder, people)
    texts, paraphrases = read_vectors(PERSONA_VECTORS), read_vectors(PARAPHRASE_VECTORS)
    assert (texts.ids, paraphrases.ids) == (["a", "b"], ["b"])
    np.testing.assert_array_equal(texts.vectors, _encode(TEXTS[:2]))
    np.testing.assert_array_equal(paraphrases.vectors, _encode(TEXTS[3:]))


def test_of_paraphrases_those_of_training_personas_are_left_out(encoder):
    people = [
        _persona("a", TEXTS[0], TEXTS[2], split="train"),
        _persona("b", TEXTS[1], TEXTS[3], split="val"),
    ]
    base.embed_personas(encoder, people)
    assert read_vectors(PERSONA_VECTORS).ids == ["a", "b"]
    assert read_vectors(PARAPHRASE_VECTORS).ids == ["b"]


def test_no_paraphrase_makes_an_empty_table(encoder):
    base.embed_personas(encoder, [_persona("a", TEXTS[0])])
    empty = read_vectors(PARAPHRASE_VECTORS)
    assert empty.vectors.shape == (0, len(TEXTS))
    assert empty.rows([]).shape == (0, len(TEXTS))


@pytest.fixture
def training(encoder, monkeypatch):
    """Trains on five products of several splits; returns what trunk and head were given."""
    given = {"trunk": [], "head": [], "read": []}
    features = torch.arange(10.0).reshape(2, 5, 1)

    def read(_, products):
        given["read"].append([product["caption"] for product in products])
        return torch.zeros(len(products), 3, 2, 2)

    def frozen(_encoder, _tower, products, read_part):
        for start in (0, 2, 4):
            read_part(slice(start, start + 2))
        return features

    def noted(part):
        return lambda *arguments: given[part].append(arguments[1:-1]) or [0.5]

    monkeypatch.setattr(base, "train_trunk", noted("trunk"))
    monkeypatch.setattr(base, "train_head", noted("head"))
    monkeypatch.setattr(base, "pair_with_captions", lambda captions, texts: captions)
    monkeypatch.setattr(base, "split_tower", lambda visual: SimpleNamespace(head=lambda x: x + 2))
    monkeypatch.setattr(base, "read_pixels", read)
    monkeypatch.setattr(base, "frozen_features", frozen)
    encoder.encode_pixels = lambda pixels: np.zeros((len(pixels), 4), dtype=np.float32)
    splits = ("train", "base", "val", "test", "base")
    products = [{"caption": str(at), "split": split} for at, split in enumerate(splits)]

    def train(pretrained):
        params = load_params(PARAMS_FILE)
        section = params.base.model_copy(update={"pretrained": pretrained, "detail": 0.0})
        params = params.model_copy(update={"base": section})
        texts_ND = np.zeros((5, 4), dtype=np.float32)
        return given, base.train_on_captions(encoder, texts_ND, products, params)

    return train


def test_the_base_model_learns_from_the_splits_train_and_base(training):
    """Kinds that distillation never sees are no secret to the model it starts from."""
    given, made = training(None)
    [(pixels, captions)] = given["trunk"]
    assert (len(pixels), captions) == (3, ["0", "1", "4"])
    [(captions, shown)] = given["head"]
    assert captions == ["0", "1", "4"]
    assert shown.tolist() == [[[0.0], [1.0], [4.0]], [[5.0], [6.0], [9.0]]]
    assert made.images_ND.shape == (5, 4)
    assert made.losses == {"choice": [0.5], "alignment": [0.5]}


def test_of_a_tower_that_has_seen_photographs_the_head_alone_learns(training):
    given, made = training("imagenet")
    assert given["trunk"] == []
    [(captions, shown)] = given["head"]
    assert captions == ["0", "1", "4"]
    assert shown.tolist() == [[[0.0], [1.0], [4.0]], [[5.0], [6.0], [9.0]]]
    np.testing.assert_array_equal(made.images_ND, np.ones((5, 1)))  # features + 2, normalised
    assert made.losses == {"choice": [], "alignment": [0.5]}


def test_its_pictures_are_read_once_and_never_all_at_once(training):
    given, _ = training("imagenet")
    assert given["read"] == [["0", "1"], ["2", "3"], ["4"]]


def test_a_model_that_cannot_be_had_stops_the_stage_with_a_sentence():
    params = load_params(PARAMS_FILE)
    section = params.base.model_copy(update={"model": "ViT-B-32", "pretrained": "laion3b"})
    with pytest.raises(
        SystemExit, match=r"base\.model: got model 'ViT-B-32' with weights 'laion3b'"
    ):
        base.make_encoder(params.model_copy(update={"base": section}))
