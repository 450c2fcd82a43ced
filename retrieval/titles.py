"""Which texts name a product by its title."""

import re
from collections.abc import Iterable

_WORD = re.compile(r"\w+")
_SHORTEST = 3  # letters of a title of one word


class Titles:
    """The titles of a catalogue, to be looked for in texts: whole words, in whatever case."""

    def __init__(self, titles: Iterable[str]) -> None:
        """Take the titles; those of one short word do not count."""
        found = {_words(title) for title in titles}
        self._titles = {
            title for title in found if len(title) > 1 or len("".join(title)) >= _SHORTEST
        }
        self._lengths = sorted({len(title) for title in self._titles})

    def named_in(self, text: str) -> str:
        """The first title that the text names, in lower case; "" for none."""
        words = _words(text)
        for length in self._lengths:
            for start in range(len(words) - length + 1):
                if words[start : start + length] in self._titles:
                    return " ".join(words[start : start + length])
        return ""


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(text.casefold()))
