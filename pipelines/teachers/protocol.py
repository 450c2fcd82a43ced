"""What a teacher is: it puts small groups of pictures into a persona's order.

A reply is a full permutation of what was presented, or it is no label.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Request:
    """One persona, the products in the order of presentation, and which asking this is."""

    persona_id: str
    presented: tuple[str, ...]
    repeat: int = 0


@dataclass(frozen=True)
class Reply:
    """A teacher's answer: product ids, best first; None where it gave no permutation."""

    request_sha256: str
    ranking: tuple[str, ...] | None


class Teacher(Protocol):
    """Ranks groups; equal requests get equal replies."""

    name: str

    def rank(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply a request, in order."""
        ...


def request_sha256(teacher: str, settings: str, request: Request) -> str:
    """Digest of everything that a reply may depend on: same digest, same reply.

    Args:
        teacher: The teacher's name.
        settings: Its settings, written out.
        request: What is asked.
    """
    content = [teacher, settings, request.persona_id, request.presented, request.repeat]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def as_permutation(answer: Sequence[str], presented: Sequence[str]) -> tuple[str, ...] | None:
    """The answer as a ranking if it holds each presented product exactly once, else None."""
    return tuple(answer) if sorted(answer) == sorted(presented) else None
