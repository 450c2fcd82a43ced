"""Puts requests to a teacher: what the journal has is not asked again, what comes is kept first.

A reply that is malformed (of a ranking: no permutation) is asked for once more, with the complaint;
then it is a failure, and that is kept too. What cannot be had now (a server that is down) ends the
run, not the request; so does a teacher of which no reply can be read.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from tqdm import tqdm

from pipelines.labelling.teachers.budget import Budget
from pipelines.labelling.teachers.protocol import (
    Answer,
    Answered,
    Question,
    Reply,
    Request,
    Teacher,
    TeacherError,
    request_sha256,
)
from pipelines.labelling.teachers.replies import begins_with_answer, read_reply
from pipelines.labelling.teachers.unreadable import Unreadable
from retrieval.storage.journal import Journal, Record

ATTEMPTS = 2  # the second with the complaint about the first

# From a reply to what it says; None and a complaint where that cannot be read.
Reader = Callable[[str, Request], tuple[Any, str]]


def read_ranking(raw: str, request: Request) -> tuple[tuple[int, ...] | None, str]:
    """The places, best first: the `Reader` of rankings."""
    return read_reply(raw, len(request.presented))


class Ranker(Protocol):
    """Ranks groups; equal requests get equal replies."""

    name: str

    def rank(self, requests: Sequence[Request]) -> list[Reply | None]:
        """One reply a request, in order; None where the budget ended before it."""
        ...


@dataclass(frozen=True)
class Purpose:
    """What a call is for, as the ledger says, and how its reply is read."""

    stage: str
    cycle: str = ""
    read: Reader = read_ranking


@dataclass(frozen=True)
class Heard:
    """What a reply said; None where it was malformed, even when asked again."""

    request_sha256: str
    said: Any


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
        self._said: dict[str, Any] = {}  # by the request's digest; None: it failed
        self._unreadable = Unreadable()
        self._retried: list[str] = []  # what went wrong in tries of this run that were made again

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
        """One reply a request, in order; None where the budget ended before. Raises as `hear`."""
        heard = self.hear(requests)
        return [
            _reply(one, request) if one else None
            for one, request in zip(heard, requests, strict=True)
        ]

    def hear(self, requests: Sequence[Request]) -> list[Heard | None]:
        """What the teacher says to each request; None where the budget ended before it.

        Raises:
            TeacherError: The teacher cannot be asked now, or none of its replies can be read; what
                it said so far is in the journal.
        """
        digests = [request_sha256(self._teacher, request) for request in requests]
        waiting: deque[_Asking] = deque()
        for digest, request in dict(zip(digests, requests, strict=True)).items():
            if digest not in self._said and (asking := self._finish(digest, request)):
                waiting.append(asking)
        if waiting and not self.budget.reached:
            self._ask(waiting)
        self._show()
        return [
            Heard(digest, self._said[digest]) if digest in self._said else None
            for digest in digests
        ]

    def troubles(self) -> list[str]:
        """What went wrong in this run, though it went on; for the user."""
        count = len(self._retried)
        retried = f"{count} calls were made again after faults of the server; the last: "
        words = [f"{retried}{self._retried[-1]}"] if count else []
        if self._teacher.remedy and self._unreadable.count:
            failures = f"without a label: {self.budget.spent.failures}"
            words.append(f"{self._unreadable}; {failures}. {self._teacher.remedy}")
        return words

    def _ask(self, waiting: "deque[_Asking]") -> None:
        """Keep the teacher busy until nothing waits or the budget ends; complaints go first."""
        under_way: dict[Question, _Asking] = {}
        with self._teacher.open() as session:
            while True:
                while (
                    waiting
                    and session.room
                    and not self._is_on_trial(len(under_way))
                    and self._admits(waiting[0], len(under_way))
                ):
                    asking = waiting.popleft()
                    under_way[asking.question] = asking
                    session.ask(asking.question)
                if not under_way:
                    return
                answered = session.wait()
                if not answered:
                    msg = f"{self.name} left {len(under_way)} questions unanswered; run again"
                    raise TeacherError(msg)
                asked = self._keep(answered, under_way)
                again = [self._finish(one.digest, one.question.request) for one in asked]
                waiting.extendleft(one for one in reversed(again) if one)
                self._show()
                self._stop_where_hopeless()

    def _stop_where_hopeless(self) -> None:
        remedy = self._teacher.remedy
        if remedy and self._unreadable.is_hopeless:
            msg = f"{self.name}: {self._unreadable.verdict}. {remedy}; then run again"
            raise TeacherError(msg)

    def _is_on_trial(self, under_way: int) -> bool:
        """Whether replies are to be read before more is asked: they may all be of no use."""
        return bool(self._teacher.remedy) and under_way >= self._unreadable.room

    def _admits(self, asking: "_Asking", under_way: int) -> bool:
        """Whether the budget has room for one more; once it had not, it admits no other."""
        tokens = self._teacher.expected_tokens(asking.question.request)
        cost = self.budget.prices.cost(*tokens)
        return not self.budget.reached and self.budget.admit(under_way, cost)

    def _keep(
        self, answered: Sequence[Answered], under_way: "dict[Question, _Asking]"
    ) -> "list[_Asking]":
        """Put answers on disk, before any of them counts; what they answer is under way no more."""
        asked = [under_way.pop(question) for question, _ in answered]
        records = [self._record(one, said) for one, (_, said) in zip(asked, answered, strict=True)]
        self._journal.append(records)
        self._new.update(record["key"] for record in records)
        self._retried += [fault for _, said in answered for fault in said.retried]
        return asked

    def _finish(self, digest: str, request: Request) -> "_Asking | None":
        """Go by what the journal has of a request; what it lacks is to be asked next."""
        question = Question(request)
        said: Any = None
        for attempt in range(ATTEMPTS):
            record = self._known(_key(digest, attempt))
            if record is None:
                return _Asking(digest, attempt, question)
            said, complaint = self._read(record, request)
            self._count(record, complaint)
            if said is not None:
                break
            question = Question(request, record["raw"], complaint)
        self._said[digest] = said
        self.budget.spent.failures += said is None
        if self._bar is not None:
            self._bar.update()
        return None

    def _read(self, record: Record, request: Request) -> tuple[Any, str]:
        """What a reply says or the complaint about it; of half a reply, a draft says nothing."""
        said, complaint = self._purpose.read(record["raw"], request)
        if record["fault"] and (said is None or not begins_with_answer(record["raw"])):
            return None, record["fault"]
        return said, complaint

    def _known(self, key: str) -> Record | None:
        """What the journal has; a refusal of an earlier run is no reply: it may be mended now.

        One that took tokens was paid for, and stays.
        """
        record = self._journal.get(key)
        if record and record["fault"] and not record["raw"] and key not in self._new:
            return record if record["input_tokens"] or record["output_tokens"] else None
        return record

    def _count(self, record: Record, complaint: str) -> None:
        """Count a reply once, and whether it could be read: "" for the complaint."""
        if record["key"] in self._counted:
            return
        self._counted.add(record["key"])
        self.budget.spent.add(_answer(record), record["cost_usd"])
        if not complaint:
            self._unreadable.note_read()
        elif record["key"] in self._new:
            self._unreadable.note(record["raw"], complaint)

    def _record(self, asking: "_Asking", answer: Answer) -> Record:
        cost = self.budget.prices.cost(answer.input_tokens, answer.output_tokens)
        return {
            "key": _key(asking.digest, asking.attempt),
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

    def _show(self) -> None:
        spent = self.budget.spent
        if self._bar is not None:
            tokens = spent.input_tokens + spent.output_tokens
            self._bar.set_postfix(
                calls=spent.calls, failures=spent.failures, retries=len(self._retried),
                tokens=f"{tokens:,}", usd=f"{spent.cost_usd:.2f}", refresh=False,
            )  # fmt: skip


@dataclass(frozen=True)
class _Asking:
    """A question with the digest of its request, and how often that was asked before."""

    digest: str
    attempt: int
    question: Question


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


def _reply(heard: Heard, request: Request) -> Reply:
    """In the request's own ids: pictures of two products may be equal."""
    if heard.said is None:
        return Reply(heard.request_sha256, None)
    return Reply(heard.request_sha256, tuple(request.presented[place] for place in heard.said))
