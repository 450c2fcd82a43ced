"""Personal concepts as the evaluation reports them: on the subjects on which no setting was chosen.

The text-only baseline puts the class noun where the concept stands. N products, D embedding width.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.run.paths import CONCEPTS, STUDENT_MODEL, SUBJECTS_FILE, product_vectors
from pipelines.subjects.lessons import queries_of, references_by_concept, reported_subjects
from pipelines.subjects.measure import encode_kindred, encode_text_only, measure, read_gallery
from retrieval.captions import caption_ranks
from retrieval.concepts.adapter import load_concept
from retrieval.concepts.concept import Concept
from retrieval.concepts.queries import finish_with
from retrieval.encoder import load_encoder
from retrieval.metrics import recall_at
from retrieval.storage.schema import SUBJECTS, ProductRow, read_rows
from retrieval.storage.vectors import read_vectors
from retrieval.text.tower import TextTower

Floats = NDArray[np.floating]


def concept_metrics(products: Sequence[ProductRow], device: str) -> dict[str, Any] | None:
    """Metrics of the reported subjects beside the text-only baseline; None without subjects."""
    subjects = read_rows(SUBJECTS_FILE, SUBJECTS)
    references = references_by_concept(subjects)
    if not references:
        return None
    encoder = load_encoder(STUDENT_MODEL, device)
    tower = TextTower(encoder)
    names = reported_subjects(list(references))
    concepts = {name: load_concept(CONCEPTS / name, encoder) for name in names}
    queries = queries_of(subjects, names)
    gallery, gallery_GD = read_gallery(encoder, subjects)
    nouns = {name: concept.noun for name, concept in concepts.items()}
    images_ND = read_vectors(product_vectors("student")).rows(
        [row["product_id"] for row in products]
    )
    captions = [product["caption"] for product in products]
    return {
        "text_only": measure(
            gallery, gallery_GD, queries, encode_text_only(tower, queries, nouns), distractors=True
        ),
        "kindred": measure(
            gallery, gallery_GD, queries, encode_kindred(tower, queries, concepts), distractors=True
        ),
        "caption_recall@10": caption_recall(tower, captions, images_ND, list(concepts.values())),
    }


def caption_recall(
    tower: TextTower, captions: list[str], images_ND: Floats, concepts: Sequence[Concept]
) -> dict[str, float]:
    """Caption recall@10 without a concept, and with one switched on, averaged over concepts."""
    prefix = tower.prefix(captions)  # the same for every concept

    def recall(switched_on: list[Concept]) -> float:
        texts_ND = finish_with(tower, prefix, switched_on)
        return recall_at(caption_ranks(texts_ND, images_ND, captions), 10)

    adapted = [recall([concept]) for concept in concepts]
    return {"unmodified": recall([]), "adapted": float(np.mean(adapted))}
