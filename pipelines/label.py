"""Stage `label@<cycle>`: the teacher ranks groups of pictures for training personas.

data/personas.parquet, data/catalog/products.parquet, the previous model's vectors and rankings
    -> data/labels/<cycle>/rankings.parquet (cumulative)

Run:  dvc repro label@c1
Tiny: python -m pipelines.label c1, after label.groups: 20 in params.yaml
"""

from typing import Any

import numpy as np

from pipelines.params import Params, load_params
from pipelines.paths import (
    PERSONA_VECTORS,
    PERSONAS_FILE,
    PRODUCTS_FILE,
    model_metrics,
    product_vectors,
    rankings_file,
)
from pipelines.sampling import sample_group
from pipelines.stage import cycle_argument, derive_seed, progress, say, stage_lock
from pipelines.teachers.factory import make_teacher
from pipelines.teachers.protocol import Request, Teacher
from retrieval.files import read_json
from retrieval.schema import PERSONAS, PRODUCTS, RANKINGS, read_rows, write_rows
from retrieval.vectors import read_vectors

Rows = list[dict[str, Any]]
ATTEMPTS = 2  # a reply that is no permutation is asked for once more, then recorded as a failure


def plan_groups(
    params: Params, cycle: str, scores_PN: np.ndarray[Any, np.dtype[np.floating[Any]]]
) -> list[tuple[int, list[int]]]:
    """Persona and products (row, columns of the scores) of each group, in order of presentation.

    Personas come up equally often, to within one.
    """
    rng = np.random.default_rng(derive_seed(params.seed, "label", cycle))
    order = rng.permutation(len(scores_PN))
    edges, sizes = params.label.band_edges, params.label.band_sizes
    people = [int(order[number % len(order)]) for number in range(params.label.groups)]
    return [(who, sample_group(scores_PN[who], edges, sizes, rng).tolist()) for who in people]


def ask(teacher: Teacher, group_id: str, persona_id: str, presented: list[str]) -> dict[str, Any]:
    """One row of the rankings; the ranking is empty where the teacher gave no permutation."""
    for repeat in range(ATTEMPTS):
        reply = teacher.rank([Request(persona_id, tuple(presented), repeat)])[0]
        if reply.ranking is not None:
            break
    return {
        "group_id": group_id,
        "persona_id": persona_id,
        "presented": presented,
        "ranking": list(reply.ranking or ()),
        "teacher": teacher.name,
        "request_sha256": reply.request_sha256,
    }


def new_rankings(params: Params, cycle: str, prev: str) -> Rows:
    """Sample groups with the previous model and have them ranked."""
    personas = [row for row in read_rows(PERSONAS_FILE, PERSONAS) if row["split"] == "train"]
    products = [row for row in read_rows(PRODUCTS_FILE, PRODUCTS) if row["split"] == "train"]
    product_ids = [product["product_id"] for product in products]
    texts_PD = read_vectors(PERSONA_VECTORS).rows([row["persona_id"] for row in personas])
    images_ND = read_vectors(product_vectors(prev)).rows(product_ids)
    groups = plan_groups(params, cycle, texts_PD @ images_ND.T)
    teacher = make_teacher(params, personas, products)
    return [
        ask(
            teacher, f"{cycle}-{number:05d}", personas[who]["persona_id"],
            [product_ids[column] for column in columns],
        )
        for number, (who, columns) in enumerate(progress(groups, f"label {cycle}"))
    ]  # fmt: skip


def main(cycle: str) -> None:
    """Read, label, write; after an early stop pass the rankings through."""
    params = load_params()
    with stage_lock(f"label@{cycle}"):
        prev = params.cycles[cycle].prev
        rows = read_rows(rankings_file(prev), RANKINGS)
        if read_json(model_metrics(prev))["stopped"]:
            say(f"training stopped before cycle {cycle}: old labels pass through")
        else:
            rows += new_rankings(params, cycle, prev)
        write_rows(rankings_file(cycle), rows, RANKINGS)
        say(f"cycle {cycle}: {len(rows)} rankings so far")


if __name__ == "__main__":
    main(cycle_argument(__doc__))
