"""What a version is put together from: where each part of its bundle lies."""

from pathlib import Path

from pipelines.run.params import Params
from pipelines.run.paths import (
    BASE,
    CAPTION_VECTORS,
    CONCEPT_QUERIES_FILE,
    CONCEPTS,
    EVALUATION,
    PERSONA_VECTORS,
    PERSONAS_FILE,
    PRODUCTS_FILE,
    QUERIES_FILE,
    RETRIEVAL_VERDICT,
    STUDENT_MODEL,
    TOURNAMENTS_FILE,
    cycle_model,
    label_verdict,
    product_vectors,
    rankings_file,
    stage_metrics,
)


def find_parts(params: Params) -> dict[str, Path]:
    """The parts, by their names in `BundleSources`."""
    last = list(params.cycles)[-1]  # the rankings of earlier cycles are in it
    return {
        "model": STUDENT_MODEL,
        "base_model": cycle_model(BASE),
        "student_vectors": product_vectors("student"),
        "base_vectors": product_vectors(BASE),
        "persona_vectors": PERSONA_VECTORS,
        "caption_vectors": CAPTION_VECTORS,
        "products": PRODUCTS_FILE,
        "personas": PERSONAS_FILE,
        "rankings": rankings_file(last),
        "tournaments": TOURNAMENTS_FILE,
        "queries": QUERIES_FILE,
        "concept_queries": CONCEPT_QUERIES_FILE,
        "concepts": CONCEPTS,
        "concept_choice": stage_metrics("concepts"),
        "metrics": EVALUATION,
    }


def find_verdicts(params: Params) -> dict[str, Path]:
    """The verdicts, by their names in the bundle."""
    labels = {f"labels_{cycle}": label_verdict(cycle) for cycle in params.cycles}
    return {**labels, "retrieval": RETRIEVAL_VERDICT}


def made_of(params: Params) -> list[str]:
    """All of them: the stages that made these, made the version."""
    paths = (*find_parts(params).values(), *find_verdicts(params).values())
    return [path.as_posix() for path in paths]
