"""Teaching from photos: what is looked at, and how alike pictures of anything are."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from retrieval.concepts import teaching
from retrieval.concepts.learning import Settings
from retrieval.concepts.teaching import Lesson, teach, unrelated_cosine


def _lesson(photos):
    start = SimpleNamespace(name="fido")
    return Lesson(start, tuple(Image.new("RGB", (16, 16)) for _ in range(photos)))


def test_the_mean_cosine_of_different_pictures():
    unit = np.random.default_rng(0).normal(size=(7, 5))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    pairs = [unit[i] @ unit[j] for i in range(7) for j in range(7) if i != j]
    assert unrelated_cosine(unit.astype(np.float32)) == pytest.approx(np.mean(pairs), abs=1e-6)
    assert unrelated_cosine(unit[:1]) == 0.0


@pytest.mark.parametrize(("pairs", "expected"), [(0, [5, 2]), (1, [6, 3]), (2, [7, 3])])
def test_pictures_of_two_photos_are_learned_from_besides(monkeypatch, pairs, expected):
    taught = []
    monkeypatch.setattr(
        teaching,
        "learn_many",
        lambda tower, starts, photos, settings: taught.extend(photos),
    )
    encoder = SimpleNamespace(encode_images=list)
    lessons = [_lesson(5), _lesson(2)]
    teach(SimpleNamespace(encoder=encoder), lessons, Settings(1, 0.1, 0.1), pairs)
    assert [len(pictures) for pictures in taught] == expected
    assert taught[0][:5] == list(lessons[0].photos)
