from collections import Counter, defaultdict

import numpy as np
import pytest

from pipelines.ingest import wishes
from pipelines.ingest.wishes import QUOTED, hold_out_wishes, name_by_text, split_personas
from pipelines.run.code import ROOT
from pipelines.run.params import Split, WishShares, load_params
from retrieval.slices import named_wishes

THIRD = WishShares(val=1 / 3, test=1 / 3)


def _personas(texts, facets=None):
    return [
        {"persona_id": f"u{number}", "text": text, "facets": dict(facets or {}), "split": ""}
        for number, text in enumerate(texts)
    ]


def _wishing(*groups):
    """Personas with facets of their own."""
    return [row for facets in groups for row in _personas(["-"], facets)]


def _read(texts):
    """What each text's vector is: the name before its number says which direction."""
    rng = np.random.default_rng(0)
    axes, rows = {}, []
    for text in texts:
        axis = axes.setdefault(text.split()[0], rng.normal(size=32))
        row = axis / np.linalg.norm(axis) + 0.4 + 0.05 * rng.normal(size=32)
        rows.append(row / np.linalg.norm(row))
    return np.array(rows)


def _groups(texts, facets=None):
    named = name_by_text(_personas(texts, facets), _read)
    return [row["facets"].get("wishes", "") for row in named]


@pytest.mark.parametrize("clustered", [100, 9], ids=["all", "the rest joins the nearest"])
def test_texts_that_wish_alike_are_a_cluster_named_by_one_of_them(monkeypatch, clustered):
    monkeypatch.setattr(wishes, "CLUSTERED", clustered)
    texts = [f"{name} {number}" for number in range(4) for name in ("tea", "yoga", "golf")]
    groups = _groups([*texts, "alone 0"])
    assert groups[-1] == ""  # like no other
    for start in range(3):
        [name] = set(groups[start:-1:3])
        assert name in texts[start::3]


def test_facets_that_say_it_are_enough():
    assert _groups(["tea 0", "tea 1"], {"interest": "tea"}) == ["", ""]


@pytest.mark.parametrize("count", [0, 1])
def test_nobody_and_one_are_no_cluster(count):
    assert _groups(["tea 0"] * count) == [""] * count


def test_a_long_text_is_quoted_in_part():
    groups = _groups(["tea " + "x" * 200] * 2 + ["yoga 0", "golf 0", "opera 0"])
    assert len(groups[0]) == QUOTED
    assert groups[0].endswith("…")


def test_a_third_of_the_wishes_is_validations_alone_and_a_third_the_tests():
    people = _wishing(*({"interest": f"i{number % 9}"} for number in range(90)))
    splits = defaultdict(set)
    for row in hold_out_wishes(people, THIRD, seed=0):
        splits[row["facets"]["interest"]].add(row["split"])
    assert Counter(map(frozenset, splits.values())) == {
        frozenset({name}): 3 for name in ("val", "test", "")
    }


def test_other_seeds_hold_out_other_wishes():
    people = _wishing(*({"interest": f"i{number}"} for number in range(9)))
    found = {
        tuple(row["split"] for row in hold_out_wishes(people, THIRD, seed)) for seed in range(5)
    }
    assert len(found) > 1


def test_who_has_a_held_out_wish_beside_another_does_not_train():
    people = _wishing(
        *({"interest": f"i{number}"} for number in range(6)),
        *({"interest": f"i{a}", "second interest": f"i{b}"} for a in range(6) for b in range(a)),
    )
    held = {
        row["facets"]["interest"]: row["split"]
        for row in hold_out_wishes(people, THIRD, seed=1)
        if "second interest" not in row["facets"]
    }
    for row in hold_out_wishes(people, THIRD, seed=1):
        both = {held[wish] for wish in named_wishes(row["facets"])}
        assert row["split"] == ("test" if "test" in both else "val" if "val" in both else "")


def test_groups_that_the_personas_own_splits_hold_out_count():
    people = _wishing(*({"interest": f"i{number}"} for number in range(6)))
    for row in people[:2]:
        row["split"] = "test"
    found = hold_out_wishes(people, WishShares(val=0.0, test=1 / 3), seed=0)
    assert [row["split"] for row in found] == ["test", "test", "", "", "", ""]


def test_two_groups_stay_for_training():
    people = _wishing(*({"interest": f"i{number}"} for number in range(3)))
    found = hold_out_wishes(people, WishShares(val=1.0, test=1.0), seed=0)
    assert sorted(row["split"] for row in found) == ["", "", "val"]


def test_the_others_are_split_by_share():
    people = _wishing(*({"interest": f"i{number % 10}"} for number in range(200)))
    for number, row in enumerate(people):
        row["text"] = f"text {number}"
    settings = load_params(ROOT / "params.yaml").catalog.model_copy(
        update={
            "split": Split(train=0.5, val=0.25, test=0.25),
            "held_out_wishes": WishShares(val=0.2, test=0.2),
        }
    )
    found = split_personas(people, settings, 0, _read)
    splits = defaultdict(Counter)
    for row in found:
        splits[row["facets"]["interest"]][row["split"]] += 1
    known = [counts for counts in splits.values() if counts["train"]]
    assert len(known) == 6
    assert sum(known, Counter()) == {"train": 60, "val": 30, "test": 30}
