"""Stage `check_personas`: judge the personas before anybody is paid to rank for them.

data/personas.parquet, data/personas_ledger.json, data/catalog/products.parquet (titles)
    -> metrics/personas.json (the verdict), reports/personas/ (index.html: the verdict, with
       examples; data_docs/)

Exit 1: the personas did not pass; verdict and report are written all the same.

Run:  dvc repro check_personas
Tiny: python -m pipelines.check_personas, after check_personas.min_personas: 5 in params.yaml
"""

from pathlib import Path

from pipelines.pages.personas import personas_page
from pipelines.pages.render import write_page
from pipelines.run.params import load_params
from pipelines.run.paths import PERSONAS_FILE, PERSONAS_LEDGER, PERSONAS_VERDICT, PRODUCTS_FILE
from pipelines.run.stage import conclude, derive_seed, run_stage, stage_lock
from retrieval.storage.files import read_json, sha256_file, write_json
from retrieval.storage.schema import PERSONAS, PRODUCTS, read_rows
from retrieval.titles import Titles
from validation.personas import Wishes, check_personas

REPORT = Path("reports/personas")


def main() -> None:
    """Run the stage.

    Raises:
        SystemExit: The personas did not pass (status 1); verdict and report are written.
    """
    params = load_params()
    with stage_lock("check_personas"):
        personas = read_rows(PERSONAS_FILE, PERSONAS)
        titles = Titles(row["title"] for row in read_rows(PRODUCTS_FILE, PRODUCTS))
        digests = {path.as_posix(): sha256_file(path) for path in (PERSONAS_FILE, PRODUCTS_FILE)}
        judged = check_personas(
            Wishes(personas, titles), params.check_personas, REPORT / "data_docs", digests
        )
        seed = derive_seed(params.seed, "check_personas")
        page = personas_page(judged, personas, read_json(PERSONAS_LEDGER), seed)
        write_page(REPORT / "index.html", page)
        write_json(PERSONAS_VERDICT, judged.verdict.to_json())
    conclude(judged.verdict.passed, judged.verdict.summary(), REPORT / "index.html")


if __name__ == "__main__":
    run_stage(main)
