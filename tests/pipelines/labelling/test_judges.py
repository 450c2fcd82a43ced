"""Whom a budget affords, and how sure the gain will be."""

import math

import pytest

from pipelines.labelling.judges import (
    RESERVE,
    SPLITS,
    afforded_judges,
    all_judges,
    describe,
    expected_half_width,
)
from pipelines.labelling.knockout import Entry, Rules, hold
from pipelines.run.params import load_params
from tests.pipelines.labelling.scripted import Scripted, noisy

PRODUCTS = [{"product_id": str(n), "split": ("val", "test")[n > 99]} for n in range(600)]


def _personas(count, kinds=30):
    return [
        {
            "persona_id": f"u{n}",
            "split": SPLITS[n % 4 > 0],
            "facets": {"interest": f"i{n * kinds // count}"} if kinds else {},
        }
        for n in range(count)
    ]


def _params(**changes):
    params = load_params()
    settings = params.tournaments.model_copy(update=changes)
    return params.model_copy(update={"tournaments": settings})


def _afforded(personas, max_calls):
    everybody = all_judges(_params(), personas, PRODUCTS)
    return afforded_judges(_params(), everybody, PRODUCTS, max_calls), everybody


def test_all_of_them_in_their_order_where_the_calls_are_enough():
    personas = _personas(40)
    chosen, everybody = _afforded(personas, math.inf)
    assert chosen == everybody
    assert chosen.personas["val"] == personas[::4]
    limited = all_judges(_params(max_val_personas=2, max_test_personas=3), personas, PRODUCTS)
    assert [len(limited.personas[split]) for split in SPLITS] == [2, 3]


@pytest.mark.parametrize("max_calls", [300, 1000, 5000, 20_000])
def test_a_budget_is_spent_on_as_many_as_it_affords(max_calls):
    """A quarter on validation; none of it is left that would pay for one more."""
    chosen, _ = _afforded(_personas(400), max_calls)
    alone = {
        split: _afforded(_personas(400), math.inf)[1].calls / 400 for split in SPLITS
    }  # an upper bound for the dearer of the two
    assert chosen.calls <= (1 - RESERVE) * max_calls
    assert chosen.calls > (1 - RESERVE) * max_calls - 2 * max(alone.values())
    only_val = all_judges(_params(), chosen.personas["val"], PRODUCTS).calls
    assert only_val <= 0.25 * max_calls + 2 * max(alone.values())


def test_a_larger_budget_goes_on_where_a_smaller_one_ended():
    small, large = (_afforded(_personas(400), calls)[0] for calls in (2000, 9000))
    for split in SPLITS:
        ids = [persona["persona_id"] for persona in small.personas[split]]
        more = [persona["persona_id"] for persona in large.personas[split]]
        assert more[: len(ids)] == ids
        assert len(more) > len(ids)


def test_who_wishes_for_something_else_comes_first():
    chosen, _ = _afforded(_personas(400, kinds=12), 3000)
    wishes = [persona["facets"]["interest"] for persona in chosen.personas["test"]]
    assert len(wishes) > 12
    assert len(set(wishes[:12])) == 12
    counts = [wishes.count(wish) for wish in set(wishes)]
    assert max(counts) - min(counts) <= 1


def test_what_one_split_cannot_use_goes_to_the_other():
    personas = _personas(400)
    few_tests = [p for p in personas if p["split"] == "val"] + [
        p for p in personas if p["split"] == "test"
    ][:3]
    chosen, _ = _afforded(few_tests, 3000)
    assert len(chosen.personas["test"]) == 3
    assert chosen.calls > 0.9 * (1 - RESERVE) * 3000


def test_too_few_calls_are_refused_with_the_least_that_would_do():
    with pytest.raises(SystemExit, match=r"got 50 calls for tournaments, expected (\d+) at") as got:
        _afforded(_personas(40), 50)
    least = int(str(got.value).split("expected ")[1].split()[0])
    chosen, _ = _afforded(_personas(40), least)
    assert [len(chosen.personas[split]) for split in SPLITS] == [1, 1]
    with pytest.raises(SystemExit):
        _afforded(_personas(40), least - 1)


@pytest.mark.parametrize(("size", "products"), [(2, 60), (5, 160), (12, 60), (12, 500)])
def test_the_calls_are_about_what_a_noisy_teacher_takes(size, products):
    params = _params(group_size=size, max_val_personas=1, held_out_groups=0)
    table = [{"product_id": str(n), "split": "val"} for n in range(products)]
    judges = all_judges(params, _personas(40), table)
    entries = [Entry(f"u{n}", [str(n) for n in range(products)], n) for n in range(10)]
    held = hold(Scripted(noisy), entries, Rules(size, 10))
    taken = sum(outcome.calls for outcome in held) / 10
    assert 0.6 < judges.calls / taken < 1.6


def test_half_the_interval_by_hand():
    assert expected_half_width(25, 625) == pytest.approx(1.96 * math.sqrt(9 + 1))
    # 20 kinds of wishes never tell more than 1.96 * 15 / sqrt(20), however many personas there are.
    assert expected_half_width(20, 10**9) == pytest.approx(6.574, abs=0.001)


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        (25, "about ±11 points: 1.96 √(15² / 25 kinds of wishes + 25² / 30)"),
        (0, "about ±10 points (more where wishes are alike: no facets say so)"),
        (9, "too few for an interval of the gain: 9 kinds of wishes, it takes 10"),
    ],
)
def test_it_is_said_how_sure_the_gain_will_be(kinds, words):
    personas = [persona | {"split": "test"} for persona in _personas(30, kinds)]
    judges = all_judges(_params(), personas, PRODUCTS)
    said = describe(judges, judges)
    assert "0 of 0 val personas, 30 of 30 test personas" in said
    assert words in said
    assert "all would take" not in said
    fewer = afforded_judges(_params(), judges, PRODUCTS, 1000)
    assert f"(all would take {judges.calls:,} calls)" in describe(fewer, judges)
