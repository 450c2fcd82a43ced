"""Stage `catalog`: products with pictures, personas, and subjects for concepts, as they are found.

A catalogue that is too small for a later stage, or lacks what it needs, stops here.

params.yaml (catalog) and, with `source: folder`, that folder
    -> data/catalog/ (images/, subjects/), data/found/ (products.parquet, personas.parquet: what
       they lack, the stages `captions` and `personas` add), data/subjects.parquet,
       reports/catalog_rejects.csv, reports/catalog_near_duplicates.csv

Run:  dvc repro catalog
Tiny: python -m pipelines.catalog, after catalog.products: 240, catalog.personas: 120 in params.yaml
"""

from pathlib import Path

from pipelines.ingest.folder import read_folder
from pipelines.ingest.near_duplicates import find_near, hash_pictures
from pipelines.ingest.near_report import near_in_products, near_in_subjects, write_report
from pipelines.ingest.pictures import PictureLimits
from pipelines.ingest.rejects import hold_rejects, write_rejects
from pipelines.ingest.splits import assign_splits, keep_together
from pipelines.ingest.sufficiency import OF_A_TOURNAMENT, hold_sufficiency
from pipelines.ingest.wishes import read_texts, split_personas
from pipelines.run.params import Params, load_params
from pipelines.run.paths import FOUND_PERSONAS_FILE, FOUND_PRODUCTS_FILE, PICTURES, SUBJECTS_FILE
from pipelines.run.recipe import resolve_recipe
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
NEAR_DUPLICATES = Path("reports/catalog_near_duplicates.csv")


def studio(
    params: Params, folder: Path, seed: int
) -> tuple[list[ProductRow], list[PersonaRow], list[SubjectRow]]:
    """The studio's products with splits, personas and subjects; pictures go into `folder`."""
    products, personas, subjects = make_studio(params, folder)
    digests = [row["image_sha256"] for row in products]
    products = assign_splits(products, digests, params.catalog.split, seed, OF_A_TOURNAMENT)
    write_report(NEAR_DUPLICATES, [])  # drawn to differ, so not compared
    return keep_kinds_unseen(products, unseen_kinds(params)), personas, subjects


def photos(
    params: Params, folder: Path, seed: int
) -> tuple[list[ProductRow], list[PersonaRow], list[SubjectRow]]:
    """The same from the user's folder; good pictures go into `folder`.

    Raises:
        SystemExit: A table is missing or wrong, or too many rows are rejected.
    """
    settings = params.catalog
    limits = PictureLimits(settings.max_megapixels, settings.max_side)
    given = params.personas.kind == "given"
    found = read_folder(settings.folder, folder / "images", folder / "subjects", limits, given)
    write_rejects(REJECTS, found.rejects)
    hold_rejects(found.rejects, found.rows, settings.max_reject_fraction)
    near = find_near(hash_pictures([folder / row["image"] for row in found.products]))
    products, contents = keep_together(found.products, found.groups, near)
    products = assign_splits(products, contents, settings.split, seed, OF_A_TOURNAMENT)
    shown = [row for row in found.subjects if row["image"]]
    near_shown = find_near(hash_pictures([folder / row["image"] for row in shown]))
    lines = near_in_products(products, near, found.sources)
    lines += near_in_subjects(shown, near_shown, found.sources)
    write_report(NEAR_DUPLICATES, lines)
    say(f"near-duplicate pairs: {len(lines)}, listed in {NEAR_DUPLICATES}")
    return products, found.personas, found.subjects


def main() -> None:
    """Make or read the catalogue, split its products, write it."""
    params = load_params()
    seed = derive_seed(params.seed, "catalog", "split")
    with stage_lock("catalog"):
        write_rejects(REJECTS, [])
        # The complete table goes with the old pictures: the stage `captions` writes the new one.
        with atomic_folder(PICTURES) as folder:
            make = studio if params.catalog.source == "studio" else photos
            products, personas, subjects = make(params, folder, seed)
            for name in ("images", "subjects"):  # there may be none
                (folder / name).mkdir(exist_ok=True)
            given = params.personas.kind == "given"
            if given:  # those that come later get their splits when they come
                personas = split_personas(personas, params.catalog, seed, read_texts)
            hold_sufficiency(resolve_recipe(params), products, personas if given else None)
        # The subjects' table lies one folder above its pictures'.
        above: list[SubjectRow] = [
            {**row, "image": f"{PICTURES.name}/{row['image']}" if row["image"] else ""}
            for row in subjects
        ]
        write_rows(FOUND_PRODUCTS_FILE, products, PRODUCTS)
        write_rows(FOUND_PERSONAS_FILE, personas, PERSONAS)
        write_rows(SUBJECTS_FILE, above, SUBJECTS)
        say(f"{len(products)} products, {len(personas)} personas, {len(subjects)} subject rows")


if __name__ == "__main__":
    run_stage(main)
