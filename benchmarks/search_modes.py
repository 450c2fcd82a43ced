"""Whether words help meanings, and what diversity costs: the service's ways to search, compared.

On a registered version, among its held-out products, as in its evaluation: the share of held-out
personas whose winner is among the first ten, and of captions whose product is (a product with the
same caption counts). The words are those that the service indexes, title and caption, so that a
caption as a query finds itself: its keyword column is no estimate. For diversity, the kinds among
the first ten: values of the attribute `kind`, or categories where products have none.

    python -m benchmarks.search_modes                  # the challenger, or the champion
    python -m benchmarks.search_modes --version 3
"""

import argparse
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.measured import markdown, timed
from registry.bundle import Bundle, Product
from registry.store import fetch_bundle
from registry.versions import find_version
from retrieval.index.collection import Filter
from retrieval.index.exact import ExactIndex
from services.search.catalogue import Catalogue
from services.search.keywords import Keywords
from services.search.ranking import FIRST, Ranked, diversified, fuse

K = 10
STRENGTHS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
Lists = dict[str, list[Ranked]]  # mode -> a list a query


@dataclass(frozen=True)
class Asked:
    """Queries with what each should find."""

    texts: list[str]
    vectors_QD: NDArray[np.float32]
    truths: list[set[str]]

    def recall(self, lists: Sequence[Ranked]) -> float:
        """The share whose truth is among the first ten."""
        found = [
            any(id_ in truth for id_, _ in ranked[:K])
            for ranked, truth in zip(lists, self.truths, strict=True)
        ]
        return sum(found) / len(found)


def vectors_of(
    bundle: Bundle, kind: Literal["queries", "captions"], texts: list[str], ids: list[str]
) -> NDArray[np.float32]:
    """Unit vectors (Q, D) of texts: the bundle's, or of its model where an older one has none."""
    kept = bundle.read_text_vectors(kind)
    return bundle.load_encoder().encode_texts(texts) if kept is None else kept.rows(ids)


def personas(bundle: Bundle) -> Asked:
    """Held-out personas, who should find their winner."""
    queries = bundle.read_queries()
    texts = [query.text for query in queries]
    vectors_QD = vectors_of(bundle, "queries", texts, [query.persona_id for query in queries])
    return Asked(texts, vectors_QD, [{query.winner} for query in queries])


def captions(bundle: Bundle, products: Sequence[Product]) -> Asked:
    """Captions, which should find their products."""
    alike: dict[str, set[str]] = {}
    for product in products:
        alike.setdefault(product.caption, set()).add(product.product_id)
    texts = [product.caption for product in products]
    vectors_QD = vectors_of(bundle, "captions", texts, [one.product_id for one in products])
    return Asked(texts, vectors_QD, [alike[text] for text in texts])


def rank(asked: Asked, index: ExactIndex, keywords: Keywords) -> Lists:
    """Each mode's list of every query."""
    nearest = index.search(asked.vectors_QD, FIRST)
    worded = [keywords.search(text, FIRST, Filter()) for text in asked.texts]
    fused = [fuse(pair) for pair in zip(nearest, worded, strict=True)]
    return {"vector": nearest, "keyword": worded, "hybrid": fused}


def diversify(lists: Sequence[Ranked], catalogue: Catalogue, strength: float) -> list[Ranked]:
    """The first ten of every list, made diverse."""
    return [_diverse(ranked, catalogue, strength) for ranked in lists]


def _diverse(ranked: Ranked, catalogue: Catalogue, strength: float) -> Ranked:
    first = ranked[:FIRST]
    scores_N = np.array([score for _, score in first])
    vectors_ND = catalogue.rows([id_ for id_, _ in first])
    return [first[place] for place in diversified(scores_N, vectors_ND, strength, K)]


def kind_of(products: Sequence[Product]) -> Callable[[str], str]:
    """A product's kind: by the attribute where all have it, else its category."""
    named = all("kind" in product.attributes for product in products)
    kinds = {
        product.product_id: product.attributes["kind"] if named else product.category
        for product in products
    }
    return kinds.__getitem__


def distinct(lists: Sequence[Ranked], kind: Callable[[str], str]) -> float:
    """The share of distinct kinds among the first ten, a mean over queries."""
    return statistics.mean(
        len({kind(id_) for id_, _ in ranked[:K]}) / max(len(ranked[:K]), 1) for ranked in lists
    )


def measure(bundle: Bundle) -> None:
    """Print both tables, and what each step takes."""
    products = [product for product in bundle.read_products() if product.split == "test"]
    ids = [product.product_id for product in products]
    took, keywords = timed(lambda: Keywords(products))
    assert isinstance(keywords, Keywords)
    asked = {"winners": personas(bundle), "captions": captions(bundle, products)}
    people = len(asked["winners"].texts)
    print(f"{len(products)} products, {people} personas; words read in {took:.2f} s\n")
    kind = kind_of(products)
    modes, strengths = [], []
    for model in ("student", "base"):
        catalogue = Catalogue(bundle.read_vectors(model))
        index = ExactIndex(ids, catalogue.rows(ids))
        lists = {name: rank(one, index, keywords) for name, one in asked.items()}
        for mode in ("vector", "keyword", "hybrid"):
            found = {name: lists[name][mode] for name in asked}
            modes.append([model, mode, *_row(asked, found, kind)])
        for strength in STRENGTHS:
            found = {n: diversify(lists[n]["vector"], catalogue, strength) for n in asked}
            strengths.append([model, f"{strength:g}", *_row(asked, found, kind)])
    columns = ("winner in the first ten", "caption's product in the first ten", "distinct kinds")
    print(markdown(("model", "mode", *columns), modes), end="\n\n")
    print(markdown(("model", "diversify", *columns), strengths), end="\n\n")
    _time(asked["winners"], lists["winners"], catalogue, keywords)


def _row(
    asked: dict[str, Asked], found: dict[str, list[Ranked]], kind: Callable[[str], str]
) -> list[str]:
    shares = [one.recall(found[name]) for name, one in asked.items()]
    return [f"{100 * share:.1f} %" for share in (*shares, distinct(found["winners"], kind))]


def _time(asked: Asked, lists: Lists, catalogue: Catalogue, keywords: Keywords) -> None:
    pairs = list(zip(lists["vector"], lists["keyword"], strict=True))
    steps: dict[str, list[Callable[[], object]]] = {
        "words": [lambda text=text: keywords.search(text, FIRST, Filter()) for text in asked.texts],
        "fusion": [lambda pair=pair: fuse(pair) for pair in pairs],
        "diversity": [lambda one=one: _diverse(one, catalogue, 0.5) for one in lists["vector"]],
    }
    for name, calls in steps.items():
        taken = sorted(1000 * timed(call)[0] for call in calls)
        print(f"{name}: {statistics.median(taken):.2f} ms, at most {taken[-1]:.2f} ms")


def main() -> None:
    """Read the arguments, open the version, measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--name", default="kindred", help="the registered model")
    parser.add_argument("--version", help="number or alias")
    options = parser.parse_args()
    measure(fetch_bundle(find_version(options.name, options.version)))


if __name__ == "__main__":
    main()
