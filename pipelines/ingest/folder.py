"""`catalog.source: folder`: a user's own photos, personas and subjects, read with distrust.

    folder/products.csv      or products.parquet, or products.jsonl: exactly one of them
           personas.jsonl    unless personas.kind brings them
           subjects.jsonl    if personal concepts are to be measured
           ...               the pictures, at any place inside

What can be repaired without a guess is (rotation, colour mode, transparency, a blank title); every
other fault rejects its row, with all reasons, and the caller reports the rejects together.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from pipelines.ingest.personas import log_unmet_wants, read_personas
from pipelines.ingest.pictures import PictureCopier, PictureLimits
from pipelines.ingest.products import find_products, read_products
from pipelines.ingest.rejects import Checked, Reject
from pipelines.ingest.subjects import read_subjects
from retrieval.storage.schema import PersonaRow, ProductRow, SubjectRow


@dataclass(frozen=True)
class FolderCatalog:
    """What the folder holds: rows of the catalogue's tables, and the rejects.

    `split` is "" where the user left it open. Every row of every file is in exactly one of
    `products`, `personas`, `subjects` and `rejects`.
    """

    products: list[ProductRow]
    groups: list[str]  # of each product, "" for none: photos of one article
    personas: list[PersonaRow]
    subjects: list[SubjectRow]  # empty without a subjects.jsonl
    sources: dict[str, str]  # a copied picture, as rows name it -> its name in the folder
    rejects: list[Reject]
    rows: dict[str, int]  # file name -> how many rows it has, rejected ones included


def read_folder(
    folder: Path,
    images: Path,
    subject_images: Path,
    limits: PictureLimits,
    needs_personas: bool = True,
) -> FolderCatalog:
    """Read the folder, and copy the pictures of the rows that are kept.

    Args:
        folder: The user's folder (`catalog.folder`).
        images: Where the products' pictures go; rows name them relative to its parent.
        subject_images: The same for the subjects' pictures; made only if there are subjects.
        limits: What is refused, and what is scaled down.
        needs_personas: Whether they have to be here; nobody else brings them.

    Raises:
        SystemExit: A table is missing, cannot be read, lacks a column, or has no rows.
    """
    products_table, subjects_table = find_products(folder), folder / "subjects.jsonl"
    personas_table, personas = folder / "personas.jsonl", None
    if needs_personas or personas_table.is_file():
        personas = read_personas(personas_table)  # first: it is quick, and may be missing
    with warnings.catch_warnings():
        # Pillow warns of what max_megapixels decides here; the reject says it better.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        pictures = PictureCopier(folder, images, limits)
        products, groups = read_products(products_table, pictures)
        sources, subjects = pictures.sources, None
        if subjects_table.is_file():
            pictures = PictureCopier(folder, subject_images, limits)
            subjects = read_subjects(subjects_table, pictures)
            sources |= pictures.sources
    kept = personas.kept if personas else []
    log_unmet_wants(kept, products.kept)
    checked: list[Checked[Any]] = [each for each in (products, personas, subjects) if each]
    return FolderCatalog(
        products=products.kept,
        groups=groups,
        personas=kept,
        subjects=subjects.kept if subjects else [],
        sources=sources,
        rejects=[reject for each in checked for reject in each.rejects],
        rows={each.table.file: len(each.table.rows) for each in checked},
    )
