"""Stage `check_labels@<cycle>`: judge the teacher's labels; a bad teacher stops the pipeline here.

data/labels/<cycle>/ (rankings, audits, ledger), data/personas.parquet (wants),
data/catalog (attributes, pictures)
    -> metrics/labels/<cycle>.json (the verdict),
       reports/labels/<cycle>/ (index.html: the verdict, with example groups; data_docs/)

Exit 1: the labels did not pass; verdict and report are written all the same.

Run:  dvc repro check_labels@c1
Tiny: python -m pipelines.check_labels c1, after check_labels.min_rankings: 10 in params.yaml
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from pydantic import TypeAdapter, ValidationError

from pipelines.pages.labels import labels_page, read_examples
from pipelines.pages.render import write_page
from pipelines.run.params import load_params
from pipelines.run.paths import (
    PERSONAS_FILE,
    PRODUCTS_FILE,
    audits_file,
    label_verdict,
    ledger_file,
    rankings_file,
)
from pipelines.run.stage import conclude, cycle_argument, derive_seed, run_stage, stage_lock
from retrieval.storage.files import read_json, sha256_file, write_json
from retrieval.storage.schema import (
    AUDITS,
    PERSONAS,
    PRODUCTS,
    RANKINGS,
    PersonaRow,
    ProductRow,
    read_rows,
)
from validation.label_suites import Ledger
from validation.label_tables import Catalogue, Truth
from validation.labels import Evidence, check_labels

REPORTS = Path("reports/labels")


def read_ledger(path: Path) -> Ledger:
    """Read what the stage `label` wrote.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no ledger.
    """
    try:
        return TypeAdapter(Ledger).validate_python(read_json(path))
    except ValidationError as error:
        msg = f"{path} is no ledger ({error}); run the stage `label` again"
        raise ValueError(msg) from error


def read_evidence(
    cycle: str, personas: Sequence[PersonaRow], products: Sequence[ProductRow]
) -> Evidence:
    """Everything that the gate judges a cycle by. Raises as `read_rows` and `read_ledger`."""
    return Evidence(
        rankings=pd.DataFrame(read_rows(rankings_file(cycle), RANKINGS), columns=RANKINGS.names),
        audits=pd.DataFrame(read_rows(audits_file(cycle), AUDITS), columns=AUDITS.names),
        ledger=read_ledger(ledger_file(cycle)),
        truth=Truth(
            wants={row["persona_id"]: row["wants"] or {} for row in personas},
            attributes={row["product_id"]: row["attributes"] or {} for row in products},
        ),
        catalogue=Catalogue(
            products=[row["product_id"] for row in products if row["split"] == "train"],
            personas=[row["persona_id"] for row in personas if row["split"] == "train"],
            categories={row["product_id"]: row["category"] or "" for row in products},
        ),
    )


def main(cycle: str) -> None:
    """Run the stage for one cycle.

    Raises:
        SystemExit: The labels did not pass (status 1); verdict and report are written.
    """
    params = load_params()
    report = REPORTS / cycle
    files = (
        rankings_file(cycle), audits_file(cycle), ledger_file(cycle), PERSONAS_FILE, PRODUCTS_FILE
    )  # fmt: skip
    with stage_lock(f"check_labels@{cycle}"):
        personas, products = read_rows(PERSONAS_FILE, PERSONAS), read_rows(PRODUCTS_FILE, PRODUCTS)
        evidence = read_evidence(cycle, personas, products)
        digests = {path.as_posix(): sha256_file(path) for path in files}
        judged = check_labels(evidence, params.check_labels, report / "data_docs", digests)
        rankings = read_rows(rankings_file(cycle), RANKINGS)
        seed = derive_seed(params.seed, "check_labels", cycle)
        examples = read_examples(rankings, personas, products, seed)
        write_page(report / "index.html", labels_page(cycle, judged, evidence, examples))
        write_json(label_verdict(cycle), judged.verdict.to_json())
    conclude(judged.verdict.passed, judged.verdict.summary(), report / "index.html")


if __name__ == "__main__":
    run_stage(main, cycle_argument(__doc__))
