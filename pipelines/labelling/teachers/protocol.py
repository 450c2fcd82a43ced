"""What a teacher is: it puts small groups of pictures into a persona's order.

A reply is a full permutation of what was presented, or it is no label. Teachers only answer;
`asking` keeps what they said, asks once more where it was no permutation, and minds the budget.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from retrieval.storage.schema import RankingRow


@dataclass(frozen=True)
class Request:
    """One persona, the products in the order of presentation, and which asking this is."""

    persona_id: str
    presented: tuple[str, ...]
    repeat: int = 0


@dataclass(frozen=True)
class Question:
    """A request as it is put to the teacher: afresh, or once more with a complaint."""

    request: Request
    previous: str = ""  # the reply that was no permutation, word for word
    complaint: str = ""  # what was wrong with it; "" the first time


@dataclass(frozen=True)
class Answer:
    """What came back.

    `raw` is the reply word for word; `fault` says why there is none, or why it may be half of one.
    """

    raw: str
    fault: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0
    retried: tuple[str, ...] = ()  # what went wrong in the tries before


@dataclass(frozen=True)
class Reply:
    """A label: product ids, best first; None where the teacher gave no permutation."""

    request_sha256: str
    ranking: tuple[str, ...] | None


def ranking_row(group_id: str, request: Request, reply: Reply, teacher: str) -> RankingRow:
    """A reply as the table of rankings has it; its ranking is empty where there was no label."""
    return {
        "group_id": group_id,
        "persona_id": request.persona_id,
        "presented": list(request.presented),
        "ranking": list(reply.ranking or ()),
        "teacher": teacher,
        "request_sha256": reply.request_sha256,
    }


class Teacher(Protocol):
    """Answers questions."""

    name: str
    """What the table of rankings calls it, for example `openai:qwen2.5-vl-7b`."""
    remedy: str
    """What to change where none of its replies can be read; "" if it is to be asked all the same,
    since asking costs nothing and the next question may fare better."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Everything that a reply may depend on beside the request, as JSON, prompt digests too.

        No secret, and nothing that changes only how fast or how dearly it answers.
        """

    def content(self, request: Request) -> Any:
        """What the request shows, as JSON: persona's text, digests of the pictures in order."""

    def expected_tokens(self, request: Request) -> tuple[float, float]:
        """Tokens that asking will take and bring, as far as can be told before."""

    def open(self) -> AbstractContextManager["Session"]:
        """Get ready to be asked; at the end of the context what is under way is given up.

        Raises:
            TeacherError: The teacher cannot be asked at all now.
        """


Answered = tuple[Question, Answer]


class Session(Protocol):
    """Questions under way: `ask` while there is room, then `wait` for answers, and so on."""

    @property
    def room(self) -> int:
        """How many more questions it takes now."""

    def ask(self, question: Question) -> None:
        """Put a question; from now on it may have to be paid for."""

    def wait(self) -> Sequence[Answered]:
        """Wait for the next answer under way; several where they came together, in any order.

        Raises:
            TeacherError: The teacher cannot be asked at all now; what was answered counts.
        """


class Batches:
    """A session for a teacher that answers what was asked all at once."""

    def __init__(self, size: int, answer: Callable[[Sequence[Question]], Sequence[Answer]]) -> None:
        """Nothing has been asked yet.

        Args:
            size: The most questions of a batch.
            answer: Gives the answers to a batch, in its order.
        """
        self._size = size
        self._answer = answer
        self._batch: list[Question] = []

    @property
    def room(self) -> int:
        """What the batch lacks."""
        return self._size - len(self._batch)

    def ask(self, question: Question) -> None:
        """Put a question into the batch."""
        self._batch.append(question)

    def wait(self) -> Sequence[Answered]:
        """Answer the batch."""
        batch, self._batch = self._batch, []
        return list(zip(batch, self._answer(batch), strict=True))


# `json.dumps` would make one for every call: a knockout takes hundreds of thousands.
_ENCODER = json.JSONEncoder(sort_keys=True)


class TeacherError(Exception):
    """A teacher that cannot be asked: unreachable, no key, no such model; says what to do."""


def request_sha256(teacher: Teacher, request: Request) -> str:
    """Digest of everything that a reply may depend on: same digest, same reply.

    Teacher, settings (with the prompt), persona, pictures, order, and which asking it is.
    """
    content = [teacher.name, teacher.settings, teacher.content(request), request.repeat]
    return content_sha256(content)


def content_sha256(content: Any) -> str:
    """Digest of anything that JSON can hold, whatever the order of its keys."""
    return hashlib.sha256(_ENCODER.encode(content).encode()).hexdigest()
