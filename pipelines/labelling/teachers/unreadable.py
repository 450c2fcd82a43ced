"""Replies that cannot be read: how many there were, and when to ask no more.

A server that answers everything in a form that nobody can read would be asked, and paid, for days.
"""

import math
from dataclasses import dataclass

FIRST_QUESTIONS = 5  # asked before any reply was read; twice each, as every question
IN_A_ROW = 100  # unreadable replies, one after the other, after some that could be read
_SHOWN = 200  # characters of a reply that a message quotes


@dataclass
class Unreadable:
    """Counts replies."""

    any_read: bool = False  # of those that a run uses, an earlier run's included
    count: int = 0  # in this run
    in_a_row: int = 0
    _last: str = ""

    def note_read(self) -> None:
        """One could be read."""
        self.any_read, self.in_a_row = True, 0

    def note(self, raw: str, complaint: str) -> None:
        """One could not, for what `complaint` says."""
        self.count += 1
        self.in_a_row += 1
        words = " ".join(raw.split())
        quote = f'"{words[:_SHOWN]}{" ..." if len(words) > _SHOWN else ""}"'
        self._last = f"{complaint} ({quote})" if words else complaint

    @property
    def room(self) -> float:
        """How many questions may be under way: few before any reply was read."""
        if self.any_read:
            return math.inf
        return min(FIRST_QUESTIONS, 2 * FIRST_QUESTIONS - self.in_a_row)

    @property
    def is_hopeless(self) -> bool:
        """Whether the next one, too, will hardly be read."""
        return self.in_a_row >= (IN_A_ROW if self.any_read else 2 * FIRST_QUESTIONS)

    @property
    def verdict(self) -> str:
        """What a hopeless run ends with."""
        which = "last" if self.any_read else "first"
        return f"none of the {which} {self.in_a_row} replies could be read; {self._example}"

    def __str__(self) -> str:
        """How many, with an example."""
        return f"{self.count} replies could not be read; {self._example}"

    @property
    def _example(self) -> str:
        return f"the last of them: {self._last}"
