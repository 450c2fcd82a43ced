"""Why a product was found: what each word, each concept and past wishes say for it.

V variants of a query, H hits, W training wishes, D embedding width.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from retrieval.concepts.concept import Concept

MOST_WORDS = 40  # of a query that are told
# Words that all variants of a query have together, about: reading them takes a little longer than
# a search.
MOST_READ = 63
MOST_WISHES = 3  # of a hit
_PART = re.compile(r"\{[^{}]*\}|[^\s{}]+")  # a concept's place, or a word
_SPACE = re.compile(r"\s+")

Vectors = NDArray[np.float32]


@dataclass(frozen=True, eq=False)  # concepts are tensors, which have no one truth
class Variant:
    """A query without one of its parts."""

    kind: Literal["word", "concept"]
    name: str  # the word without its punctuation, or words; or the concept's name
    text: str
    concepts: tuple["Concept", ...]


@dataclass(frozen=True)
class Why:
    """Why one hit was found."""

    # In the query's order: a word, or neighbours of a long text, and what it adds to the score.
    words: list[tuple[str, float]]
    concepts: list[tuple[str, float]]  # likewise
    wishes: list[tuple[str, float]]  # texts of training wishes, nearest first


def variants(text: str, concepts: Sequence["Concept"]) -> list[Variant]:
    """A query without each of its words, and with its noun in each concept's place.

    The first `MOST_WORDS` words are left out, one at a time; signs without a letter or digit are
    none. Of a long text neighbours are left out together, so that all variants have about
    `MOST_READ` words: a text of seven words is told word by word, one of 23 in two pieces.

    Args:
        text: The query, `{name}` in it a concept's place.
        concepts: The query's.
    """
    found: list[Variant] = []
    for start, end in _pieces(text):
        rest = _SPACE.sub(" ", f"{text[:start]} {text[end:]}").strip()
        found.append(Variant("word", _bare(text[start:end]), rest, tuple(concepts)))
    for concept in concepts:
        others = tuple(other for other in concepts if other is not concept)
        plain = text.replace(f"{{{concept.name}}}", concept.noun)
        found.append(Variant("concept", concept.name, plain, others))
    return found


def _pieces(text: str) -> list[tuple[int, int]]:
    """Where the words stand that are left out together: no piece spans a concept's place."""
    parts = [part for part in _PART.finditer(text) if part[0].startswith("{") or _bare(part[0])]
    words = [place for place, part in enumerate(parts) if _bare(part[0])][:MOST_WORDS]
    runs = np.split(words, np.flatnonzero(np.diff(words) > 1) + 1) if words else []
    most = max(MOST_READ // (len(parts) + 2), 1)  # a text tower adds a beginning and an end
    together = -(-len(words) // most)
    return [
        (parts[piece[0]].start(), parts[piece[-1]].end())
        for run in runs
        for piece in np.array_split(run, -(-len(run) // together))
    ]


def _bare(words: str) -> str:
    """Words without the signs around them; "" for a concept's place."""
    signs = "".join({sign for sign in words if not sign.isalnum()})
    return "" if words.startswith("{") else words.strip(signs)


def shares(query_D: Vectors, variants_VD: Vectors, hits_HD: Vectors) -> Vectors:
    """What each part adds to each hit's cosine, (H, V): the cosine minus that without the part.

    Shares need not add up to the score: words mean something together.

    Args:
        query_D: Unit vector of the whole query.
        variants_VD: Of the query without each part.
        hits_HD: Of the pictures.
    """
    differences: Vectors = hits_HD @ (query_D - variants_VD).T
    return differences


def nearest_wishes(
    query_D: Vectors, hits_HD: Vectors, wishes_WD: Vectors, chosen_WD: Vectors
) -> list[list[tuple[int, float]]]:
    """For each hit up to three wishes that are like the query and chose what is like the hit.

    The similarity is the cosine of query and wish times the cosine of the hit and the mean of what
    the wish chose, each at least 0; a wish whose similarity is 0 is not told.

    Args:
        query_D: Unit vector.
        hits_HD: Unit vectors.
        wishes_WD: Unit vectors of the wishes' texts.
        chosen_WD: Unit vectors in the direction of the mean of what each wish chose.

    Returns:
        Rows of the wishes and similarities, the most similar first; equal ones in the rows' order.
    """
    asked_W = np.maximum(wishes_WD @ query_D, 0)
    similarity_HW = asked_W * np.maximum(hits_HD @ chosen_WD.T, 0)
    most = min(MOST_WISHES, len(wishes_WD))
    found = []
    for similarity_W in similarity_HW:
        # Wishes like the least of the first ones count too, so that equal ones keep their order.
        least = np.partition(similarity_W, -most)[-most] if most else 0.0
        rows = np.flatnonzero(similarity_W >= max(least, np.finfo(np.float32).tiny))
        rows = rows[np.argsort(-similarity_W[rows], kind="stable")][:most]
        found.append([(int(row), float(similarity_W[row])) for row in rows])
    return found


def mean_directions(groups: Sequence[Vectors], width: int) -> Vectors:
    """Unit vectors in the direction of each group's mean, (W, D); zero for an empty one.

    Args:
        groups: Unit vectors (N, D) each.
        width: D.
    """
    means_WD = np.zeros((len(groups), width), dtype=np.float32)
    for row, group_ND in enumerate(groups):
        if len(group_ND):
            means_WD[row] = group_ND.sum(axis=0)
    lengths_W1 = np.linalg.norm(means_WD, axis=1, keepdims=True)
    lengths_W1[lengths_W1 == 0] = 1
    unit_WD: Vectors = (means_WD / lengths_W1).astype(np.float32)
    return unit_WD
