"""Which personas wish alike, and which wishes no training persona may have.

A student that never saw a kind of wish must not serve it worse than its base did. Only personas
whose whole group is held out can show that: some for validation, which decides how far the student
goes, and others for the test.

N personas, M texts, D width of the sentence encoder.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pipelines.ingest.splits import assign_splits
from pipelines.run.params import Catalog, WishShares
from pipelines.tables.values import fold
from retrieval.minilm import load_minilm
from retrieval.slices import WISHES, named_wishes
from retrieval.storage.schema import PersonaRow

ALIKE = 0.15  # mean cosine above which texts are one cluster; the texts' mean vector is taken off
QUOTED = 60  # signs of the text that a cluster is named by
CLUSTERED = 3000  # texts at most that are clustered; more join the cluster that is nearest

Read = Callable[[Sequence[str]], NDArray[np.float32]]  # texts -> unit vectors


def read_texts(texts: Sequence[str]) -> NDArray[np.float32]:
    """The sentence encoder, loaded when it is needed."""
    return load_minilm()(texts)


def split_personas(
    personas: Sequence[PersonaRow], settings: Catalog, seed: int, read: Read
) -> list[PersonaRow]:
    """Give every persona that has none a split: first whole groups of wishes, then by share.

    Args:
        personas: Their `split` is "" where it is open.
        settings: `held_out_wishes`, shares of the groups of wishes that only validation, and only
            the test, has; `split`, of the other personas.
        seed: Decides which.
        read: The sentence encoder, for personas whose facets do not say what they wish.

    Returns:
        New rows, in the same order; those grouped by their text have the facet `wishes`.

    Raises:
        ValueError: Equal texts have two splits.
    """
    grouped = hold_out_wishes(name_by_text(personas, read), settings.held_out_wishes, seed)
    texts = [fold(row["text"]) for row in grouped]
    return assign_splits(grouped, texts, settings.split, seed)


def hold_out_wishes(
    personas: Sequence[PersonaRow], shares: WishShares, seed: int
) -> list[PersonaRow]:
    """Put whole groups of wishes into `val` and `test`, as many as the shares ask for.

    A group that lies in one of them already, by the personas' own splits, counts. Somebody with two
    wishes goes where the held-out one goes. At least two groups stay for training.
    """
    splits = defaultdict(set)
    for persona in personas:
        for wish in named_wishes(persona["facets"]):
            splits[wish].add(persona["split"])
    open_ = [wish for wish in splits if splits[wish] == {""}]
    drawn = [open_[at] for at in np.random.default_rng(seed).permutation(len(open_))]
    held: dict[str, str] = {}
    for split, share in (("val", shares.val), ("test", shares.test)):
        there = sum(found == {split} for found in splits.values())
        count = min(max(round(share * len(splits)) - there, 0), max(len(drawn) - 2, 0))
        held |= dict.fromkeys(drawn[:count], split)
        drawn = drawn[count:]
    return [{**row, "split": row["split"] or _held_split(row, held)} for row in personas]


def _held_split(persona: PersonaRow, held: dict[str, str]) -> str:
    found = {held[wish] for wish in named_wishes(persona["facets"]) if wish in held}
    return "test" if "test" in found else "val" if found else ""


def name_by_text(personas: Sequence[PersonaRow], read: Read) -> list[PersonaRow]:
    """Give those whose facets name no wish the facet `wishes`: the cluster of their text.

    Average linkage (Sokal & Michener 1958) over cosines of the text vectors; a cluster is named by
    the text in its middle. A text that is like no other gets no such facet.
    """
    open_ = [row for row, persona in enumerate(personas) if not named_wishes(persona["facets"])]
    named = list(personas)
    if len(open_) < 2:
        return named
    texts = [personas[row]["text"] for row in open_]
    vectors_MD = read(texts).astype(np.float64)
    number_M = _cluster(vectors_MD - vectors_MD.mean(axis=0))
    for number in np.unique(number_M):
        rows = np.flatnonzero(number_M == number)
        if len(rows) == 1:
            continue
        inside_MD = vectors_MD[rows]
        middle = texts[rows[int((inside_MD @ inside_MD.sum(axis=0)).argmax())]]
        for row in rows:
            persona = personas[open_[row]]
            named[open_[row]] = {**persona, "facets": {**persona["facets"], WISHES: _quote(middle)}}
    return named


def _cluster(centred_MD: NDArray[np.float64]) -> NDArray[np.intp]:
    """A number for each row, equal for those of a cluster."""
    from scipy.cluster.hierarchy import fcluster, linkage  # here: most catalogues have facets

    lengths_M1 = np.linalg.norm(centred_MD, axis=1, keepdims=True)
    unit_MD = centred_MD / np.where(lengths_M1 > 0, lengths_M1, 1.0)
    first_MD, others_MD = unit_MD[:CLUSTERED], unit_MD[CLUSTERED:]
    apart = 1 - (first_MD @ first_MD.T)[np.triu_indices(len(first_MD), k=1)]
    tree = linkage(np.clip(apart, 0.0, None), method="average")
    number_M: NDArray[np.intp] = fcluster(tree, t=1 - ALIKE, criterion="distance").astype(np.intp)
    if not len(others_MD):
        return number_M
    names = np.unique(number_M)
    means_GD = np.stack([first_MD[number_M == name].mean(axis=0) for name in names])
    cosines_MG = others_MD @ means_GD.T  # the mean cosine to the cluster's texts
    alone_M = number_M.max() + 1 + np.arange(len(others_MD))
    near_M = np.where(cosines_MG.max(axis=1) > ALIKE, names[cosines_MG.argmax(axis=1)], alone_M)
    return np.concatenate([number_M, near_M])


def _quote(text: str) -> str:
    return text if len(text) <= QUOTED else f"{text[: QUOTED - 1]}…"
