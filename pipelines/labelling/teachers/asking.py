"""Puts requests to a teacher: what the journal has is not asked again, what comes is kept first.

A reply that is no permutation is asked for once more, with the complaint; then it is a failure, and
that is kept too. What cannot be had now (a server that is down) ends the run, not the request.
"""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from tqdm import tqdm

from pipelines.labelling.teachers.budget import Budget
from pipelines.labelling.teachers.protocol import (
    Answer,
    Question,
    Reply,
    Request,
    Teacher,
    TeacherError,
    request_sha256,
)
from pipelines.labelling.teachers.replies import read_reply
from retrieval.storage.journal import Journal, Record

Orders = dict[str, tuple[int, ...] | None]  # request's digest -> places, best first; None: failed


class Ranker(Protocol):
    """Ranks groups; equal requests get equal replies."""

    name: str

    def rank(self, requests: Sequence[Request]) -> list[Reply | None]:
        """One reply a request, in order; None where the budget ended before it."""
        ...


@dataclass(frozen=True)
class Purpose:
    """What the ledger says that a call was for."""

    stage: str
    cycle: str = ""


@dataclass(frozen=True)
class Forecast:
    """What asking will take, if every reply is a permutation at once."""

    known: int  # replies that the journal has: of these requests, or in all
    calls: int
    input_tokens: float
    output_tokens: float
    cost_usd: float
    exact: bool  # whether the requests are known, so that `known` are not among `calls`

    def __str__(self) -> str:
        """In words, on one line."""
        calls = (
            f"{self.calls:,} calls to make ({self.known:,} are in the journal)"
            if self.exact
            else f"{self.calls:,} calls, less what the journal's {self.known:,} have of them"
        )
        return (
            f"{calls}, about {self.input_tokens:,.0f} input and {self.output_tokens:,.0f} output"
            f" tokens, ${self.cost_usd:,.2f}"
        )


class Asker:
    """A teacher with a memory and a budget: the `Ranker` of the stages."""

    def __init__(
        self,
        teacher: Teacher,
        journal: Journal,
        purpose: Purpose,
        budget: Budget,
        bar: "tqdm[Any] | None" = None,
    ) -> None:
        """Put together; nothing is asked yet.

        Args:
            teacher: Who answers.
            journal: Open; holds what was answered before.
            purpose: For the ledger.
            budget: Counts, and says when to stop.
            bar: Moves on by one a request.
        """
        self.name = teacher.name
        self.budget = budget
        self._teacher = teacher
        self._journal = journal
        self._purpose = purpose
        self._bar = bar
        self._counted: set[str] = set()  # keys of the records in `budget.spent`
        self._new: set[str] = set()  # keys of this run's own records
        self._under_way = 0

    def forecast(self, requests: Sequence[Request]) -> Forecast:
        """What ranking these will take."""
        asked = {request_sha256(self._teacher, request): request for request in requests}
        missing = {d: r for d, r in asked.items() if self._known(_key(d, 0)) is None}
        tokens = [self._teacher.expected_tokens(request) for request in missing.values()]
        taken, brought = (sum(tokens_[i] for tokens_ in tokens) for i in (0, 1))
        cost = self.budget.prices.cost(taken, brought)
        return Forecast(len(asked) - len(missing), len(missing), taken, brought, cost, exact=True)

    def forecast_alike(self, request: Request, calls: int) -> Forecast:
        """What as many calls like this one will take, where the requests are not known before."""
        taken, brought = (calls * tokens for tokens in self._teacher.expected_tokens(request))
        cost = self.budget.prices.cost(taken, brought)
        return Forecast(len(self._journal), calls, taken, brought, cost, exact=False)

    def rank(self, requests: Sequence[Request]) -> list[Reply | None]:
        """One reply a request, in order; None where the budget ended before it.

        Raises:
            TeacherError: The teacher cannot be asked now; what it said so far is in the journal.
        """
        digests = [request_sha256(self._teacher, request) for request in requests]
        orders: Orders = {}
        queue: deque[_Asking] = deque()
        for digest, request in dict(zip(digests, requests, strict=True)).items():
            self._settle(_Asking(digest, Question(request)), orders, queue)
        while queue and not self.budget.reached:
            self._ask(queue, orders)
        return [
            _reply(digest, request, orders[digest]) if digest in orders else None
            for digest, request in zip(digests, requests, strict=True)
        ]

    def _ask(self, queue: "deque[_Asking]", orders: Orders) -> None:
        """Ask what is in the queue; complaints join it at its end."""
        asked: dict[Question, _Asking] = {}
        answers = self._teacher.answer(self._admitted(queue, asked))
        try:
            for answered in answers:
                self._journal.append([self._record(asked[q], answer) for q, answer in answered])
                self._new.update(asked[q].key for q, _ in answered)
                self._under_way -= len(answered)
                for question, _ in answered:
                    self._settle(asked.pop(question), orders, queue)
            if asked:
                msg = f"{self.name} left {len(asked)} questions unanswered; run again"
                raise TeacherError(msg)
        finally:
            self._under_way = 0
            if isinstance(answers, Generator):
                answers.close()

    def _admitted(
        self, queue: "deque[_Asking]", asked: "dict[Question, _Asking]"
    ) -> Iterator[Question]:
        while queue:
            tokens = self._teacher.expected_tokens(queue[0].question.request)
            if not self.budget.admit(self._under_way, self.budget.prices.cost(*tokens)):
                return
            asking = queue.popleft()
            asked[asking.question] = asking
            self._under_way += 1
            yield asking.question

    def _settle(self, asking: "_Asking", orders: Orders, queue: "deque[_Asking]") -> None:
        """Take what the journal has for a request, as far as it goes; what is missing is queued."""
        record = self._known(asking.key)
        if record is None:
            queue.append(asking)
            return
        self._count(record)
        request = asking.question.request
        order, complaint = read_reply(record["raw"], len(request.presented))
        if order is None and asking.attempt == 0:
            complaint = record["fault"] or complaint
            again = Question(request, previous=record["raw"], complaint=complaint)
            self._settle(_Asking(asking.digest, again), orders, queue)
            return
        orders[asking.digest] = order
        self._show(failed=order is None)

    def _known(self, key: str) -> Record | None:
        """What the journal has; a refusal of an earlier run is no reply: it may be mended now.

        One that took tokens was paid for, and stays.
        """
        record = self._journal.get(key)
        if record and record["fault"] and key not in self._new:
            return record if record["input_tokens"] or record["output_tokens"] else None
        return record

    def _count(self, record: Record) -> None:
        if record["key"] not in self._counted:
            self._counted.add(record["key"])
            self.budget.spent.add(_answer(record), record["cost_usd"])

    def _record(self, asking: "_Asking", answer: Answer) -> Record:
        cost = self.budget.prices.cost(answer.input_tokens, answer.output_tokens)
        return {
            "key": asking.key,
            "stage": self._purpose.stage,
            "cycle": self._purpose.cycle,
            "teacher": self.name,
            "persona_id": asking.question.request.persona_id,
            "raw": answer.raw,
            "fault": answer.fault,
            "input_tokens": answer.input_tokens,
            "output_tokens": answer.output_tokens,
            "cost_usd": cost,
            "seconds": round(answer.seconds, 3),
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
        }

    def _show(self, *, failed: bool) -> None:
        spent = self.budget.spent
        spent.failures += failed
        if self._bar is not None:
            tokens = spent.input_tokens + spent.output_tokens
            self._bar.set_postfix(
                calls=spent.calls, failures=spent.failures, tokens=f"{tokens:,}",
                usd=f"{spent.cost_usd:.2f}", refresh=False,
            )  # fmt: skip
            self._bar.update()


@dataclass(frozen=True)
class _Asking:
    """A question with the digest of its request."""

    digest: str
    question: Question

    @property
    def attempt(self) -> int:
        return int(bool(self.question.complaint))

    @property
    def key(self) -> str:
        return _key(self.digest, self.attempt)


def _key(digest: str, attempt: int) -> str:
    return f"{digest}/{attempt}"


def _answer(record: Record) -> Answer:
    return Answer(
        record["raw"],
        record["fault"],
        record["input_tokens"],
        record["output_tokens"],
        record["seconds"],
    )


def _reply(digest: str, request: Request, order: tuple[int, ...] | None) -> Reply:
    """In the request's own ids: pictures of two products may be equal."""
    if order is None:
        return Reply(digest, None)
    return Reply(digest, tuple(request.presented[place] for place in order))
