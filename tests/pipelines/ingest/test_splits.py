from collections import Counter

import pytest

from pipelines.ingest.splits import assign_splits
from pipelines.run.params import Split

SHARES = Split(train=0.68, val=0.10, test=0.22)


def _rows(count):
    return [{"id": number, "split": ""} for number in range(count)]


def _splits(rows, contents, shares=SHARES, seed=0):
    return [row["split"] for row in assign_splits(rows, contents, shares, seed)]


@pytest.mark.parametrize("count", [1, 2, 10, 99, 1000])
@pytest.mark.parametrize(
    "shares",
    [SHARES, Split(train=1 / 3, val=1 / 3, test=1 / 3), Split(train=0.5, val=0.5, test=0)],
)
def test_shares_are_met_to_within_one(count, shares):
    counts = Counter(_splits(_rows(count), range(count), shares))
    assert counts.total() == count
    for name in ("train", "val", "test"):
        assert abs(counts[name] - getattr(shares, name) * count) <= 1


@pytest.mark.parametrize("count", [*range(3, 40), 60])
@pytest.mark.parametrize("shares", [(0.86, 0.04, 0.10), (0.98, 0.01, 0.01), (0.1, 0.1, 0.8)])
@pytest.mark.parametrize("least", [1, 2])
def test_of_three_or_more_no_split_with_a_share_stays_empty(count, shares, least):
    split = Split(**dict(zip(("train", "val", "test"), shares, strict=True)))
    rows = assign_splits(_rows(count), range(count), split, 0, least)
    counts = Counter(row["split"] for row in rows)
    assert counts.total() == count
    assert min(counts[name] for name in ("train", "val", "test")) >= min(least, count // 3, 2)


def test_a_split_without_a_share_or_with_rows_of_its_own_gets_none_by_force():
    assert Counter(_splits(_rows(5), range(5), Split(train=1, val=0, test=0))) == {"train": 5}
    rows = [{"split": "test"}, *({"split": ""} for _ in range(5))]
    counts = Counter(_splits(rows, range(6), Split(train=0.96, val=0.02, test=0.02)))
    assert counts == {"train": 4, "val": 1, "test": 1}


def test_a_worked_example():
    assert Counter(_splits(_rows(50), range(50))) == {"train": 34, "val": 5, "test": 11}


@pytest.mark.parametrize("seed", range(5))
def test_equal_contents_stay_together(seed):
    contents = [number % 30 for number in range(90)]
    splits = _splits(_rows(90), contents, seed=seed)
    assert all(splits[number] == splits[number % 30] for number in range(90))
    # The shares are met by content: 68, 10 and 22 % of 30.
    assert Counter(splits[:30]) == {"train": 20, "val": 3, "test": 7}


def test_rows_stay_in_order_and_the_callers_rows_as_they_are():
    rows = _rows(20)
    got = assign_splits(rows, range(20), SHARES, 0)
    assert [row["id"] for row in got] == list(range(20))
    assert all(row["split"] == "" for row in rows)


def test_splits_follow_from_the_seed_alone():
    first, again, other = (_splits(_rows(200), range(200), seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_which_row_comes_first_does_not_decide_its_split():
    ends = Counter(_splits(_rows(10), range(10), seed=seed)[0] for seed in range(300))
    assert ends["train"] / 300 == pytest.approx(0.7, abs=0.08)  # 7 of 10
    assert ends["test"] / 300 == pytest.approx(0.2, abs=0.08)


def test_the_users_own_splits_are_kept_and_spread_to_equal_contents():
    rows = [{"split": "test"}, {"split": ""}, {"split": ""}, {"split": "train"}]
    splits = _splits(rows, ["a", "b", "a", "c"], Split(train=0, val=1, test=0))
    assert splits == ["test", "val", "test", "train"]


def test_equal_content_that_the_user_puts_into_two_splits_is_refused():
    rows = [{"split": "test"}, {"split": "train"}]
    with pytest.raises(ValueError, match="equal content in splits test and train"):
        assign_splits(rows, ["a", "a"], SHARES, 0)


def test_no_rows():
    assert assign_splits([], [], SHARES, 0) == []


def test_every_row_needs_its_content():
    with pytest.raises(ValueError, match="zip"):
        assign_splits(_rows(2), ["a"], SHARES, 0)
