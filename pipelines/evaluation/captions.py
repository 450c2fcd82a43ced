"""Literal search, before and after distillation: what has the student forgotten?

N held-out products, D embedding width.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.run.paths import BASE, CAPTION_VECTORS, product_vectors
from retrieval.captions import caption_ranks, chance_recall
from retrieval.metrics import recall_at
from retrieval.storage.caption_lines import read_caption_lines
from retrieval.storage.schema import ProductRow
from retrieval.storage.vectors import read_vectors

Floats = NDArray[np.floating]

CUTS = (1, 10)


def captions_of(products: Sequence[ProductRow], file: Path | None) -> list[str]:
    """The products' captions, or those that a file has of them (`evaluate.captions`).

    Raises:
        SystemExit: The file cannot be read, or lacks a product.
    """
    if file is None:
        return [product["caption"] for product in products]
    given = {name: caption for _, name, caption in read_caption_lines(file, "product_id")}
    ids = [product["product_id"] for product in products]
    if missing := [product for product in ids if product not in given]:
        msg = (
            f"{file} has no caption for {len(missing)} of {len(ids)} held-out products"
            f" ({', '.join(missing[:5])}); add them, or set evaluate.captions to null"
        )
        raise SystemExit(msg)
    return [given[product] for product in ids]


def caption_metrics(products: Sequence[ProductRow]) -> dict[str, dict[str, Any]]:
    """Caption recall of base and student over the held-out products, and of chance.

    Text to image, and under `image_to_text` the other way: the captions of all the products are
    ranked for each picture. Every equal caption is a hit, so chance is the same both ways.
    """
    captions = [product["caption"] for product in products]
    ids = [product["product_id"] for product in products]
    texts_ND = read_vectors(CAPTION_VECTORS).rows(ids)
    metrics: dict[str, dict[str, Any]] = {}
    for name, model in (("base", BASE), ("student", "student")):
        images_ND = read_vectors(product_vectors(model)).rows(ids)
        back = _recalls(images_ND, texts_ND, captions)
        metrics[name] = {**_recalls(texts_ND, images_ND, captions), "image_to_text": back}
    chance = {f"recall@{k}": chance_recall(captions, k) for k in CUTS}
    return {**metrics, "chance": {**chance, "image_to_text": chance}}


def _recalls(queries_ND: Floats, candidates_ND: Floats, captions: list[str]) -> dict[str, float]:
    ranks_N = caption_ranks(queries_ND, candidates_ND, captions)
    return {f"recall@{k}": recall_at(ranks_N, k) for k in CUTS}
