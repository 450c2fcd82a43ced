"""What two versions find for the same queries, each in its own catalogue.

Q queries, N products, D width.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from registry.bundle import Bundle, Product
from registry.comparison import Candidate, Vectors, query_vectors
from retrieval.index.exact import ExactIndex

DEPTH = 10  # hits looked at
PERSISTENCE = 0.9  # the chance that a reader looks at one more: most look at the first ten alone
SHOWN = 20  # queries


@dataclass(frozen=True)
class QueryChange:
    """One query's first hits by both versions."""

    persona_id: str
    text: str
    winner: str  # the product that the teacher chose
    overlap: float  # rank-biased, in [0, 1]; 1: the same hits in the same order
    before: tuple[str, ...]  # products, best first
    after: tuple[str, ...]

    @property
    def kept(self) -> int:
        """How many of the hits are in both."""
        return len({*self.before} & {*self.after})


@dataclass(frozen=True)
class HitChanges:
    """What became of the first ten, over all queries."""

    queries: int
    same: int  # with the same hits in the same order
    same_first: int  # with the same first hit
    mean_overlap: float
    mean_kept: float  # hits of the first ten that both have
    most: tuple[QueryChange, ...]  # the queries that changed most, the most first
    before: Mapping[str, Product]  # the products that these name, as each version has them
    after: Mapping[str, Product]
    removed: frozenset[str]  # products that the first version alone has
    added: frozenset[str]  # that the second version alone has


def compare_hits(first: Bundle, second: Bundle, asked: Candidate) -> HitChanges:
    """Let both search their own catalogue for the second version's queries.

    Raises:
        ValueError: A version's vectors are missing or damaged.
    """
    ours = _first_hits(second, asked.queries_QD)
    theirs = _first_hits(first, query_vectors(first, asked))
    changes = [
        QueryChange(
            query.persona_id, query.text, query.winner, rank_biased_overlap(old, new), old, new
        )
        for query, old, new in zip(asked.queries, theirs, ours, strict=True)
    ]
    removed, added = _only_in_one(first, second)
    ranked = sorted(changes, key=lambda one: (one.overlap, one.persona_id))
    most = tuple(one for one in ranked[:SHOWN] if one.before != one.after)
    count = max(len(changes), 1)
    return HitChanges(
        queries=len(changes),
        same=sum(one.before == one.after for one in changes),
        same_first=sum(one.before[:1] == one.after[:1] for one in changes),
        mean_overlap=sum(one.overlap for one in changes) / count,
        mean_kept=sum(one.kept for one in changes) / count,
        most=most,
        before=read_by_id(first, [id_ for one in most for id_ in one.before]),
        after=read_by_id(second, [id_ for one in most for id_ in one.after]),
        removed=removed,
        added=added,
    )


def rank_biased_overlap(
    one: Sequence[str], other: Sequence[str], persistence: float = PERSISTENCE
) -> float:
    """How alike two rankings are from the top: 1 where they are equal, 0 where they share nothing.

    The mean agreement at depth 1, 2, …, k, each weighed by the chance that a reader goes so deep,
    and beyond k as it was there: RBO_ext = X_k/k · p^k + (1-p)/p · Σ_d X_d/d · p^d (Webber, Moffat
    & Zobel, ACM Transactions on Information Systems 28(4), 2010, eq. 30), X_d the number of items
    that both have among their first d. k is the shorter one's length.
    """
    depth = min(len(one), len(other))
    if depth == 0:
        return float(len(one) == len(other))
    common = [len({*one[:d]} & {*other[:d]}) / d for d in range(1, depth + 1)]
    seen = sum(agreement * persistence**d for d, agreement in enumerate(common, start=1))
    return common[-1] * persistence**depth + (1 - persistence) / persistence * seen


def _first_hits(bundle: Bundle, queries_QD: Vectors) -> list[tuple[str, ...]]:
    catalogue = bundle.read_vectors("student")
    found = ExactIndex(catalogue.ids, catalogue.vectors).search(queries_QD, DEPTH)
    return [tuple(id_ for id_, _ in hits) for hits in found]


def _only_in_one(first: Bundle, second: Bundle) -> tuple[frozenset[str], frozenset[str]]:
    ids = [frozenset(bundle.read_vectors("student").ids) for bundle in (first, second)]
    return ids[0] - ids[1], ids[1] - ids[0]


def read_by_id(bundle: Bundle, ids: Sequence[str]) -> dict[str, Product]:
    """Some products of a version, in the order of the ids."""
    found = {product.product_id: product for product in bundle.read_products(set(ids))}
    return {id_: found[id_] for id_ in dict.fromkeys(ids)}
