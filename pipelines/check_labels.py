"""Stage `check_labels@<cycle>`: judge the teacher's labels; a bad teacher stops the pipeline here.

data/labels/<cycle>/rankings.parquet, data/personas.parquet (wants),
data/catalog/products.parquet (attributes)
    -> metrics/labels_<cycle>.json (the verdict), reports/labels/<cycle>/ (Data Docs)

Exit 1: the labels did not pass; verdict and report are written all the same.

Run:  dvc repro check_labels@c1
Tiny: python -m pipelines.check_labels c1, after check_labels.min_rankings: 10 in params.yaml
"""

import sys
from pathlib import Path

import pandas as pd

from pipelines.params import load_params
from pipelines.paths import PERSONAS_FILE, PRODUCTS_FILE, rankings_file
from pipelines.stage import cycle_argument, say, stage_lock
from retrieval.files import sha256_file, write_json
from retrieval.schema import PERSONAS, PRODUCTS, RANKINGS, read_rows
from validation.labels import LabelLimits, Truth, check_labels

METRICS = Path("metrics")
REPORTS = Path("reports/labels")


def read_truth(personas: Path, products: Path) -> Truth:
    """The wants of personas and the attributes of products. Raises as `read_rows`."""
    return Truth(
        wants={row["persona_id"]: row["wants"] or {} for row in read_rows(personas, PERSONAS)},
        attributes={
            row["product_id"]: row["attributes"] or {} for row in read_rows(products, PRODUCTS)
        },
    )


def main(cycle: str) -> None:
    """Run the stage for one cycle.

    Raises:
        SystemExit: The labels did not pass (status 1); verdict and report are written.
    """
    limits = LabelLimits(**load_params().check_labels.model_dump())
    rankings, report = rankings_file(cycle), REPORTS / cycle
    with stage_lock(f"check_labels@{cycle}"):
        files = (rankings, PERSONAS_FILE, PRODUCTS_FILE)
        verdict = check_labels(
            pd.DataFrame(read_rows(rankings, RANKINGS), columns=RANKINGS.names),
            read_truth(PERSONAS_FILE, PRODUCTS_FILE),
            limits,
            report,
            {path.as_posix(): sha256_file(path) for path in files},
        )
        write_json(METRICS / f"labels_{cycle}.json", verdict.to_json())
    message = f"{verdict.summary()}\nreport: {(report / 'index.html').as_posix()}"
    if not verdict.passed:
        sys.stderr.write(f"{message}\n")
        raise SystemExit(1)
    say(message)


if __name__ == "__main__":
    main(cycle_argument(__doc__))
