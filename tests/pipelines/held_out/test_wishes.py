import numpy as np
import pytest

from pipelines.held_out.winners import HeldOut
from pipelines.held_out.wishes import QUOTED, group_by_text, named_wishes


def _held_out(texts, facets=None):
    personas = [
        {"persona_id": f"u{number}", "text": text, "facets": facets or {}}
        for number, text in enumerate(texts)
    ]
    return HeldOut(personas, [], np.zeros(len(texts), dtype=int))


@pytest.fixture
def vectors(monkeypatch):
    """What each text's vector is: the name before its number says which direction."""
    rng = np.random.default_rng(0)
    axes = {}

    def read(self):
        rows = []
        for text in self.texts:
            axis = axes.setdefault(text.split()[0], rng.normal(size=32))
            row = axis / np.linalg.norm(axis) + 0.4 + 0.05 * rng.normal(size=32)
            rows.append(row / np.linalg.norm(row))
        return np.array(rows)

    monkeypatch.setattr(HeldOut, "persona_vectors", read)


def test_texts_that_wish_alike_are_a_cluster_named_by_one_of_them(vectors):
    texts = [f"{name} {number}" for name in ("tea", "yoga", "golf") for number in range(4)]
    groups = group_by_text(_held_out([*texts, "alone 0"]))
    assert groups[-1] == ""  # like no other
    for start in (0, 4, 8):
        [name] = set(groups[start : start + 4])
        assert name in texts[start : start + 4]


def test_facets_that_say_it_are_enough(vectors):
    assert group_by_text(_held_out(["tea 0", "tea 1"], {"interest": "tea"})) == ["", ""]


@pytest.mark.parametrize("count", [0, 1])
def test_nobody_and_one_are_no_cluster(vectors, count):
    assert group_by_text(_held_out(["tea 0"] * count)) == [""] * count


def test_a_long_text_is_quoted_in_part(vectors):
    texts = ["tea " + "x" * 200] * 2 + ["yoga 0", "golf 0", "opera 0"]
    groups = group_by_text(_held_out(texts))
    assert len(groups[0]) == QUOTED
    assert groups[0].endswith("…")


def test_wishes_are_interests_or_else_the_situation():
    both = {"interest": "tea", "second interest": "yoga", "situation": "picnic"}
    assert named_wishes({"facets": both}) == ["tea", "yoga"]
    assert named_wishes({"facets": {"situation": "picnic", "age": "70"}}) == ["picnic"]
    assert named_wishes({"facets": {"age": "70"}}) == []
