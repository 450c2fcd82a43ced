"""Personal concepts, measured: are the subject, its scenes and pairs found, is the rest kept?

The text-only baseline puts the class noun where the concept stands. Concept-only queries search the
pictures of exactly one concept, as arXiv 2506.10182 does, and with `distractors` those of none as
well; the others search the whole gallery.
Q queries, G gallery pictures, D embedding width.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.run.paths import SUBJECTS_FILE
from retrieval.captions import caption_ranks
from retrieval.concepts.concept import Concept
from retrieval.concepts.queries import encode_queries, finish_with
from retrieval.encoder import Encoder
from retrieval.metrics import average_precision, first_hit_rank, recall_at
from retrieval.storage.schema import SubjectRow
from retrieval.text.tower import TextTower

Rows = Sequence[SubjectRow]
Floats = NDArray[np.floating]

CAPTIONS = 1024  # prepared at once
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
    return gallery, encoder.encode_files(paths)


def fill(text: str, phrases: Sequence[str]) -> str:
    """Put the phrases where the `*` stand, in turn; the last one at every `*` that is left."""
    for phrase in phrases[:-1]:
        text = text.replace("*", phrase, 1)
    return text.replace("*", phrases[-1]) if phrases else text


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


def caption_recall(
    tower: TextTower, captions: Sequence[str], images_ND: Floats, concepts: Sequence[Concept]
) -> tuple[float, list[float]]:
    """Caption recall@10 without a concept, and with each of them switched on.

    What a concept makes a model forget (arXiv 2506.10182): does a caption still find its picture
    among all N? Pictures of an equal caption are hits.
    """
    vectors: list[list[Floats]] = [[] for _ in range(1 + len(concepts))]
    for start in range(0, len(captions), CAPTIONS):
        prefix = tower.prefix(captions[start : start + CAPTIONS])  # the same for every concept
        for texts, switched_on in zip(vectors, [[], *([one] for one in concepts)], strict=True):
            texts.append(finish_with(tower, prefix, switched_on))
    unmodified, *adapted = (
        recall_at(caption_ranks(np.concatenate(texts), images_ND, captions), 10)
        for texts in vectors
    )
    return unmodified, adapted


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
    answers = answer(gallery, gallery_GD, queries, queries_QD, distractors=distractors)
    return {
        kind: {name: mean(METRICS[name], of_kind(answers, kind)) for name in names}
        for kind, names in REPORTED.items()
    }


@dataclass(frozen=True)
class Answer:
    """Where the truths of a query came."""

    query: SubjectRow
    rank: float  # of the best one; docs/evaluation.md has the rule for equal scores
    average_precision: float


METRICS: dict[str, Callable[[Answer], float]] = {
    "map": lambda answer: answer.average_precision,
    "mrr": lambda answer: 1 / answer.rank,
    "recall@1": lambda answer: float(answer.rank <= 1),
    "recall@5": lambda answer: float(answer.rank <= 5),
}


def answer(
    gallery: Rows, gallery_GD: Floats, queries: Rows, queries_QD: Floats, *, distractors: bool
) -> list[Answer]:
    """One a query, in their order; the arguments are those of `measure`."""
    column = {row["row_id"]: number for number, row in enumerate(gallery)}
    counts = (0, 1) if distractors else (1,)
    single_G = np.array([len(row["concepts"]) in counts for row in gallery])
    scores_QG = queries_QD @ gallery_GD.T
    answers = []
    for query, scores_G in zip(queries, scores_QG, strict=True):
        pool_G = single_G if query["kind"] == "concept_only" else np.ones_like(single_G)
        hits_G = np.zeros(len(gallery), dtype=np.bool_)
        hits_G[[column[truth] for truth in query["truths"]]] = True
        asked = (scores_G[pool_G][None], hits_G[pool_G][None])
        rank, precision = first_hit_rank(*asked)[0], average_precision(*asked)[0]
        answers.append(Answer(query, float(rank), float(precision)))
    return answers


def of_kind(answers: Sequence[Answer], kind: str) -> list[Answer]:
    """The answers to one of the kinds of `REPORTED`."""
    kinds = ("context", "multi") if kind == "all" else (kind,)
    return [each for each in answers if each.query["kind"] in kinds]


def mean(metric: Callable[[Answer], float], answers: Sequence[Answer]) -> float | None:
    """Of a metric over answers; None without any."""
    return float(np.mean([metric(each) for each in answers])) if answers else None
