"""Stage `catalog`: products with pictures, personas, and subjects for concepts.

params.yaml (catalog) and, with `source: folder`, that folder
    -> data/catalog/ (products.parquet, images/, subjects/), data/personas.parquet,
       data/subjects.parquet, reports/catalog_rejects.csv

Run:  dvc repro catalog
Tiny: python -m pipelines.catalog, after catalog.products: 100, catalog.personas: 20 in params.yaml
"""

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from pipelines.folder import read_folder
from pipelines.folder_pictures import PictureLimits
from pipelines.folder_rejects import hold_rejects, write_rejects
from pipelines.params import Catalog, Params, load_params
from pipelines.paths import PERSONAS_FILE, PRODUCTS_FILE, SUBJECTS_FILE
from pipelines.splits import assign_splits
from pipelines.stage import derive_seed, progress, say, stage_lock
from pipelines.studio.personas import write_personas
from pipelines.studio.products import Picture, plan_products
from pipelines.studio.render import render
from pipelines.studio.subjects import plan_subjects
from retrieval.files import atomic_folder, sha256_file
from retrieval.schema import PERSONAS, PRODUCTS, SUBJECTS, write_rows

REJECTS = Path("reports/catalog_rejects.csv")
CHUNK = 16  # pictures a worker takes at a time

Rows = list[dict[str, Any]]


def render_all(pictures: Sequence[tuple[Path, Picture]]) -> None:
    """Render pictures into files, on all processors."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        done = pool.map(_render_one, pictures, chunksize=CHUNK)
        for _ in progress(done, "pictures", total=len(pictures)):
            pass


def _render_one(job: tuple[Path, Picture]) -> None:
    path, picture = job
    path.write_bytes(render(picture.looks, picture.scene, picture.seed))


def studio(params: Params, folder: Path) -> tuple[Rows, Rows, Rows]:
    """Products, personas and subjects of the studio; pictures go into `folder`."""
    settings = params.catalog
    (folder / "images").mkdir()
    (folder / "subjects").mkdir()
    plan = plan_products(settings.products, derive_seed(params.seed, "catalog", "products"))
    products = [{**row, "image": f"images/{row['product_id']}.jpg", "split": ""} for row, _ in plan]
    subjects: Rows = []
    jobs = [(folder / row["image"], plan[at][1]) for at, row in enumerate(products)]
    for row, picture in plan_subjects(
        settings.subjects, derive_seed(params.seed, "catalog", "subjects")
    ):
        image = f"subjects/{row['row_id']}.jpg" if picture else ""
        subjects.append({**row, "image": image})
        if picture:
            jobs.append((folder / image, picture))
    render_all(jobs)
    for row in (*products, *subjects):
        row["image_sha256"] = sha256_file(folder / row["image"]) if row["image"] else ""
    personas = write_personas(settings.personas, derive_seed(params.seed, "catalog", "personas"))
    return products, [{**row, "split": ""} for row in personas], subjects


def photos(settings: Catalog, folder: Path) -> tuple[Rows, Rows, Rows]:
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
                products, personas, subjects = studio(params, folder)
            else:
                products, personas, subjects = photos(settings, folder)
            digests = [row["image_sha256"] for row in products]
            seed = derive_seed(params.seed, "catalog", "split")
            products = assign_splits(products, digests, settings.split, seed)
            write_rows(folder / PRODUCTS_FILE.name, products, PRODUCTS)
        texts = [" ".join(row["text"].casefold().split()) for row in personas]
        personas = assign_splits(personas, texts, settings.split, seed)
        personas = [{"paraphrase": "", "facets": {}, **row} for row in personas]
        # The subjects' table lies one folder above its pictures'.
        above = [
            {**row, "image": f"{PRODUCTS_FILE.parent.name}/{row['image']}" if row["image"] else ""}
            for row in subjects
        ]
        write_rows(PERSONAS_FILE, personas, PERSONAS)
        write_rows(SUBJECTS_FILE, above, SUBJECTS)
        say(f"{len(products)} products, {len(personas)} personas, {len(subjects)} subject rows")


if __name__ == "__main__":
    main()
