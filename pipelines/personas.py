"""Stage `personas`: whose wishes are served; given, sampled from a file, or written by a model.

data/found/personas.parquet, data/catalog/products.parquet; personas.path for kind: file;
teacher.file.path for teacher.kind: file, where it names wishes by their text
    -> data/personas.parquet (with splits), data/personas_ledger.json (what was dropped, and why),
       reports/texts.csv (captions and personas that the base model cannot read)

What a model wrote is in the journal, var/teacher/personas.jsonl, before it counts. docs/words.md.

Run:  dvc repro personas
Tiny: python -m pipelines.personas, after the stages `catalog` and `captions`
"""

from collections.abc import Sequence
from typing import Any

from pipelines.ingest.text_report import REPORT as TEXTS
from pipelines.ingest.text_report import report_texts
from pipelines.ingest.wishes import read_texts, split_personas
from pipelines.labelling.file_personas import personas_of_labels
from pipelines.run.params import Params, load_params
from pipelines.run.paths import FOUND_PERSONAS_FILE, PERSONAS_FILE, PERSONAS_LEDGER, PRODUCTS_FILE
from pipelines.run.stage import derive_seed, run_stage, say, stage_lock
from pipelines.writing.personas import write_personas
from pipelines.writing.texts import sample_texts
from retrieval.storage.files import write_json
from retrieval.storage.schema import PERSONAS, PRODUCTS, PersonaRow, read_rows, write_rows
from retrieval.text.readable import find_tokenizer


def bring(params: Params, given: Sequence[PersonaRow]) -> tuple[list[PersonaRow], dict[str, Any]]:
    """The personas by `personas.kind`, and what came of bringing them.

    Raises:
        SystemExit: The file or the model says why there are none.
    """
    settings = params.personas
    if settings.kind == "given":
        return list(given), {"given": len(given), "counts": {}}
    if params.teacher.kind == "simulated":  # said before anybody is paid
        msg = (
            f"personas.kind is {settings.kind} and teacher.kind simulated, which judges by wants:"
            " such personas have none; set teacher.kind to openai, transformers or file"
        )
        raise SystemExit(msg)
    kept = list(given) if settings.beside_given else []
    known = [row["text"] for row in kept]
    new: list[PersonaRow]
    if settings.kind == "file":
        new, counts = sample_texts(settings, derive_seed(params.seed, "personas"), known)
        ledger: dict[str, Any] = {"counts": counts}
    else:
        new, ledger = write_personas(params, read_rows(PRODUCTS_FILE, PRODUCTS), known)
    if len(new) < settings.count:
        say(f"personas.count: {settings.count} are wanted, and {len(new)} came of it")
    return kept + new, {"given": len(kept), "new": len(new), **ledger}


def _tokenizer(params: Params) -> Any | None:
    """Of the base model; the studio's texts are English, so there is none to ask."""
    if params.catalog.source == "studio":
        return None
    return find_tokenizer(params.base.model, params.base.pretrained)


def main() -> None:
    """Bring the personas, split them, write them."""
    params = load_params()
    with stage_lock("personas"):
        found = read_rows(FOUND_PERSONAS_FILE, PERSONAS)
        personas, ledger = bring(params, found)
        seed = derive_seed(params.seed, "catalog", "split")
        personas = split_personas(personas, params.catalog, seed, read_texts)
        if params.teacher.kind == "file":
            new = personas_of_labels(params.teacher.file.path, personas)
            personas, ledger["labels"] = [*personas, *new], len(new)
        products = read_rows(PRODUCTS_FILE, PRODUCTS)
        report_texts(TEXTS, _tokenizer(params), products, personas)
        write_rows(PERSONAS_FILE, personas, PERSONAS)
        write_json(PERSONAS_LEDGER, {"kind": params.personas.kind, **ledger})
    counts = ", ".join(f"{key}: {value}" for key, value in ledger["counts"].items())
    say(f"{len(personas)} personas" + (f" ({counts})" if counts else ""))


if __name__ == "__main__":
    run_stage(main)
