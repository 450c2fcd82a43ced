import numpy as np
import pytest

from pipelines.label_plan import plan_groups, plan_requests, with_audits
from pipelines.params import Label
from pipelines.sampling import bands, cover
from pipelines.teachers.protocol import Request

EDGES, SIZES = (0.7, 0.9, 0.95), (1, 1, 1, 2)


def _label(**changes):
    values = {
        "groups": 120, "band_edges": EDGES, "band_sizes": SIZES, "min_coverage": 1,
        "candidates": 1, "audit_fraction": 0.1, "pair_fraction": 0.05,
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

    first = [who for who, _ in _plan(asked=asked, groups=10, min_coverage=0)]

    assert sorted(first[:8]) == list(range(12, 20))
    assert set(first[8:]) < set(range(12))


def test_a_look_puts_unlike_pictures_into_a_group():
    """Nine kinds of ten equal pictures each: without a look a group often shows a kind twice."""
    vectors = np.repeat(np.eye(9), 10, axis=0)

    def kinds_shown(candidates):
        groups = _plan(vectors=vectors, candidates=candidates, min_coverage=0)
        return np.mean([len({column // 10 for column in group}) for _, group in groups])

    assert kinds_shown(1) < 4.3
    assert kinds_shown(8) > 4.45


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("least", [1, 3, 6])
def test_each_persona_and_product_comes_up_often_enough(seed, least):
    groups = _plan(seed, min_coverage=least)
    people = np.bincount([who for who, _ in groups], minlength=20)
    products = np.bincount([column for _, group in groups for column in group], minlength=90)
    assert people.min() >= least
    assert people.max() - people.min() <= 1
    assert products.min() >= least
    assert len(groups) == 120
    assert all(len(group) == len(set(group)) == 5 for _, group in groups)


def test_as_many_places_as_needed_is_enough():
    groups = _plan(scores=_scores(20, 600), min_coverage=1)
    assert sorted(column for _, group in groups for column in group) == list(range(600))


def test_few_exchanges_leave_their_band():
    scores = _scores(40, 200, seed=3)
    rng = np.random.default_rng(0)
    drawn = _plan(scores=scores, groups=200, min_coverage=0)
    covered = cover(drawn, scores, EDGES, 1, rng)
    changed = moved = 0
    for (who, before), (_, after) in zip(drawn, covered, strict=True):
        band_N = bands(scores[who], EDGES)
        for old, new in zip(before, after, strict=True):
            changed += old != new
            moved += band_N[old] != band_N[new]
    missing = 200 - len({column for _, group in drawn for column in group})
    assert 0 < changed == missing
    assert moved == 0


def test_without_coverage_the_groups_stay_as_drawn():
    scores = _scores()
    assert _plan(min_coverage=0) == [
        (who, list(group))
        for who, group in cover(_plan(min_coverage=0), scores, EDGES, 0, np.random.default_rng(9))
    ]


@pytest.mark.parametrize(
    ("products", "changes", "message"),
    [
        (601, {}, r"got 600 places in 120 groups, expected 601 at least, for 601 products 1 times"),
        (4, {}, r"got 4 items for groups of 5"),
    ],
)
def test_what_cannot_be_covered_is_refused(products, changes, message):
    with pytest.raises(SystemExit, match=message):
        _plan(scores=_scores(20, products), **changes)


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
