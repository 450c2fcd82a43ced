import numpy as np
import pytest

from pipelines.labelling.plan import plan_groups, plan_requests, with_audits
from pipelines.labelling.teachers.protocol import Request
from pipelines.run.params import Label

EDGES, SIZES = (0.7, 0.9, 0.95), (1, 1, 1, 2)


def _label(**changes):
    values = {
        "groups": 120, "band_edges": EDGES, "band_sizes": SIZES, "candidates": 1,
        "audit_fraction": 0.1, "pair_fraction": 0.05,
    }  # fmt: skip
    return Label(**{**values, **changes})


def _scores(personas=20, products=90, seed=0):
    return np.random.default_rng(seed).normal(size=(personas, products))


def _vectors(products=90, seed=0):
    vectors = np.random.default_rng(seed).normal(size=(products, 8))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _plan(seed=0, scores=None, asked=None, vectors=None, **changes):
    scores = _scores() if scores is None else scores
    asked = np.zeros(len(scores), dtype=int) if asked is None else asked
    vectors = _vectors(scores.shape[1]) if vectors is None else vectors
    return plan_groups(_label(**changes), scores, vectors, asked, np.random.default_rng(seed))


def test_personas_that_were_asked_least_come_first():
    asked = np.array([1] * 12 + [0] * 8)

    first = [who for who, _ in _plan(asked=asked, groups=10)]

    assert sorted(first[:8]) == list(range(12, 20))
    assert set(first[8:]) < set(range(12))


def test_a_look_puts_unlike_pictures_into_a_group():
    """Nine kinds of ten equal pictures each: without a look a group often shows a kind twice."""
    vectors = np.repeat(np.eye(9), 10, axis=0)

    def kinds_shown(candidates):
        groups = _plan(vectors=vectors, candidates=candidates)
        return np.mean([len({column // 10 for column in group}) for _, group in groups])

    assert kinds_shown(1) < 4.3
    assert kinds_shown(8) > 4.45


@pytest.mark.parametrize("seed", range(5))
def test_personas_come_up_equally_often(seed):
    groups = _plan(seed)
    people = np.bincount([who for who, _ in groups], minlength=20)
    assert people.max() - people.min() <= 1
    assert len(groups) == 120
    assert all(len(group) == len(set(group)) == 5 for _, group in groups)


def test_too_few_products_for_a_group_are_refused():
    with pytest.raises(SystemExit, match="got 4 items for groups of 5"):
        _plan(scores=_scores(20, 4))


def _planned(count=200, **changes):
    groups = [Request(f"p{n}", tuple(f"{n}{letter}" for letter in "abcde")) for n in range(count)]
    rng = np.random.default_rng(4)
    return with_audits(_label(**changes), plan_requests("c1", groups), rng)


def test_a_share_of_groups_is_asked_in_another_order_and_a_share_of_pairs_in_both():
    planned = _planned()
    kinds = {
        kind: [one for one in planned if one.kind == kind] for kind in ("label", "group", "pair")
    }
    assert [len(kinds[kind]) for kind in ("label", "group", "pair")] == [200, 20, 20]
    labels = {one.id: one.request for one in kinds["label"]}
    for audit in kinds["group"]:
        shown = labels[audit.group_id]
        assert sorted(audit.request.presented) == sorted(shown.presented)
        pairs = zip(audit.request.presented, shown.presented, strict=True)
        assert all(mine != other for mine, other in pairs)
    for one, other in zip(kinds["pair"][::2], kinds["pair"][1::2], strict=True):
        assert one.request.presented == other.request.presented[::-1]
        assert set(one.request.presented) < set(labels[one.group_id].presented)
        assert one.group_id == other.group_id
    assert len({one.id for one in planned}) == len(planned)


def test_an_audit_follows_its_label():
    planned = _planned()
    last = None
    for one in planned:
        last = one.id if one.kind == "label" else last
        assert one.group_id == last


def test_no_audits_where_none_are_wanted():
    assert {one.kind for one in _planned(audit_fraction=0.0, pair_fraction=0.0)} == {"label"}
