"""Stage `evaluate`: what base and student can do, on personas, products and subjects unseen.

models/student/best/, models/concepts/, data/vectors/, data/tournaments.parquet, the catalogue
    -> metrics/evaluate.json, reports/queries.parquet, reports/percentiles.csv,
       reports/percentiles.png, data/runs/evaluate.json

Run:  dvc repro evaluate
Tiny: python -m pipelines.evaluate, after a tiny run of the stages before
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.artifacts import write_run
from pipelines.evaluate_concepts import concept_metrics
from pipelines.evaluate_personas import query_rows, random_scores, summarise, truth_scores
from pipelines.evaluate_plots import write_percentiles
from pipelines.held_out import HeldOut, read_held_out
from pipelines.params import Params, load_params
from pipelines.paths import (
    BEST_MODEL,
    CAPTION_VECTORS,
    CONCEPTS,
    SUBJECTS_FILE,
    TOURNAMENTS_FILE,
    product_vectors,
)
from pipelines.stage import derive_seed, say, stage_lock
from registry.tracking import log_metrics, training_run
from retrieval.captions import caption_ranks, chance_recall
from retrieval.compute import make_repeatable, resolve_device
from retrieval.files import sha256_file, sha256_folder, write_json
from retrieval.metrics import recall_at
from retrieval.minilm import load_minilm
from retrieval.schema import QUERIES, write_rows
from retrieval.vectors import read_vectors

METRICS = Path("metrics/evaluate.json")
QUERIES_FILE = Path("reports/queries.parquet")

Rows = list[dict[str, Any]]


def persona_scores(held_out: HeldOut, params: Params) -> dict[str, NDArray[np.floating]]:
    """Scores (Q, C) of every row of the report; `ceiling` only where the truth is known."""
    sentences = load_minilm()
    listings = [f"{product['title']}. {product['caption']}" for product in held_out.products]
    texts = [persona["text"] for persona in held_out.personas]
    scores: dict[str, NDArray[np.floating]] = {
        "random": random_scores(held_out, params.seed),
        "base": held_out.scores("base"),
        "text": sentences(texts) @ sentences(listings).T,
        "student": held_out.scores("best"),
    }
    truth = truth_scores(held_out)
    return scores if truth is None else {**scores, "ceiling": truth}


def caption_metrics(products: Rows) -> dict[str, dict[str, float]]:
    """Caption recall of base and student on the held-out products, and of chance."""
    captions = [product["caption"] for product in products]
    ids = [product["product_id"] for product in products]
    texts_ND = read_vectors(CAPTION_VECTORS).rows(ids)
    metrics = {}
    for name, model in (("base", "base"), ("student", "best")):
        ranks = caption_ranks(texts_ND, read_vectors(product_vectors(model)).rows(ids), captions)
        metrics[name] = {f"recall@{k}": recall_at(ranks, k) for k in (1, 10)}
    metrics["chance"] = {f"recall@{k}": chance_recall(captions, k) for k in (1, 10)}
    return metrics


def main() -> None:
    """Read, measure, write."""
    params = load_params()
    digests = {str(path): sha256_file(path) for path in (TOURNAMENTS_FILE, SUBJECTS_FILE)}
    digests |= {str(path): sha256_folder(path) for path in (BEST_MODEL, CONCEPTS)}
    settings = {"seed": params.seed, "evaluate": params.evaluate.model_dump()}
    with stage_lock("evaluate"), training_run("evaluate", settings, digests) as run:
        make_repeatable(derive_seed(params.seed, "evaluate"), params.compute.threads)
        held_out = read_held_out("test")
        scores = persona_scores(held_out, params)
        rows = {model: query_rows(held_out, model, scores[model]) for model in scores}
        seed = derive_seed(params.seed, "evaluate", "bootstrap")
        metrics: dict[str, Any] = {
            "persona": {
                model: summarise(rows[model], params.evaluate.bootstrap_samples, seed)
                for model in rows
            },
            "caption": caption_metrics(held_out.products),
            "concept": concept_metrics(held_out.products, resolve_device(params.compute.device)),
        }
        write_json(METRICS, metrics)
        write_rows(QUERIES_FILE, [row for model in rows.values() for row in model], QUERIES)
        write_percentiles({m: [row["percentile"] for row in rows[m]] for m in rows})
        log_metrics(metrics)
        write_run("evaluate", run)
        base, student = (
            metrics["persona"][model]["mean_percentile"] for model in ("base", "student")
        )
        say(f"winner's mean percentile on unseen personas: base {base:.3f}, student {student:.3f}")


if __name__ == "__main__":
    main()
