import numpy as np
import pytest

from pipelines.run.paths import PRODUCTS_FILE, product_vectors
from pipelines.subjects import trials
from pipelines.subjects.trials import Captions, validation_captions
from retrieval.storage.schema import PRODUCTS, write_rows
from retrieval.storage.vectors import write_vectors


class Tower:
    """Prepares nothing."""

    prefix = staticmethod(tuple)


@pytest.fixture
def catalogue(tmp_path, monkeypatch):
    """Writes products: (id, split, caption) each, with the axes as vectors."""
    monkeypatch.chdir(tmp_path)

    def write(*rows):
        empty = {"title": "", "category": "", "price": 1.0, "attributes": {}}
        pictures = {"image": "", "image_sha256": ""}
        write_rows(
            PRODUCTS_FILE,
            [
                {"product_id": name, "split": split, "caption": caption, **empty, **pictures}
                for name, split, caption in rows
            ],
            PRODUCTS,
        )
        write_vectors(
            product_vectors("student"),
            [row[0] for row in rows],
            np.eye(len(rows), dtype=np.float32),
        )
        return validation_captions(Tower())

    return write


def test_validation_captions_are_searched_among_as_many_products_as_the_test_split_has(catalogue):
    found = catalogue(
        ("t1", "test", "a"), ("a", "train", "red"), ("v1", "val", "blue"), ("t2", "test", "a"),
        ("b", "train", "blue"), ("v2", "val", "green"), ("t3", "test", "a"), ("c", "train", "d"),
        ("t4", "test", "a"),
    )  # fmt: skip
    assert found.prefix_M == ("blue", "green")
    # The pool: v1, v2, a, b. An equal caption is a hit.
    assert found.hits_MN.tolist() == [[True, False, False, True], [False, True, False, False]]
    assert found.images_ND.argmax(axis=1).tolist() == [2, 5, 1, 4]


def test_without_a_validation_split_training_captions_serve(catalogue):
    found = catalogue(("a", "train", "red"), ("b", "train", "blue"), ("t", "test", "x"))
    assert found.prefix_M == ("red", "blue")
    assert found.hits_MN.shape == (2, 2)


def test_recall_is_averaged_over_concepts(monkeypatch):
    count = 30

    def finish(tower, prefix, concepts):
        return np.eye(count) * (-1 if concepts == ["bad"] else 1)  # its own last, or first

    monkeypatch.setattr(trials, "finish_with", finish)
    captions = Captions((), np.eye(count), np.eye(count, dtype=bool))
    assert captions.recall(None, ["good", "bad"]) == 0.5
    assert captions.recall(None, ["good"]) == 1.0
