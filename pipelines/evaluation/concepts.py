"""Personal concepts as the evaluation reports them: on the subjects on which no setting was chosen.

The text-only baseline puts the class noun where the concept stands. N products, D embedding width.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.evaluation.statistics import Resampling, interval_of
from pipelines.run.paths import CONCEPTS, STUDENT_MODEL, SUBJECTS_FILE, product_vectors
from pipelines.subjects.lessons import queries_of, references_by_concept, reported_subjects
from pipelines.subjects.measure import (
    METRICS,
    REPORTED,
    Answer,
    answer,
    caption_recall,
    encode_kindred,
    encode_text_only,
    mean,
    of_kind,
    read_gallery,
)
from retrieval.concepts.adapter import load_concept
from retrieval.encoder import load_encoder
from retrieval.resampling import FEWEST, crossed_weights, quantile_interval, resampled_means
from retrieval.storage.files import sha256_file
from retrieval.storage.schema import SUBJECTS, ConceptQueryRow, ProductRow, read_rows
from retrieval.storage.vectors import read_vectors
from retrieval.text.tower import TextTower


@dataclass(frozen=True)
class ConceptAnswers:
    """How the reported subjects were found, and what of literal search was left."""

    answers: Mapping[str, list[Answer]]  # model -> one a query
    unmodified: float  # caption recall@10 without a concept
    adapted: Mapping[str, float]  # concept -> caption recall@10 with it switched on

    def summarise(self, resampling: Resampling) -> dict[str, Any]:
        """The metrics as metrics/evaluate.json has them, with intervals by subject."""
        values = list(self.adapted.values())
        kept = {
            "unmodified": self.unmodified,
            "adapted": float(np.mean(values)),
            "adapted_ci95": interval_of(values, list(self.adapted), resampling),
            "subjects": len(values),
        }
        models = {
            model: {kind: _summary(of_kind(found, kind), kind, resampling) for kind in REPORTED}
            for model, found in self.answers.items()
        }
        return {**models, "caption_recall@10": kept}

    def rows(self) -> list[ConceptQueryRow]:
        """A row a query and model, and one a concept for the captions."""
        digest = sha256_file(SUBJECTS_FILE)
        rows = [_row(each, model, digest) for model in self.answers for each in self.answers[model]]
        captions: list[ConceptQueryRow] = [
            {
                "row_id": name,
                "kind": "captions",
                "concepts": [name],
                "model": "kindred",
                "rank": float("nan"),
                "average_precision": float("nan"),
                "recall@10": recall,
                "subjects_sha256": digest,
            }
            for name, recall in self.adapted.items()
        ]
        return [*rows, *captions]


def ask_about_concepts(
    products: Sequence[ProductRow], captions: Sequence[str], device: str
) -> ConceptAnswers | None:
    """Ask for the reported subjects, with and without what was learned; None without subjects.

    Args:
        products: The held-out ones, among which captions are searched for.
        captions: Theirs.
        device: Of the model.
    """
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
    vectors = {
        "text_only": encode_text_only(tower, queries, nouns),
        "kindred": encode_kindred(tower, queries, concepts),
    }
    ids = [row["product_id"] for row in products]
    images_ND = read_vectors(product_vectors("student")).rows(ids)
    unmodified, adapted = caption_recall(tower, captions, images_ND, list(concepts.values()))
    return ConceptAnswers(
        answers={
            model: answer(gallery, gallery_GD, queries, vectors_QD, distractors=True)
            for model, vectors_QD in vectors.items()
        },
        unmodified=unmodified,
        adapted=dict(zip(names, adapted, strict=True)),
    )


def _summary(answers: list[Answer], kind: str, resampling: Resampling) -> dict[str, Any]:
    """Means and intervals; what is drawn for these are subjects, not queries."""
    metrics = {name: METRICS[name] for name in REPORTED[kind]}
    subjects = {name for each in answers for name in each.query["concepts"]}
    return {
        **{name: mean(metric, answers) for name, metric in metrics.items()},
        "ci95": {name: _interval(metric, answers, resampling) for name, metric in metrics.items()},
        "n": len(answers),
        "subjects": len(subjects),
    }


def _interval(
    metric: Callable[[Answer], float], answers: list[Answer], resampling: Resampling
) -> list[float] | None:
    """A query about two subjects goes with both; None below ten subjects."""
    named = [each.query["concepts"] for each in answers]
    if len({name for names in named for name in names}) < FEWEST:
        return None
    values = np.array([[metric(each)] for each in answers])
    weights_SN = crossed_weights(named, resampling.samples, resampling.seed)
    return quantile_interval(resampled_means(values, weights_SN)[:, 0])


def _row(found: Answer, model: str, digest: str) -> ConceptQueryRow:
    return {
        "row_id": found.query["row_id"],
        "kind": found.query["kind"],
        "concepts": found.query["concepts"],
        "model": model,
        "rank": found.rank,
        "average_precision": found.average_precision,
        "recall@10": float(found.rank <= 10),
        "subjects_sha256": digest,
    }
