"""Which personas wish alike: by what their facets say, else by clusters of what they write."""

import numpy as np

from pipelines.held_out.winners import HeldOut
from retrieval.slices import INTEREST, SITUATION
from retrieval.storage.schema import PersonaRow

SECOND_INTEREST = "second interest"
ALIKE = 0.15  # mean cosine above which texts are one cluster; the texts' mean vector is taken off
QUOTED = 60  # signs of the text that a cluster is named by


def named_wishes(persona: PersonaRow) -> list[str]:
    """Interests, or the situation; [] where the facets name neither."""
    facets = persona["facets"]
    names = (INTEREST, SECOND_INTEREST) if facets.get(INTEREST) else (SITUATION,)
    return [facets[name] for name in names if facets.get(name)]


def group_by_text(held_out: HeldOut) -> list[str]:
    """The cluster of each persona's text, named by the text in its middle.

    Average linkage (Sokal & Michener 1958) over cosines of the text vectors. "" for a text that is
    like no other, and where facets say what a persona is about.
    """
    open_ = [row for row, persona in enumerate(held_out.personas) if not named_wishes(persona)]
    groups = [""] * len(held_out.personas)
    if not open_:
        return groups
    asked = held_out.only(open_)
    vectors_ND = asked.persona_vectors().astype(np.float64)
    number_N = _clusters(vectors_ND - vectors_ND.mean(axis=0))
    for number in np.unique(number_N):
        rows = np.flatnonzero(number_N == number)
        if len(rows) == 1:
            continue
        inside_ND = vectors_ND[rows]
        middle = rows[int((inside_ND @ inside_ND.sum(axis=0)).argmax())]
        for row in rows:
            groups[open_[row]] = _quoted(asked.texts[middle])
    return groups


def _clusters(centred_ND: np.ndarray) -> np.ndarray:
    """A number for each row, equal for those of a cluster."""
    from scipy.cluster.hierarchy import fcluster, linkage  # here: most catalogues have facets

    lengths_N1 = np.linalg.norm(centred_ND, axis=1, keepdims=True)
    if len(centred_ND) < 2:
        return np.zeros(len(centred_ND), dtype=np.intp)
    unit_ND = centred_ND / np.where(lengths_N1 > 0, lengths_N1, 1.0)
    apart = 1 - (unit_ND @ unit_ND.T)[np.triu_indices(len(unit_ND), k=1)]
    tree = linkage(np.clip(apart, 0.0, None), method="average")
    numbers: np.ndarray = fcluster(tree, t=1 - ALIKE, criterion="distance")
    return numbers


def _quoted(text: str) -> str:
    return text if len(text) <= QUOTED else f"{text[: QUOTED - 1]}…"
