"""Long tables, cut in two that stand side by side."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

LONGEST_TABLE = 16  # rows

Row = TypeVar("Row")


@dataclass(frozen=True)
class Table(Generic[Row]):
    """A table, or one half of a long one."""

    name: str
    part: int  # 0: whole; 1, 2: halves
    rows: Sequence[Row]


def cut(name: str, rows: Sequence[Row]) -> list[Table[Row]]:
    """The rows, in their order: no table, one or two."""
    if len(rows) <= LONGEST_TABLE:
        return [Table(name, 0, rows)] if rows else []
    half = math.ceil(len(rows) / 2)
    return [Table(name, 1, rows[:half]), Table(name, 2, rows[half:])]
