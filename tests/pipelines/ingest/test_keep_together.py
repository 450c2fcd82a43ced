"""Groups and near-duplicates stay in one split."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from pipelines.ingest.near_duplicates import Near
from pipelines.ingest.splits import assign_splits, keep_together
from pipelines.run.params import Split

SHARES = Split(train=0.6, val=0.2, test=0.2)


def splits(
    given: Sequence[str], groups: str, near: Sequence[tuple[int, int]] = (), seed: int = 0
) -> list[str]:
    """The splits of products whose table gives `given`; a letter a group, "." for none."""
    rows: list[Any] = [{"split": split} for split in given]
    letters = ["" if letter == "." else letter for letter in groups]
    joined, contents = keep_together(rows, letters, [Near(*pair, 0) for pair in near])
    assert [row["split"] for row in rows] == list(given)  # the caller's rows stay as they are
    return [row["split"] for row in assign_splits(joined, contents, SHARES, seed)]


@pytest.mark.parametrize("seed", range(40))
def test_what_a_chain_leads_to_stays_together(seed: int) -> None:
    random = np.random.default_rng(seed)
    groups = "".join(random.choice(list("abcdef...................."), 60))
    near = [tuple(sorted(pair)) for pair in random.integers(0, 60, (10, 2)) if pair[0] != pair[1]]
    given = random.choice(["", "", "", "", "train", "test"], 60).tolist() if seed % 2 else [""] * 60
    first = {letter: groups.index(letter) for letter in set(groups) - {"."}}
    for place, letter in enumerate(groups):  # the rows of a group have one split in the table
        given[place] = given[first.get(letter, place)]
    got = splits(given, groups, near, seed)
    assert set(got) <= {"train", "val", "test"}
    assert all(one == other for one, other in zip(got, given, strict=True) if other)
    for place, letter in enumerate(groups):
        assert got[place] == got[first.get(letter, place)]
    if not any(given):
        assert all(got[one] == got[other] for one, other in near)


def test_without_any_bond_splits_are_those_of_single_rows() -> None:
    rows: list[Any] = [{"split": ""}] * 50
    alone = [row["split"] for row in assign_splits(rows, range(50), SHARES, 3)]
    assert splits([""] * 50, "." * 50, seed=3) == alone


@pytest.mark.parametrize("seed", range(5))
def test_an_open_row_joins_the_split_of_its_like(seed: int) -> None:
    assert splits(["", "test", ""], "a.a", [(0, 1)], seed) == ["test"] * 3
    assert splits(["base", "", ""], "...", [(0, 1), (1, 2)], seed) == ["base"] * 3


@pytest.mark.parametrize(
    ("known", "joined"),
    [
        (("test", "train"), "train"),
        (("test", "val"), "val"),
        (("base", "val"), "base"),
        (("base", "train"), "train"),
    ],
)
def test_near_duplicates_keep_the_splits_that_the_table_gives(
    known: tuple[str, str], joined: str
) -> None:
    assert splits([known[0], "", known[1]], "...", [(0, 1), (1, 2)]) == [known[0], joined, known[1]]


def test_a_group_comes_before_a_near_duplicate() -> None:
    assert splits(["test", "", "train"], "aa.", [(1, 2)]) == ["test", "test", "train"]


def test_much_that_stays_together_is_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    splits([""] * 30, "a" * 3 + "." * 27)
    splits([""], ".")
    splits(["train"] * 4, "aaaa")
    assert caplog.text == ""
    splits([""] * 30, "a" * 3 + "." * 27, [(2, 3)])
    assert "4 of 30 products without a split belong together" in caplog.text


def test_no_rows() -> None:
    assert keep_together([], [], []) == ([], [])
