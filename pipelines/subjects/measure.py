"""Personal concepts, measured: are the subject, its scenes and pairs found, is the rest kept?

The text-only baseline puts the class noun where the concept stands. Concept-only queries search the
pictures of exactly one concept, as arXiv 2506.10182 does, and with `distractors` those of none as
well; the others search the whole gallery.
Q queries, G gallery pictures, D embedding width.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.run.paths import SUBJECTS_FILE
from retrieval.concepts.concept import Concept
from retrieval.concepts.queries import encode_queries
from retrieval.encoder import Encoder
from retrieval.metrics import (
    first_hit_rank,
    mean_average_precision,
    mean_reciprocal_rank,
    recall_at,
)
from retrieval.storage.schema import SubjectRow
from retrieval.text.tower import TextTower

Rows = Sequence[SubjectRow]
Floats = NDArray[np.floating]

IN_SCENES = ("map", "mrr", "recall@1", "recall@5")
REPORTED = {
    "concept_only": ("map", "mrr"),
    "context": IN_SCENES,  # one concept
    "multi": IN_SCENES,  # several
    "all": IN_SCENES,  # context and multi together
}


def read_gallery(encoder: Encoder, subjects: Rows) -> tuple[list[SubjectRow], NDArray[np.float32]]:
    """The gallery's rows, and its pictures' unit vectors (G, D)."""
    gallery = [row for row in subjects if row["role"] == "gallery"]
    paths = [SUBJECTS_FILE.parent / row["image"] for row in gallery]
    if not paths:
        return [], np.empty((0, encoder.width), dtype=np.float32)
    return gallery, encoder.encode_pixels(encoder.read_pixels(paths))


def fill(text: str, phrases: Sequence[str]) -> str:
    """Put the phrases where the `*` stand, in turn."""
    for phrase in phrases:
        text = text.replace("*", phrase, 1)
    return text


def encode_text_only(tower: TextTower, queries: Rows, nouns: dict[str, str]) -> Floats:
    """Query vectors (Q, D) of the class nouns alone."""
    texts = [fill(query["text"], [nouns[name] for name in query["concepts"]]) for query in queries]
    return tower.encoder.encode_texts(texts)


def encode_kindred(tower: TextTower, queries: Rows, concepts: dict[str, Concept]) -> Floats:
    """Query vectors (Q, D), each with its own concepts' updates switched on."""
    texts = [
        fill(query["text"], [f"{{{name}}}" for name in query["concepts"]]) for query in queries
    ]
    return encode_queries(
        tower, texts, [[concepts[name] for name in query["concepts"]] for query in queries]
    )


def measure(
    gallery: Rows, gallery_GD: Floats, queries: Rows, queries_QD: Floats, *, distractors: bool
) -> dict[str, Any]:
    """The reported metrics of each kind of query; null where there is no such query.

    Args:
        gallery: The pictures' rows.
        gallery_GD: Their unit vectors.
        queries: Whose truths are among them.
        queries_QD: Their unit vectors.
        distractors: Whether concept-only queries search pictures of no concept too.
    """
    column = {row["row_id"]: number for number, row in enumerate(gallery)}
    counts = (0, 1) if distractors else (1,)
    single_G = np.array([len(row["concepts"]) in counts for row in gallery])
    hits_QG = np.zeros((len(queries), len(gallery)), dtype=np.bool_)
    for number, query in enumerate(queries):
        hits_QG[number, [column[truth] for truth in query["truths"]]] = True
    scores_QG = queries_QD @ gallery_GD.T
    result: dict[str, Any] = {}
    for kind, names in REPORTED.items():
        kinds = ("context", "multi") if kind == "all" else (kind,)
        rows = [number for number, query in enumerate(queries) if query["kind"] in kinds]
        pool = single_G if kind == "concept_only" else np.ones(len(gallery), dtype=np.bool_)
        result[kind] = _metrics(scores_QG[rows][:, pool], hits_QG[rows][:, pool], names)
    return result


def _metrics(scores_QG: Floats, hits_QG: NDArray[np.bool_], names: Sequence[str]) -> dict[str, Any]:
    if not len(scores_QG):
        return dict.fromkeys(names)
    ranks_Q = first_hit_rank(scores_QG, hits_QG)
    computed: dict[str, Callable[[], float]] = {
        "map": lambda: mean_average_precision(scores_QG, hits_QG),
        "mrr": lambda: mean_reciprocal_rank(ranks_Q),
        "recall@1": lambda: recall_at(ranks_Q, 1),
        "recall@5": lambda: recall_at(ranks_Q, 5),
    }
    return {name: computed[name]() for name in names}
