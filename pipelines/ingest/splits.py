"""Splits, made once: by product and by persona, never through equal content."""

from collections.abc import Hashable, Sequence
from typing import TypeVar

import numpy as np

from pipelines.run.params import Split
from retrieval.storage.schema import PersonaRow, ProductRow

Row = TypeVar("Row", ProductRow, PersonaRow)


def assign_splits(
    rows: Sequence[Row], contents: Sequence[Hashable], shares: Split, seed: int
) -> list[Row]:
    """Give every row that has none a split; rows of equal content get the same.

    Args:
        rows: Their `split` is "" where it is open.
        contents: What each row shows or says; equal contents stay together.
        shares: Shares of the rows, met to within one content per split.
        seed: Decides which content goes where.

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
    train_end = round(shares.train * len(order))
    val_end = train_end + round(shares.val * len(order))
    for place, number in enumerate(shuffled):
        split = "train" if place < train_end else "val" if place < val_end else "test"
        split_of[order[number]] = split
    return [
        {**row, "split": split_of[content]} for row, content in zip(rows, contents, strict=True)
    ]
