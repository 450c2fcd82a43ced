"""What a teacher is: it puts small groups of pictures into a persona's order.

A reply is a full permutation of what was presented, or it is no label. Teachers only answer;
`asking` keeps what they said, asks once more where it was no permutation, and minds the budget.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


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
    """What came back. `raw` is the reply word for word; `fault` says why there is none."""

    raw: str
    fault: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Reply:
    """A label: product ids, best first; None where the teacher gave no permutation."""

    request_sha256: str
    ranking: tuple[str, ...] | None


class Teacher(Protocol):
    """Answers questions."""

    name: str
    """What the table of rankings calls it, for example `openai:qwen2.5-vl-7b`."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Everything that a reply may depend on beside the request, as JSON, prompt digests too.

        No secret, and nothing that changes only how fast or how dearly it answers.
        """

    def content(self, request: Request) -> Any:
        """What the request shows, as JSON: persona's text, digests of the pictures in order."""

    def expected_tokens(self, request: Request) -> tuple[float, float]:
        """Tokens that asking will take and bring, as far as can be told before."""

    def answer(self, questions: Iterable[Question]) -> Iterator[Sequence[tuple[Question, Answer]]]:
        """Each question with its answer, as they come in, several at once where they came so.

        Questions are taken one by one, no sooner than there is room for them: what has not been
        taken has not been paid for. Closing the iterator gives up what is under way.

        Raises:
            TeacherError: The teacher cannot be asked at all now; what was answered counts.
        """


class TeacherError(Exception):
    """A teacher that cannot be asked: unreachable, no key, no such model; says what to do."""


def request_sha256(teacher: Teacher, request: Request) -> str:
    """Digest of everything that a reply may depend on: same digest, same reply.

    Teacher, settings (with the prompt), persona, pictures, order, and which asking it is.
    """
    content = [teacher.name, teacher.settings, teacher.content(request), request.repeat]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
