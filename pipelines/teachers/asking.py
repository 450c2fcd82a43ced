"""Puts requests to a teacher: what the journal has is not asked again, what comes is kept first."""

from collections.abc import Sequence
from typing import Protocol

from pipelines.teachers.protocol import Reply, Request


class Ranker(Protocol):
    """Ranks groups; equal requests get equal replies."""

    name: str

    def rank(self, requests: Sequence[Request]) -> list[Reply | None]:
        """One reply a request, in order; None where the budget ended before it."""
