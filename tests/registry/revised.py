"""A revision of a tiny bundle: what is said of its new catalogue, as a sync would."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from registry.bundle import Product
from registry.lineage import Revision
from registry.revision import Catalogue, split_of, write_revision
from retrieval.storage.vectors import Vectors

NEW = Product("n1", "A hat", "a red hat", "hat", 5.0, {"kind": "hat"}, "n" * 64, "", b"JPEG")


def revision_of(bundle, number=1):
    return Revision(of=number, of_sha256=bundle.digest, added=1, removed=1, changed=0,
                    table_sha256="t" * 64, made=datetime(2026, 1, 2, tzinfo=UTC))  # fmt: skip


def catalogue_of(trained, products, captions=None):
    """Vectors as they were; every new picture is like p0."""
    vectors = {}
    for model in ("student", "base"):
        stored = trained.read_vectors(model)
        rows = dict(zip(stored.ids, stored.vectors, strict=True))
        found = [rows.get(p.product_id, rows["p0"]) for p in products]
        vectors[model] = Vectors([p.product_id for p in products], np.array(found))
    first = {p.product_id: p for p in trained.read_products()}
    split = [replace(p, split=split_of(p.product_id, p.image_sha256, first)) for p in products]
    captions = captions or {}
    read = np.array([*captions.values()], np.float32).reshape(-1, 8)
    return Catalogue(split, **vectors, captions=Vectors([*captions], read))


def write_revised(folder, trained, *, without=(), new=(NEW,), number=1, **how):
    """The revision without some products and with others; its digest."""
    products = [p for p in trained.read_products() if p.product_id not in without]
    catalogue = catalogue_of(trained, [*products, *new], **how)
    return write_revision(folder, trained, catalogue, revision_of(trained, number), "kindred")
