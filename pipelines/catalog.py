"""Stage `catalog`: products with pictures, personas, and subjects for concepts.

params.yaml (catalog) and, with `source: folder`, that folder
    -> data/catalog/ (products.parquet, images/, subjects/), data/personas.parquet,
       data/subjects.parquet, reports/catalog_rejects.csv

Run:  dvc repro catalog
Tiny: python -m pipelines.catalog, after catalog.products: 100, catalog.personas: 20 in params.yaml
"""

from pathlib import Path

from pipelines.ingest.folder import read_folder
from pipelines.ingest.pictures import PictureLimits
from pipelines.ingest.rejects import hold_rejects, write_rejects
from pipelines.ingest.splits import assign_splits
from pipelines.run.params import Catalog, load_params
from pipelines.run.paths import PERSONAS_FILE, PRODUCTS_FILE, SUBJECTS_FILE
from pipelines.run.stage import derive_seed, run_stage, say, stage_lock
from pipelines.studio.catalogue import keep_kinds_unseen, make_studio, unseen_kinds
from retrieval.storage.files import atomic_folder
from retrieval.storage.schema import (
    PERSONAS,
    PRODUCTS,
    SUBJECTS,
    PersonaRow,
    ProductRow,
    SubjectRow,
    write_rows,
)

REJECTS = Path("reports/catalog_rejects.csv")


def photos(
    settings: Catalog, folder: Path
) -> tuple[list[ProductRow], list[PersonaRow], list[SubjectRow]]:
    """Products, personas and subjects of the user's folder; good pictures go into `folder`.

    Raises:
        SystemExit: A table is missing or wrong, or too many rows are rejected.
    """
    limits = PictureLimits(settings.max_megapixels, settings.max_side)
    found = read_folder(settings.folder, folder / "images", folder / "subjects", limits)
    write_rejects(REJECTS, found.rejects)
    hold_rejects(found.rejects, found.rows, settings.max_reject_fraction)
    return found.products, found.personas, found.subjects


def main() -> None:
    """Make or read the catalogue, split it, write it."""
    params = load_params()
    settings = params.catalog
    with stage_lock("catalog"):
        write_rejects(REJECTS, [])
        with atomic_folder(PRODUCTS_FILE.parent) as folder:
            if settings.source == "studio":
                products, personas, subjects = make_studio(params, folder)
            else:
                products, personas, subjects = photos(settings, folder)
            digests = [row["image_sha256"] for row in products]
            seed = derive_seed(params.seed, "catalog", "split")
            products = assign_splits(products, digests, settings.split, seed)
            if settings.source == "studio":
                products = keep_kinds_unseen(products, unseen_kinds(params))
            write_rows(folder / PRODUCTS_FILE.name, products, PRODUCTS)
        texts = [" ".join(row["text"].casefold().split()) for row in personas]
        personas = assign_splits(personas, texts, settings.split, seed)
        # The subjects' table lies one folder above its pictures'.
        above: list[SubjectRow] = [
            {**row, "image": f"{PRODUCTS_FILE.parent.name}/{row['image']}" if row["image"] else ""}
            for row in subjects
        ]
        write_rows(PERSONAS_FILE, personas, PERSONAS)
        write_rows(SUBJECTS_FILE, above, SUBJECTS)
        say(f"{len(products)} products, {len(personas)} personas, {len(subjects)} subject rows")


if __name__ == "__main__":
    run_stage(main)
