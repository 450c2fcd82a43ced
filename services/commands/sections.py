"""Sections of text as verbs print them: a name, and what is said of it, within a line's width."""

import textwrap
from collections.abc import Mapping, Sequence

WIDTH = 100
KEY = 12  # letters of the column of names


def field(key: str, text: str) -> list[str]:
    """A name and what is said of it, broken into lines below each other."""
    first = f"  {key.ljust(KEY)} "
    wrapped = textwrap.wrap(text, WIDTH - len(first), break_on_hyphens=False) or [""]
    indent = " " * (KEY + 3)
    return [(first + wrapped[0]).rstrip(), *(indent + line for line in wrapped[1:])]


def paragraph(text: str) -> list[str]:
    """Some words without a name."""
    return textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="  ")


def in_words(counts: Mapping[str, int], nothing: str = "none") -> str:
    """The sum, and its parts."""
    if not counts:
        return nothing
    parts = ", ".join(f"{part} {count:,}" for part, count in counts.items())
    return f"{sum(counts.values()):,} ({parts})"


def some(names: Sequence[str], most: int = 3) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def cut(text: str, width: int) -> str:
    """A text on one line of so many letters."""
    text = " ".join(text.split())
    return text if len(text) <= width else f"{text[: width - 1]}…"
