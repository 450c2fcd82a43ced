"""A revision: the bundle of a trained version with another catalogue.

The models, what they were taught and the recorded numbers stay. A product that was not there when
the version was trained gets a split of its own, so that the numbers are about the products that
they were measured on; so does one with another picture. What was measured and trained on and is
there no more is left out: a held-out query whose winner is gone, and choices that are gone.

A revision follows from the trained version and the products alone, whatever revisions were between:
a product that comes back gets back its split and its queries, and equal content has one digest.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from registry.bundle import PRODUCTS, QUERIES, Bundle, Product, bundle_digest
from registry.checksums import FOREIGN, SUMS, write_sums
from registry.lineage import Revision
from registry.model_card import CardFacts, render_card
from registry.model_uses import read_towers
from registry.wishes import WISHES, WishRow
from retrieval.storage import schema
from retrieval.storage.files import atomic_folder, write_json
from retrieval.storage.vectors import Vectors, write_vectors

ADDED = "added"  # the split of products that came after training
HELD_OUT = "test"
_REWRITTEN = (
    "products.parquet", "queries.parquet", "wishes.parquet", "vectors", "lineage.json",
    "MODEL_CARD.md", SUMS, *FOREIGN,
)  # fmt: skip


@dataclass(frozen=True)
class Catalogue:
    """What a revision holds, in its order. N products."""

    products: Sequence[Product]
    student: Vectors  # of all of them
    base: Vectors
    captions: Vectors  # of held-out products whose captions are not those of the trained version


@dataclass(frozen=True)
class Difference:
    """How one catalogue differs from another: ids of products."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]  # their picture or what is said of them
    repictured: tuple[str, ...]  # of these, those with another picture

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.added or self.removed or self.changed)

    def summary(self) -> str:
        """In a few words."""
        counts = {"added": self.added, "changed": self.changed, "removed": self.removed}
        return ", ".join(f"{len(ids)} {what}" for what, ids in counts.items())


def compare_catalogues(before: Sequence[Product], after: Sequence[Product]) -> Difference:
    """What changed from one catalogue to another; splits and order do not count."""
    known = {product.product_id: product for product in before}
    there = {product.product_id for product in after}
    both = [(known[p.product_id], p) for p in after if p.product_id in known]
    repictured = {new.product_id for old, new in both if old.image_sha256 != new.image_sha256}
    said = {new.product_id for old, new in both if facts(old) != facts(new)}
    return Difference(
        added=tuple(p.product_id for p in after if p.product_id not in known),
        removed=tuple(p.product_id for p in before if p.product_id not in there),
        changed=tuple(new.product_id for _, new in both if new.product_id in repictured | said),
        repictured=tuple(new.product_id for _, new in both if new.product_id in repictured),
    )


def facts(product: Product) -> tuple[Any, ...]:
    """What is said of a product, to be compared: an unknown price equals another one."""
    price = None if np.isnan(product.price) else product.price
    attributes = sorted(product.attributes.items())
    return product.title, product.caption, product.category, price, attributes


def write_revision(
    folder: Path, trained: Bundle, catalogue: Catalogue, revision: Revision, name: str
) -> str:
    """Write the bundle of a revision, whole or not at all, and return its digest.

    Args:
        folder: Where.
        trained: The bundle that it revises; of format 6 at least.
        catalogue: The products, with the splits that `split_of` gives them.
        revision: The record for its lineage.
        name: The registered model, for the card.

    Raises:
        KeyError: A product has no vector, or a held-out one no vector of its caption.
        ValueError: A vector is no unit vector.
    """
    with atomic_folder(folder) as draft:
        shutil.copytree(
            trained.folder,
            draft,
            copy_function=shutil.copyfile,
            ignore=lambda at, _: _REWRITTEN if Path(at) == trained.folder else (),
            dirs_exist_ok=True,
        )
        rows = [asdict(product) for product in catalogue.products]
        schema.write_rows(draft / "products.parquet", rows, PRODUCTS)
        ids = [product.product_id for product in catalogue.products]
        for model, vectors in (("student", catalogue.student), ("base", catalogue.base)):
            write_vectors(draft / "vectors" / f"{model}.parquet", ids, vectors.rows(ids))
        _write_queries(draft, trained, catalogue)
        wishes = _write_wishes(draft, trained, set(ids))
        lineage = trained.lineage.model_copy(update={"revision": revision})
        write_json(draft / "lineage.json", lineage.model_dump(mode="json"))
        card = render_card(
            CardFacts(
                name=name,
                products=_count_splits(catalogue.products),
                categories=len({product.category for product in catalogue.products}),
                concepts=trained.concept_names,
                wishes=wishes,
                metrics=trained.metrics,
                verdicts=trained.verdicts,
                lineage=lineage,
                towers=read_towers(draft / "model" / "open_clip_config.json"),
            )
        )
        (draft / "MODEL_CARD.md").write_text(card, encoding="utf-8")
        write_sums(draft)
        return bundle_digest(draft)


def split_of(product_id: str, image_sha256: str, trained: Mapping[str, Product]) -> str:
    """A product's split in a revision: as it was trained with, or `added`."""
    known = trained.get(product_id)
    return known.split if known and known.image_sha256 == image_sha256 else ADDED


def _write_queries(draft: Path, trained: Bundle, catalogue: Catalogue) -> None:
    """The held-out queries whose winners are still there, and what they are compared by."""
    held_out = [p.product_id for p in catalogue.products if p.split == HELD_OUT]
    kept = [query for query in trained.read_queries() if query.winner in set(held_out)]
    schema.write_rows(draft / "queries.parquet", [asdict(query) for query in kept], QUERIES)
    asked, captions = trained.read_text_vectors("queries"), trained.read_text_vectors("captions")
    if asked is None or captions is None:
        msg = f"{trained.folder} has no vectors of texts: register again, `dvc repro`"
        raise ValueError(msg)
    personas = [query.persona_id for query in kept]
    write_vectors(draft / "vectors" / "queries.parquet", personas, asked.rows(personas))
    rows = dict(zip(captions.ids, captions.vectors, strict=True))
    rows |= dict(zip(catalogue.captions.ids, catalogue.captions.vectors, strict=True))
    width = captions.vectors.shape[1]
    captions_PD = np.array([rows[id_] for id_ in held_out], np.float32).reshape(-1, width)
    write_vectors(draft / "vectors" / "captions.parquet", held_out, captions_PD)


def _write_wishes(draft: Path, trained: Bundle, there: set[str]) -> int:
    """What it was trained on, without the choices that are gone; how many wishes."""
    wishes = trained.read_wishes()
    rows: list[WishRow] = [
        {
            "persona_id": wish.persona_id,
            "text": wish.text,
            "chosen": [id_ for id_ in wish.chosen if id_ in there],
        }
        for wish in wishes
    ]
    schema.write_rows(draft / "wishes.parquet", rows, WISHES)
    shutil.copyfile(
        trained.folder / "vectors" / "wishes.parquet", draft / "vectors" / "wishes.parquet"
    )
    return len(wishes)


def _count_splits(products: Sequence[Product]) -> dict[str, int]:
    splits = [product.split for product in products]
    return {split: splits.count(split) for split in (*schema.PRODUCT_SPLITS, ADDED)}
