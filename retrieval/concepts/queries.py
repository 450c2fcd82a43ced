"""Texts that name concepts: their vectors, each with its own concepts' updates switched on.

B queries, D embedding width, d tower width, K concepts a query at most.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from retrieval.concepts.concept import Concept, place
from retrieval.encoder import Encoder
from retrieval.text.tower import Prefix, TextTower, Updates


def encode_queries(
    tower: TextTower, texts: Sequence[str], concepts_per_row: Sequence[Sequence[Concept]]
) -> NDArray[np.float32]:
    """Unit vectors (B, D) of queries, each with its own concepts: their updates are added.

    Args:
        tower: The text tower.
        texts: The queries; a concept's place is `{name}`, or in front of what does not name it.
        concepts_per_row: Each query's concepts; may be none.

    Raises:
        ValueError: A query holds an identifier as a word of its own, a concept belongs to another
            model, or there are not as many rows as texts.
    """
    placed = [place(text, row) for text, row in zip(texts, concepts_per_row, strict=True)]
    vectors_BD = np.empty((len(placed), tower.encoder.width), dtype=np.float32)
    if not placed:
        return vectors_BD
    for rows, prefix in tower.prefixes(placed):
        updates = gather_updates(tower, [concepts_per_row[row] for row in rows])
        with torch.no_grad():
            vectors_BD[rows] = tower.finish(prefix, updates).cpu().numpy()
    return vectors_BD


def encode_with_concepts(
    encoder: Encoder, text: str, concepts: Sequence[Concept]
) -> NDArray[np.float32]:
    """Unit vector (D,) of one query; see `encode_queries`."""
    vector: NDArray[np.float32] = encode_queries(TextTower(encoder), [text], [concepts])[0]
    return vector


def finish_with(
    tower: TextTower, prefix: Prefix, concepts: Sequence[Concept]
) -> NDArray[np.float32]:
    """Unit vectors (B, D) of prepared texts (`tower.prefix`), the same concepts on in all."""
    updates = gather_updates(tower, [concepts] * len(prefix))
    with torch.no_grad():
        vectors: NDArray[np.float32] = tower.finish(prefix, updates).cpu().numpy()
    return vectors


def gather_updates(
    tower: TextTower, concepts_per_row: Sequence[Sequence[Concept]]
) -> Updates | None:
    """The rows' updates, padded with zeros; None where no row has a concept.

    Raises:
        ValueError: A concept belongs to another model.
    """
    distinct = {id(concept): concept for row in concepts_per_row for concept in row}
    known = ("", tower.digest) if distinct else ()
    for concept in distinct.values():
        if concept.base not in known or concept.a_Rd.shape[1] != tower.width:
            msg = f"concept {concept.name} belongs to another model version; learn it again"
            raise ValueError(msg)
    if not distinct:
        return None
    a_Ud, b_Ud = (
        torch.cat([torch.zeros(1, tower.width), *factors])
        for factors in zip(*((c.a_Rd, c.b_Rd) for c in distinct.values()), strict=True)
    )
    at, places = 1, {}  # row 0 is the padding
    for key, concept in distinct.items():
        places[key] = range(at, at := at + len(concept.a_Rd))
    rows = [
        [number for concept in row for number in places[id(concept)]] for row in concepts_per_row
    ]
    most = max(len(row) for row in rows)
    index_BK = torch.tensor([row + [0] * (most - len(row)) for row in rows])
    device = tower.encoder.device
    return Updates(a_Ud[index_BK].to(device), b_Ud[index_BK].to(device))
