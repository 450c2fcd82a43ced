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
MOST_WISHES = 3  # of a hit
_PART = re.compile(r"\{[^{}]*\}|[^\s{}]+")  # a concept's place, or a word
_SPACE = re.compile(r"\s+")

Vectors = NDArray[np.float32]


@dataclass(frozen=True, eq=False)  # concepts are tensors, which have no one truth
class Variant:
    """A query without one of its parts."""

    kind: Literal["word", "concept"]
    name: str  # the word without its punctuation, or the concept's name
    text: str
    concepts: tuple["Concept", ...]


@dataclass(frozen=True)
class Why:
    """Why one hit was found."""

    words: list[tuple[str, float]]  # in the query's order: a word, and what it adds to the score
    concepts: list[tuple[str, float]]  # likewise
    wishes: list[tuple[str, float]]  # texts of training wishes, nearest first


def variants(text: str, concepts: Sequence["Concept"]) -> list[Variant]:
    """A query without each of its words, and with its noun in each concept's place.

    The first `MOST_WORDS` words are left out, one at a time; signs without a letter or digit are
    none.

    Args:
        text: The query, `{name}` in it a concept's place.
        concepts: The query's.
    """
    found: list[Variant] = []
    for part in _PART.finditer(text):
        word = part[0].strip("".join(sign for sign in part[0] if not sign.isalnum()))
        if part[0].startswith("{") or not word or len(found) == MOST_WORDS:
            continue
        rest = _SPACE.sub(" ", f"{text[: part.start()]} {text[part.end() :]}").strip()
        found.append(Variant("word", word, rest, tuple(concepts)))
    for concept in concepts:
        others = tuple(other for other in concepts if other is not concept)
        plain = text.replace(f"{{{concept.name}}}", concept.noun)
        found.append(Variant("concept", concept.name, plain, others))
    return found


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
