"""What the studio keeps from training: interests, and kinds that other interests want."""

from pathlib import Path

import pytest
import yaml

from pipelines.run.params import Params
from pipelines.studio.catalogue import keep_kinds_unseen, unseen_interests, unseen_kinds
from pipelines.studio.interests import all_interests
from pipelines.studio.vocabulary import KINDS

PARAMS = yaml.safe_load((Path(__file__).parents[3] / "params.yaml").read_text("utf-8"))


def _params(seed=0, **catalog):
    return Params.model_validate(
        {**PARAMS, "seed": seed, "catalog": {**PARAMS["catalog"], **catalog}}
    )


@pytest.mark.parametrize("seed", range(10))
def test_unseen_kinds_are_wanted_most_or_second_most_by_a_seen_interest(seed):
    params = _params(seed)
    kinds, interests = unseen_kinds(params), unseen_interests(params)
    assert len(kinds) == params.catalog.unseen_kinds >= 10
    assert len(interests) == params.catalog.unseen_interests >= 10
    seen = [interest.kinds for interest in all_interests() if interest.name not in interests]
    for kind in kinds:
        assert any(
            sum(weight > wants[kind] for weight in wants.values()) < 2
            for wants in seen
            if kind in wants
        )


def test_they_follow_from_the_seed():
    assert unseen_kinds(_params(1)) == unseen_kinds(_params(1)) != unseen_kinds(_params(2))
    assert unseen_kinds(_params(unseen_kinds=0)) == frozenset()


def test_products_of_unseen_kinds_are_for_the_base_model_and_the_test():
    rows = [
        {"split": split, "attributes": {"kind": kind.noun}}
        for kind in KINDS[:2]
        for split in ("train", "val", "test", "base")
    ]
    kept = keep_kinds_unseen(rows, frozenset([KINDS[0].noun]))
    assert [row["split"] for row in kept] == [
        "base", "base", "test", "base", "train", "val", "test", "base"
    ]  # fmt: skip
