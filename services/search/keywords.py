"""Search for words: BM25 on titles and captions, by the library bm25s, in memory."""

import logging
from collections.abc import Sequence

import numpy as np

from registry.bundle import Product
from retrieval.index.collection import Filter
from services.search.ranking import Ranked

_WORD = r"(?u)\b\w+\b"


class Keywords:
    """Finds the products that share words with a query, whatever their endings."""

    def __init__(self, products: Sequence[Product]) -> None:
        """Read all titles and captions; a second for 10,000."""
        import bm25s

        logging.getLogger("bm25s").setLevel(logging.WARNING)  # it sets DEBUG itself
        products = sorted(products, key=lambda product: product.product_id)  # equals in this order
        self._products = products
        self._index = bm25s.BM25()  # Lucene's form: k1 = 1.5, b = 0.75, no score below 0
        self._index.vocab_dict = {}
        words = _words([f"{product.title} {product.caption}" for product in products])
        if any(words):  # else there is no word to find
            self._index.index(words, show_progress=False)

    def search(self, text: str, k: int, filter_: Filter) -> Ranked:
        """The k products of highest BM25 score, best first: (product_id, score).

        Equal scores are in the order of the ids. Only products that have a word of the text.
        """
        (words,) = _words([text])
        known = [word for word in words if word in self._index.vocab_dict and word]
        if not known:
            return []
        scores_N = self._index.get_scores(known)
        rows = np.flatnonzero(scores_N)  # none is negative
        found: Ranked = []
        for row in rows[np.argsort(-scores_N[rows], kind="stable")]:
            if len(found) == k:
                break
            if filter_.admits(product := self._products[row]):
                found.append((product.product_id, float(scores_N[row])))
        return found


def _words(texts: list[str]) -> list[list[str]]:
    """The words of texts: lower case, without the small words of English, by their stems."""
    import bm25s
    import snowballstemmer

    words: list[list[str]] = bm25s.tokenize(
        texts,
        token_pattern=_WORD,
        stopwords="en",
        stemmer=snowballstemmer.stemmer("english"),
        return_ids=False,
        show_progress=False,
    )
    return words
