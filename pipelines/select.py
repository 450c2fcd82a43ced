"""Stage `select`: the best cycle on validation becomes the student.

metrics/cycles/, models/cycles/, data/vectors/cycles/
    -> models/student/, data/vectors/student/products.parquet, metrics/select.json

Run:  dvc repro select
Tiny: python -m pipelines.select
"""

import shutil
from collections.abc import Mapping

from pipelines.held_out.choice import Validation, best_of
from pipelines.run.params import load_params
from pipelines.run.paths import (
    STUDENT_MODEL,
    cycle_metrics,
    cycle_model,
    product_vectors,
    stage_metrics,
)
from pipelines.run.stage import run_stage, say, stage_lock
from retrieval.storage.files import atomic_folder, read_json, write_json
from retrieval.storage.vectors import read_vectors, write_vectors


def best_cycle(cycles: Mapping[str, Validation], max_caption_drop: float) -> str:
    """The best cycle by `best_of`; the earliest among equals, which saw fewer labels.

    Where each does harm, each is the base model: the first.
    """
    return list(cycles)[best_of(list(cycles.values()), max_caption_drop) or 0]


def main() -> None:
    """Read the scores, copy the best cycle's model and vectors."""
    params = load_params()
    with stage_lock("select"):
        found = {
            cycle: Validation.from_json(read_json(cycle_metrics(cycle))["validation"])
            for cycle in params.cycles
        }
        best = best_cycle(found, params.distill.max_caption_drop)
        with atomic_folder(STUDENT_MODEL) as temporary:
            shutil.copytree(cycle_model(best), temporary, dirs_exist_ok=True)
        vectors = read_vectors(product_vectors(best))
        write_vectors(product_vectors("student"), vectors.ids, vectors.vectors)
        scores = {cycle: one.score for cycle, one in found.items()}
        write_json(stage_metrics("select"), {"cycle": best, "validation_gain": scores})
        say(f"best cycle: {best}, {100 * scores[best]:+.1f} points beside the base model")


if __name__ == "__main__":
    run_stage(main)
