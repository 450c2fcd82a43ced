"""The studio as a catalogue: products with rendered pictures, personas, subjects for concepts."""

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from pipelines.run.params import Params
from pipelines.run.stage import derive_seed, progress
from pipelines.studio.interests import all_interests
from pipelines.studio.personas import draw_unseen, write_personas
from pipelines.studio.products import Picture, plan_products, plan_sets
from pipelines.studio.render import render
from pipelines.studio.subjects import plan_subjects
from pipelines.studio.vocabulary import KINDS
from retrieval.storage.files import sha256_file
from retrieval.storage.schema import PersonaRow, ProductRow, SubjectRow

CHUNK = 16  # pictures a worker takes at a time


def render_all(pictures: Sequence[tuple[Path, Picture]]) -> None:
    """Render pictures into files, on all processors."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        done = pool.map(_render_one, pictures, chunksize=CHUNK)
        for _ in progress(done, "pictures", total=len(pictures)):
            pass


def _render_one(job: tuple[Path, Picture]) -> None:
    path, picture = job
    path.write_bytes(render(picture.looks, picture.scene, picture.seed))


def make_studio(
    params: Params, folder: Path
) -> tuple[list[ProductRow], list[PersonaRow], list[SubjectRow]]:
    """Products, personas and subjects of the studio; pictures go into `folder`."""
    settings = params.catalog
    (folder / "images").mkdir()
    (folder / "subjects").mkdir()
    plan = [
        *plan_products(settings.products, derive_seed(params.seed, "catalog", "products")),
        *plan_sets(settings.sets, derive_seed(params.seed, "catalog", "sets")),
    ]
    shown = plan_subjects(settings.subjects, derive_seed(params.seed, "catalog", "subjects"))
    products, subjects = [row for row, _ in plan], [row for row, _ in shown]
    for product in products:
        product["image"] = f"images/{product['product_id']}.jpg"
    for subject, picture in shown:
        subject["image"] = f"subjects/{subject['row_id']}.jpg" if picture else ""
    render_all([(folder / row["image"], picture) for row, picture in (*plan, *shown) if picture])
    for row in (*products, *subjects):
        row["image_sha256"] = sha256_file(folder / row["image"]) if row["image"] else ""
    personas = write_personas(
        settings.personas, derive_seed(params.seed, "catalog", "personas"), unseen_interests(params)
    )
    return products, personas, subjects


def unseen_interests(params: Params) -> frozenset[str]:
    """The interests that no training persona has, drawn by seed."""
    seed = derive_seed(params.seed, "catalog", "unseen interests")
    return draw_unseen(params.catalog.unseen_interests, seed)


def unseen_kinds(params: Params) -> frozenset[str]:
    """The kinds of product that are kept out of distillation, drawn by seed.

    First of those that a seen interest wants most or second most: a kind that hardly anybody
    chooses says nothing of how unseen kinds are ranked.
    """
    rng = np.random.default_rng(derive_seed(params.seed, "catalog", "unseen kinds"))
    unseen = unseen_interests(params)
    wanted = {
        kind
        for interest in all_interests()
        if interest.name not in unseen
        for kind in sorted(interest.kinds, key=lambda kind: -interest.kinds[kind])[:2]
    }
    kinds = rng.permutation([kind.noun for kind in KINDS]).tolist()
    kinds.sort(key=lambda kind: kind not in wanted)  # stable: the rest stays as it was drawn
    return frozenset(kinds[: params.catalog.unseen_kinds])


def keep_kinds_unseen(products: Sequence[ProductRow], kinds: frozenset[str]) -> list[ProductRow]:
    """The products, those of the kinds that are no test products with split `base`.

    The base model learns their captions; no teacher ranks them, and no cycle is chosen by them.
    """
    return [
        {**row, "split": "base"}
        if row["attributes"]["kind"] in kinds and row["split"] != "test"
        else row
        for row in products
    ]
