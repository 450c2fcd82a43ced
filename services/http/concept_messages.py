"""Concepts as they go over HTTP."""

from typing import Annotated

from pydantic import Field

from services.http.messages import Message


class ConceptMessage(Message):
    """One concept."""

    name: Annotated[str, Field(description="In a query it stands as {name}.")]
    noun: Annotated[str, Field(description='What kind of thing it is: "mug".')]
    created: Annotated[str, Field(description="ISO 8601, UTC.")]
    photos: Annotated[list[str], Field(description="Their addresses.")]
    problem: Annotated[
        str, Field(description="Why the version that serves cannot use it; empty where it can.")
    ] = ""


class LearnedMessage(ConceptMessage):
    """A concept that was taught a moment ago."""

    model_version: str
    warnings: list[str]
    took_ms: float


class ConceptsMessage(Message):
    """A tenant's concepts, oldest first."""

    concepts: list[ConceptMessage]
