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


def test_the_base_model_learns_from_the_splits_train_and_base(encoder, monkeypatch):
    """Kinds that distillation never sees are no secret to the model it starts from."""
    trunk, head = [], []
    features = torch.arange(10.0).reshape(2, 5, 1)
    monkeypatch.setattr(base, "train_trunk", lambda *arguments: trunk.append(arguments) or [])
    monkeypatch.setattr(base, "train_head", lambda *arguments: head.append(arguments) or [])
    monkeypatch.setattr(base, "pair_with_captions", lambda pixels, captions, texts: captions)
    monkeypatch.setattr(base, "split_tower", lambda visual: None)
    monkeypatch.setattr(base, "frozen_features", lambda *arguments: features)
    splits = ("train", "base", "val", "test", "base")
    products = [{"caption": str(at), "split": split} for at, split in enumerate(splits)]
    pixels = torch.zeros(5, 3, 2, 2)
    texts_ND = np.zeros((5, 4), dtype=np.float32)
    base.train_on_captions(encoder, pixels, texts_ND, products, load_params(PARAMS_FILE))
    assert [captions for _, captions, _ in trunk] == [["0", "1", "4"]]
    assert [(captions, shown.tolist()) for _, captions, shown, _ in head] == [
        (["0", "1", "4"], [[[0.0], [1.0], [4.0]], [[5.0], [6.0], [9.0]]])
    ]
