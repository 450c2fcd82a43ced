"""The student as a candidate beside the champion, from what the stages left on disk."""

from collections.abc import Sequence

from pipelines.run.paths import (
    CAPTION_VECTORS,
    CONCEPT_QUERIES_FILE,
    PERSONA_VECTORS,
    PERSONAS_FILE,
    PRODUCTS_FILE,
    STUDENT_MODEL,
    product_vectors,
)
from registry.bundle import HeldOutQuery
from registry.comparison import Candidate, HeldOutProduct
from retrieval.storage.schema import (
    CONCEPT_QUERIES,
    PERSONAS,
    ProductRow,
    QueryRow,
    read_rows,
)
from retrieval.storage.vectors import read_vectors


def read_candidate(queries: Sequence[QueryRow], products: Sequence[ProductRow]) -> Candidate:
    """The student's own rows in the original wording, over the products of split `test`.

    Args:
        queries: How every model answered.
        products: The catalogue.

    Raises:
        KeyError: A persona or a product has no vector.
    """
    personas = {row["persona_id"]: row for row in read_rows(PERSONAS_FILE, PERSONAS)}
    asked = [row for row in queries if (row["model"], row["wording"]) == ("student", "original")]
    held_out = [row for row in products if row["split"] == "test"]
    ids = [row["product_id"] for row in held_out]
    pictures = {row["product_id"]: PRODUCTS_FILE.parent / row["image"] for row in held_out}
    return Candidate(
        queries=[
            HeldOutQuery(
                persona_id=row["persona_id"],
                text=personas[row["persona_id"]]["text"],
                winner=row["winner"],
                wants=personas[row["persona_id"]]["wants"],
                slices=row["slices"],
            )
            for row in asked
        ],
        products=[
            HeldOutProduct(
                row["product_id"], row["caption"], row["attributes"], row["image_sha256"]
            )
            for row in held_out
        ],
        queries_QD=read_vectors(PERSONA_VECTORS).rows([row["persona_id"] for row in asked]),
        captions_PD=read_vectors(CAPTION_VECTORS).rows(ids),
        images_PD=read_vectors(product_vectors("student")).rows(ids),
        model=STUDENT_MODEL,
        picture=lambda product_id: pictures[product_id].read_bytes(),
        concepts=read_rows(CONCEPT_QUERIES_FILE, CONCEPT_QUERIES),
    )
