"""The file as a teacher: it repeats the orders that people or another system made.

Asked about products that a row of rankings presents, in whatever order, it gives that ranking; of
several, those that were presented in the very order asked for go first, and asking again (`repeat`)
gives the next, in file order, round and round. Otherwise, and always where the file holds choices
between two, it counts for every pair who preferred which, in rankings as well; if the majorities
leave exactly one order of the products it gives that, whatever `repeat` says. Else it has no
answer.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from graphlib import CycleError, TopologicalSorter
from itertools import combinations, permutations
from typing import Any

from pipelines.labelling.teachers.file_labels import (
    Order,
    check_known_ids,
    name_personas,
    read_labels,
)
from pipelines.labelling.teachers.protocol import Answer, Batches, Question, Request, Session
from pipelines.labelling.teachers.replies import write_reply
from pipelines.run.params import Teacher as TeacherParams
from pipelines.run.stage import say
from pipelines.tables.values import fold
from retrieval.storage.files import sha256_file
from retrieval.storage.schema import PersonaRow, ProductRow

_TOGETHER = 512  # answers at once: each time the journal goes to disk
_Pair = tuple[str, str]  # better, worse


class FileTeacher:
    """Answers what the file determines."""

    name = "file"
    remedy = ""

    def __init__(
        self,
        params: TeacherParams,
        personas: Sequence[PersonaRow],
        products: Sequence[ProductRow],
    ) -> None:
        """Read the file; rows that are no label are counted and said.

        Args:
            params: Where it is.
            personas: Rows of the personas table, of all splits: the file may name any of them.
            products: Rows of the products table, likewise.

        Raises:
            SystemExit: The file is missing or wrong, or names what the catalogue lacks.
        """
        path = params.file.path
        labels = read_labels(path)
        if labels.no_label:
            say(f"{path}: {labels}")
        ids = {fold(row["text"]): row["persona_id"] for row in personas} if labels.by_text else {}
        self._orders, self._choices = name_personas(labels, ids), labels.are_choices
        check_known_ids(
            path,
            self._orders,
            {persona["persona_id"] for persona in personas},
            {product["product_id"] for product in products},
        )
        self.settings: Mapping[str, Any] = {"sha256": sha256_file(path)}
        self._votes: dict[str, Counter[_Pair]] = defaultdict(Counter)
        self._rankings: dict[tuple[str, frozenset[str]], list[Order]] = defaultdict(list)
        for order in self._orders:
            self._votes[order.persona_id].update(combinations(order.ranking, 2))
            if not self._choices:
                self._rankings[order.persona_id, frozenset(order.presented)].append(order)

    def content(self, request: Request) -> Any:
        """The ids alone: the file knows nothing else of persona and pictures."""
        return {"persona_id": request.persona_id, "presented": request.presented}

    def expected_tokens(self, request: Request) -> tuple[float, float]:  # noqa: ARG002 - protocol
        """None."""
        return 0.0, 0.0

    def open(self) -> AbstractContextManager[Session]:
        """Questions are answered many at once."""
        return nullcontext(Batches(_TOGETHER, self._answer_batch))

    def known_groups(self) -> list[Request]:
        """Requests that the file answers, in file order.

        Each ranking as it was presented, with the `repeat` that brings back this very row; or each
        pair of choices that has a majority, once, presented by id: nobody knows which stood first.
        """
        groups = [Request(order.persona_id, order.presented) for order in self._orders]
        if self._choices:
            return [group for group in dict.fromkeys(groups) if self._order(group)]
        seen: Counter[Request] = Counter()
        known: list[Request] = []
        for group in groups:
            known.append(Request(group.persona_id, group.presented, seen[group]))
            seen[group] += 1
        return known

    def _answer_batch(self, questions: Sequence[Question]) -> list[Answer]:
        return [self._answer(question.request) for question in questions]

    def _answer(self, request: Request) -> Answer:
        order = self._order(request)
        if order is None:
            return Answer("", "the file has no order of these pictures for this persona")
        return Answer(write_reply([request.presented.index(product) for product in order]))

    def _order(self, request: Request) -> tuple[str, ...] | None:
        same = self._rankings.get((request.persona_id, frozenset(request.presented)), [])
        rows = [order for order in same if order.presented == request.presented] or same
        if rows:
            return rows[request.repeat % len(rows)].ranking
        return majority_order(self._votes.get(request.persona_id, Counter()), request.presented)


def majority_order(votes: Counter[_Pair], products: Sequence[str]) -> tuple[str, ...] | None:
    """The one order, best first, that agrees with every majority; None if there is none or more.

    A pair that is tied, or that nobody judged, is decided by what stands between the two: of
    a > b and b > c follows a > c.

    Args:
        votes: How often the first of a pair was preferred to the second.
        products: What to order.
    """
    sorter: TopologicalSorter[str] = TopologicalSorter(dict.fromkeys(products, ()))
    for better, worse in permutations(products, 2):
        if votes[better, worse] > votes[worse, better]:
            sorter.add(worse, better)
    try:
        sorter.prepare()
    except CycleError:
        return None
    order: list[str] = []
    while ready := sorter.get_ready():
        if len(ready) > 1:
            return None  # either may go first
        order += ready
        sorter.done(*ready)
    return tuple(order)
