"""What a model wrote of interests and wishes, read with distrust: what is no wish is counted."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.labelling.teachers.replies import FENCE, without_thoughts
from pipelines.run.params import Personas
from pipelines.tables.values import as_text, fold
from pipelines.writing.languages import latin_share
from pipelines.writing.texts import misfit
from retrieval.storage.schema import PersonaRow
from retrieval.titles import Titles

# What a wish may say of itself, beside its interest: few values each, so that they make groups.
FACETS: dict[str, tuple[str, ...]] = {
    "relation": (
        "myself", "partner", "parent", "child", "grandparent", "sibling", "friend", "colleague",
        "neighbour", "somebody else",
    ),
    "occasion": (
        "birthday", "wedding", "new home", "new baby", "holidays", "travel", "work", "party",
        "thank you", "everyday", "none",
    ),
    "budget": ("small", "middling", "large", "open"),
}  # fmt: skip
_LONGEST_INTEREST = 8  # words
_SHOWN = 0.5  # share of Latin letters below which MiniLM tells texts apart no more


@dataclass(frozen=True)
class Wish:
    """A wish that can be a persona."""

    interest: str
    text: str
    paraphrase: str
    facets: dict[str, str]


def read_interests(raw: str) -> tuple[list[str] | None, str]:
    """The interests that a reply names, or None and a complaint."""
    said, complaint = _listed(raw, "interests")
    names = [_line(name) for name in said or []]
    found: dict[str, str] = {}
    for name in names:
        if 0 < len(name.split()) <= _LONGEST_INTEREST:
            found.setdefault(fold(name), name)
    if said is not None and not found:
        complaint = f"it names no interest in {_LONGEST_INTEREST} words or fewer"
    return list(found.values()) or None, complaint


def read_wishes(raw: str) -> tuple[list[Any] | None, str]:
    """The entries of a reply, as yet unchecked, or None and a complaint."""
    said, complaint = _listed(raw, "wishes")
    if said is not None and not any(isinstance(entry, dict) for entry in said):
        return None, 'it has no wish with a "text"'
    return said, complaint


def sift(
    entries: Iterable[tuple[str, Any]], settings: Personas, titles: Titles, known: Iterable[str]
) -> tuple[list[Wish], Counter[str]]:
    """The entries that can be personas, and how many are not, by their fault.

    Args:
        entries: Interests, each with what a model wrote for it.
        settings: Section `personas`: words and language.
        titles: Of the catalogue's products, which no wish may name.
        known: Texts that there are already.
    """
    counts: Counter[str] = Counter()
    seen = {fold(text) for text in known}
    wishes = []
    for interest, entry in entries:
        counts["written"] += 1
        wish = _wish(interest, entry)
        fault = _fault(wish, settings, titles) if wish else "malformed"
        if wish and not fault and fold(wish.text) in seen:
            fault = "repeated"
        if wish and not fault:
            seen.add(fold(wish.text))
            wishes.append(wish)
        else:
            counts[fault] += 1
    return wishes, counts


def unlike(texts: Sequence[str], vectors_ND: NDArray[np.float32], max_cosine: float) -> list[int]:
    """The places of texts that are no near-duplicate of an earlier one that is kept.

    Texts in scripts that the encoder does not know all look alike to it, and are kept.

    Args:
        texts: What the vectors stand for.
        vectors_ND: Unit vectors.
        max_cosine: A text that is nearer than this to one before it is left out.
    """
    legible = [latin_share(text) >= _SHOWN for text in texts]
    kept: list[int] = []
    compared: list[int] = []
    for place, vector_D in enumerate(vectors_ND):
        if not legible[place]:
            kept.append(place)
        elif not compared or float((vectors_ND[compared] @ vector_D).max()) <= max_cosine:
            kept.append(place)
            compared.append(place)
    return kept


def spread(wishes: Sequence[Wish], count: int) -> list[Wish]:
    """At most `count` wishes, from all interests in turn as far as they reach."""
    turns: Counter[str] = Counter()
    keyed = []
    for place, wish in enumerate(wishes):
        keyed.append((turns[wish.interest], place))
        turns[wish.interest] += 1
    return [wishes[place] for place in sorted(place for _, place in sorted(keyed)[:count])]


def persona_rows(wishes: Sequence[Wish]) -> list[PersonaRow]:
    """Wishes as personas, as yet without a split; their ids number them."""
    return [
        {
            "persona_id": f"written-{number:05d}",
            "text": wish.text,
            "split": "",
            "wants": {},
            "paraphrase": wish.paraphrase,
            "facets": {"interest": wish.interest, **wish.facets},
        }
        for number, wish in enumerate(wishes)
    ]


def _wish(interest: str, entry: Any) -> Wish | None:
    if not isinstance(entry, dict):
        return None
    text, paraphrase = _line(entry.get("text")), _line(entry.get("paraphrase"))
    said = {name: _line(entry.get(name)).casefold() for name in FACETS}
    facets = {name: value for name, value in said.items() if value in FACETS[name]}
    return Wish(interest, text, paraphrase, facets) if text else None


def _fault(wish: Wish, settings: Personas, titles: Titles) -> str:
    if fault := misfit(wish.text, settings):
        return fault
    if not wish.paraphrase or fold(wish.paraphrase) == fold(wish.text):
        return "without a paraphrase"
    if titles.named_in(wish.text) or titles.named_in(wish.paraphrase):
        return "names a product"
    return ""


def _line(value: Any) -> str:
    """A text on one line; "" for what is no text."""
    try:
        return " ".join(as_text(value).split()) if isinstance(value, str) else ""
    except ValueError:
        return ""


def _listed(raw: str, key: str) -> tuple[list[Any] | None, str]:
    """The list under a key of the reply's JSON object, or the reply's own list."""
    text = without_thoughts(raw)
    fenced = FENCE.search(text)
    try:
        content = json.loads(fenced.group(1) if fenced else text)
    except (json.JSONDecodeError, RecursionError):
        return None, "the reply is not JSON"
    said = content.get(key) if isinstance(content, dict) else content
    if not isinstance(said, list):
        return None, f'the reply is no JSON object with a list "{key}"'
    return said, ""
