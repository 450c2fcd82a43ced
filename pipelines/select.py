"""Stage `select`: the best cycle by the validation percentile becomes the student.

metrics/cycles/, models/cycles/, data/vectors/cycles/
    -> models/student/, data/vectors/student/products.parquet, metrics/select.json

Run:  dvc repro select
Tiny: python -m pipelines.select
"""

import shutil
from collections.abc import Mapping

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


def best_cycle(scores: Mapping[str, float]) -> str:
    """The cycle of the highest score; the earliest among equals, which saw fewer labels."""
    return max(scores, key=lambda cycle: scores[cycle])


def main() -> None:
    """Read the scores, copy the best cycle's model and vectors."""
    params = load_params()
    with stage_lock("select"):
        scores = {
            cycle: float(read_json(cycle_metrics(cycle))["validation"]["mean_percentile"])
            for cycle in params.cycles
        }
        best = best_cycle(scores)
        with atomic_folder(STUDENT_MODEL) as temporary:
            shutil.copytree(cycle_model(best), temporary, dirs_exist_ok=True)
        vectors = read_vectors(product_vectors(best))
        write_vectors(product_vectors("student"), vectors.ids, vectors.vectors)
        write_json(stage_metrics("select"), {"cycle": best, "mean_percentile": scores})
        say(f"best cycle: {best}, winner's mean percentile {scores[best]:.3f} on validation")


if __name__ == "__main__":
    run_stage(main)
