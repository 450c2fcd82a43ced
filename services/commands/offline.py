"""Search in a bundle by comparing the query with every product: exact, and without a service."""

from collections.abc import Sequence

from registry.bundle import Bundle
from retrieval.concepts.queries import encode_with_concepts
from retrieval.index.exact import ExactIndex
from retrieval.text.readable import read_texts
from services.commands.hits import Hit


def search_bundle(
    bundle: Bundle, text: str, concepts: Sequence[str], k: int
) -> tuple[list[Hit], list[str]]:
    """The k products nearest to a text, best first; fewer where the catalogue is smaller.

    Returns:
        The hits, and what the model cannot read of the text, in sentences.

    Raises:
        ValueError: The version has no such concept, the text holds a concept's own identifier, or
            nothing that the model knows.
    """
    encoder = bundle.load_encoder()
    (reading,) = read_texts(encoder.tokenize, [text])
    if not concepts and (refusal := reading.refusal()):
        raise ValueError(refusal)
    learned = [bundle.load_concept(name, encoder) for name in concepts]
    query_D = (
        encode_with_concepts(encoder, text, learned) if learned else encoder.encode_texts([text])[0]
    )
    catalogue = bundle.read_vectors("student")
    ranked = ExactIndex(catalogue.ids, catalogue.vectors).search(query_D[None], k)[0]
    products = {p.product_id: p for p in bundle.read_products([id_ for id_, _ in ranked])}
    hits = [
        Hit(
            rank,
            product_id,
            products[product_id].title,
            products[product_id].price,
            score,
            products[product_id].thumbnail,
        )
        for rank, (product_id, score) in enumerate(ranked, start=1)
    ]
    return hits, reading.warnings()
