"""Stage `check_retrieval`: judge the student by its evaluation and beside the champion.

reports/{queries,concept_queries}.parquet, metrics/evaluate.json, data/catalog,
data/personas.parquet, data/vectors, models/student; the registry's champion, if there is one
    -> metrics/retrieval_verdict.json (the verdict),
       reports/retrieval/ (index.html: the verdict, with what was compared; data_docs/)

It exits 0 whatever the verdict: a version that did not pass can be registered and looked at, and
promotion refuses it. DVC does not see the registry: the verdict names the champion that it was
made beside, and promotion compares anew where that is another by then.

Run:  dvc repro check_retrieval
Tiny: python -m pipelines.check_retrieval, after check_retrieval.min_queries: 5 in params.yaml
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from pipelines.held_out.candidate import read_candidate
from pipelines.pages.render import write_page
from pipelines.pages.retrieval import retrieval_page
from pipelines.run.params import load_params
from pipelines.run.paths import (
    CAPTION_VECTORS,
    EVALUATION,
    PERSONA_VECTORS,
    PERSONAS_FILE,
    PRODUCTS_FILE,
    QUERIES_FILE,
    RETRIEVAL_VERDICT,
    product_vectors,
)
from pipelines.run.stage import conclude, run_stage, stage_lock
from registry.catalogue_index import try_index
from registry.comparison import compare_with
from registry.versions import find_champion
from retrieval.index.collection import Item
from retrieval.storage.files import read_json, sha256_file, write_json
from retrieval.storage.schema import PRODUCTS, QUERIES, ProductRow, QueryRow, read_rows
from retrieval.storage.vectors import read_vectors
from validation.retrieval import Evidence, check_retrieval
from validation.retrieval_champion import Comparison, Uncompared
from validation.retrieval_champion_suites import IndexTrial

REPORT = Path("reports/retrieval")
TRIED = 100  # queries that the index is tried with, evenly among the personas


def inputs() -> dict[str, str]:
    """SHA-256 of the files that the verdict is about."""
    tables = (QUERIES_FILE, EVALUATION, PRODUCTS_FILE, PERSONAS_FILE)
    vectors = (product_vectors("student"), PERSONA_VECTORS, CAPTION_VECTORS)
    return {path.as_posix(): sha256_file(path) for path in (*tables, *vectors)}


def index_trial(products: Sequence[ProductRow]) -> IndexTrial:
    """The index of the whole catalogue, asked what personas want."""
    items = [
        Item(row["product_id"], row["category"], row["price"], row["attributes"])
        for row in products
    ]
    texts_ND = read_vectors(PERSONA_VECTORS).vectors
    rows = np.unique(np.linspace(0, len(texts_ND) - 1, min(TRIED, len(texts_ND))).astype(int))
    try:
        return IndexTrial(
            try_index(read_vectors(product_vectors("student")), items, texts_ND[rows])
        )
    except ValueError as error:
        return IndexTrial(0.0, str(error))


def beside_champion(
    name: str, queries: Sequence[QueryRow], products: Sequence[ProductRow]
) -> Comparison | Uncompared | None:
    """The student beside the champion of the registered model; None where there is none."""
    champion = find_champion(name)
    if champion is None:
        return None
    return compare_with(champion, lambda: read_candidate(queries, products))


def main() -> None:
    """Run the stage."""
    params = load_params()
    with stage_lock("check_retrieval"):
        queries, products = read_rows(QUERIES_FILE, QUERIES), read_rows(PRODUCTS_FILE, PRODUCTS)
        evidence = Evidence(
            queries=pd.DataFrame(queries, columns=QUERIES.names),
            metrics=read_json(EVALUATION),
            index=index_trial(products),
            champion=beside_champion(params.registration.name, queries, products),
        )
        limits = params.check_retrieval
        found = check_retrieval(evidence, limits, REPORT / "data_docs", inputs())
        write_page(REPORT / "index.html", retrieval_page(found, limits.confidence))
        write_json(RETRIEVAL_VERDICT, found.judged.verdict.to_json())
    conclude(True, found.judged.verdict.summary(), REPORT / "index.html")  # promotion enforces it


if __name__ == "__main__":
    run_stage(main)
