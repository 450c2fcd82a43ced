"""Stage `check_retrieval`: judge the student by its evaluation; the verdict travels with it.

reports/queries.parquet, metrics/evaluate.json
    -> metrics/retrieval_verdict.json (the verdict), reports/retrieval/ (Data Docs)

It exits 0 whatever the verdict: a version that did not pass can be registered and looked at, and
promotion refuses it.

Run:  dvc repro check_retrieval
Tiny: python -m pipelines.check_retrieval, after check_retrieval.min_queries: 5 in params.yaml
"""

from pathlib import Path

import pandas as pd

from pipelines.params import load_params
from pipelines.stage import say, stage_lock
from retrieval.files import read_json, sha256_file, write_json
from retrieval.schema import QUERIES, read_rows
from validation.retrieval import RetrievalLimits, check_retrieval

QUERIES_FILE = Path("reports/queries.parquet")
EVALUATION = Path("metrics/evaluate.json")
VERDICT = Path("metrics/retrieval_verdict.json")
REPORT = Path("reports/retrieval")


def main() -> None:
    """Run the stage."""
    limits = RetrievalLimits(**load_params().check_retrieval.model_dump())
    with stage_lock("check_retrieval"):
        verdict = check_retrieval(
            pd.DataFrame(read_rows(QUERIES_FILE, QUERIES), columns=QUERIES.names),
            read_json(EVALUATION),
            limits,
            REPORT,
            {path.as_posix(): sha256_file(path) for path in (QUERIES_FILE, EVALUATION)},
        )
        write_json(VERDICT, verdict.to_json())
    say(f"{verdict.summary()}\nreport: {(REPORT / 'index.html').as_posix()}")


if __name__ == "__main__":
    main()
