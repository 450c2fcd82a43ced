"""Splits, made once: by product and by persona, never through what belongs together."""

import logging
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence, Set
from typing import TypeVar

import numpy as np

from pipelines.ingest.near_duplicates import Near
from pipelines.run.params import Split
from retrieval.storage.schema import BASE_SPLIT, SPLITS, PersonaRow, ProductRow

Row = TypeVar("Row", ProductRow, PersonaRow)

_LARGE = 0.1  # share of the products that have to go somewhere: more in one split bends the shares
# What an open row joins where its like lie in several splits: the first of these. A picture more in
# a split that is trained on spoils no test picture that was not spoilt before.
_JOINS = ("train", BASE_SPLIT, "val", "test")

_log = logging.getLogger(__name__)


def assign_splits(
    rows: Sequence[Row],
    contents: Sequence[Hashable],
    shares: Split,
    seed: int,
    least: int = 1,
) -> list[Row]:
    """Give every row that has none a split; rows of equal content get the same.

    Args:
        rows: Their `split` is "" where it is open.
        contents: What each row shows or says; equal contents stay together.
        shares: Shares of the rows, met to within `least` contents per split.
        seed: Decides which content goes where.
        least: Contents that each split with a share gets, where there are enough for all three;
            one each where there are not, but three.

    Returns:
        New rows, in the same order.

    Raises:
        ValueError: The catalogue itself puts equal content into two splits.
    """
    split_of: dict[Hashable, str] = {}
    for row, content in zip(rows, contents, strict=True):
        if row["split"] and split_of.setdefault(content, row["split"]) != row["split"]:
            msg = f"got equal content in splits {split_of[content]} and {row['split']}: {row}"
            raise ValueError(msg)
    order = [content for content in dict.fromkeys(contents) if content not in split_of]
    shuffled = np.random.default_rng(seed).permutation(len(order))
    given = {row["split"] for row in rows}
    sizes = _sizes(len(order), shares, given, least)
    names = [split for split in SPLITS for _ in range(sizes[split])]
    for split, number in zip(names, shuffled, strict=True):
        split_of[order[number]] = split
    return [
        {**row, "split": split_of[content]} for row, content in zip(rows, contents, strict=True)
    ]


def _sizes(count: int, shares: Split, given: Set[str], least: int) -> dict[str, int]:
    """How many contents each split gets; a small catalogue leaves none empty that has a share.

    Args:
        count: Of contents to share out.
        shares: Of the splits.
        given: Splits that have rows already, so that they can do without.
        least: As in `assign_splits`.
    """
    train = min(round(shares.train * count), count)
    val = min(round(shares.val * count), count - train)
    sizes = {"train": train, "val": val, "test": count - train - val}
    floor = least if count >= len(SPLITS) * least else min(1, count // len(SPLITS))
    for split in SPLITS:
        asked = getattr(shares, split) > 0 and split not in given
        while asked and sizes[split] < floor:
            sizes[max(SPLITS, key=lambda name: sizes[name])] -= 1
            sizes[split] += 1
    return sizes


def keep_together(
    rows: Sequence[ProductRow], groups: Sequence[str], near: Iterable[Near]
) -> tuple[list[ProductRow], Sequence[Hashable]]:
    """What `assign_splits` needs to keep groups and near-duplicates in one split.

    Rows belong together if a chain of shared groups and near-duplicates leads from one to the
    other. A row with a split keeps it. An open row takes its group's, else that of the rows it
    belongs to; where those have several, the first of train, base, val and test.

    Args:
        rows: Products; their `split` is "" where it is open.
        groups: Each row's group, "" for none; the rows of a group have one split, or none.
        near: Pairs of near-duplicates.

    Returns:
        Rows with the splits that follow from other rows', and their contents for `assign_splits`.
    """
    pairs = list(zip(rows, groups, strict=True))
    given = {group: row["split"] for row, group in pairs if group and row["split"]}
    splits = [row["split"] or given.get(group, "") for row, group in pairs]
    parts = _parts(groups, near)
    _warn_of_large([part for part, row in zip(parts, rows, strict=True) if not row["split"]])
    found = defaultdict(set)
    for part, split in zip(parts, splits, strict=True):
        found[part].add(split)
    joins = {part: next((name for name in _JOINS if name in found[part]), "") for part in found}
    joined: list[ProductRow] = [
        {**row, "split": split or joins[part]}
        for row, split, part in zip(rows, splits, parts, strict=True)
    ]
    # What has a split is a content of its own: its near-duplicates may have another.
    contents = [("row", place) if joins[part] else part for place, part in enumerate(parts)]
    return joined, contents


def _parts(groups: Sequence[str], near: Iterable[Near]) -> list[int]:
    """For each row the number of the connected part that it lies in."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first: dict[str, int] = {}
    edges = [(first.setdefault(group, place), place) for place, group in enumerate(groups) if group]
    edges += [(pair.first, pair.second) for pair in near]
    ends = np.array(edges, np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(edges)), ends), shape=(len(groups), len(groups)))
    parts: list[int] = connected_components(graph, directed=False)[1].tolist()
    return parts


def _warn_of_large(parts: Sequence[int]) -> None:
    """Warn if one part holds much of the open rows; `parts` has each one's."""
    largest = max(Counter(parts).values(), default=0)
    if largest > max(1, _LARGE * len(parts)):
        _log.warning(
            "%d of %d products without a split belong together by the column group and by"
            " near-duplicates, and go into one split; where they are not alike (a common backdrop"
            " or frame), crop them or give them splits in the column split",
            largest,
            len(parts),
        )
