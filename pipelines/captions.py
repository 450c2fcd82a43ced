"""Stage `captions`: every product gets a caption; a model writes those that the catalogue lacks.

data/found/products.parquet, data/catalog/images
    -> data/catalog/products.parquet (complete), data/captions_ledger.json,
       reports/caption_rejects.csv (products that got no caption: they are left out)

Every reply is in the journal, var/teacher/captions.jsonl, before it counts: a run that was killed
asks only for what is missing. docs/words.md.

Run:  dvc repro captions
Tiny: python -m pipelines.captions, after the stage `catalog`
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.ingest.rejects import Reject, hold_rejects, write_rejects
from pipelines.labelling.teachers.asking import Purpose
from pipelines.labelling.teachers.factory import open_asker
from pipelines.labelling.teachers.protocol import Request
from pipelines.run.params import Params, load_params
from pipelines.run.paths import CAPTIONS_LEDGER, FOUND_PRODUCTS_FILE, PICTURES, PRODUCTS_FILE
from pipelines.run.stage import run_stage, say, stage_lock
from pipelines.writing.captioner import make_captioner
from pipelines.writing.captions import read_caption
from retrieval.storage.files import write_json
from retrieval.storage.schema import PRODUCTS, ProductRow, read_rows, write_rows

REJECTS = Path("reports/caption_rejects.csv")
NOT_GIVEN = (
    "it has no caption; write it, or set captions.kind: openai or transformers for a model to"
)
REFUSED = "no reply was a caption, not even when asked again; var/teacher/captions.jsonl has them"
UNASKED = "the budget ended before it; raise teacher.max_calls or teacher.max_cost_usd"


def write_captions(
    params: Params, products: Sequence[ProductRow]
) -> tuple[dict[str, str | None], dict[str, Any]]:
    """Ask for a caption of each product; say before what it will cost.

    Returns:
        Captions by product id, None where no reply was one; a product that the budget left unasked
        is missing. And the ledger.

    Raises:
        SystemExit: The model cannot be asked now.
    """
    captioner = make_captioner(params, products, PICTURES)
    requests = [Request("", (row["product_id"],)) for row in products]
    limit = params.captions.max_words
    purpose = Purpose("captions", read=lambda raw, _: read_caption(raw, limit))
    with open_asker(params, captioner, purpose, len(requests)) as asker:
        say(f"captions: {asker.forecast(requests)}")
        heard = asker.hear(requests)
    captions = {
        row["product_id"]: one.said for row, one in zip(products, heard, strict=True) if one
    }
    return captions, {"writer": captioner.name, **asker.budget.to_json()}


def complete(
    products: Sequence[ProductRow], captions: Mapping[str, str | None], kind: str
) -> tuple[list[ProductRow], list[Reject]]:
    """Products with captions, and titles where those are blank; and those that stay without."""
    kept: list[ProductRow] = []
    rejects: list[Reject] = []
    for number, row in enumerate(products, 1):
        identity = row["product_id"]
        caption = row["caption"] or captions.get(identity)
        if caption:
            kept.append({**row, "caption": caption, "title": row["title"] or caption})
        else:
            unwritten = REFUSED if identity in captions else UNASKED
            reason = NOT_GIVEN if kind == "given" else unwritten
            rejects.append(Reject("captions", number, identity, reason))
    return kept, rejects


def main() -> None:
    """Read, caption, write."""
    params = load_params()
    with stage_lock("captions"):
        found = read_rows(FOUND_PRODUCTS_FILE, PRODUCTS)
        missing = [row for row in found if not row["caption"]]
        captions: dict[str, str | None] = {}
        ledger: dict[str, Any] = {}
        if missing and params.captions.kind != "given":
            captions, ledger = write_captions(params, missing)
        products, rejects = complete(found, captions, params.captions.kind)
        counts = {"given": len(found) - len(missing), "missing": len(rejects)}
        counts["written"] = len(products) - counts["given"]
        write_rejects(REJECTS, rejects)
        limit = params.catalog.max_reject_fraction
        hold_rejects(rejects, {"captions": len(found)}, limit, REJECTS)
        write_rows(PRODUCTS_FILE, products, PRODUCTS)
        write_json(CAPTIONS_LEDGER, {"kind": params.captions.kind, **counts, **ledger})
    say(f"captions: {counts['given']} given, {counts['written']} written, {len(rejects)} missing")


if __name__ == "__main__":
    run_stage(main)
