"""Why a product was found, as it goes over HTTP."""

from typing import Annotated

from pydantic import BaseModel, Field

from services.search.explanation import Why


class WordMessage(BaseModel, frozen=True):
    """A word of the query."""

    word: str
    share: Annotated[float, Field(description="The cosine minus that of the query without it.")]


class ConceptShareMessage(BaseModel, frozen=True):
    """A concept of the query."""

    name: str
    share: Annotated[float, Field(description="The cosine minus that with its noun in its place.")]


class WishMessage(BaseModel, frozen=True):
    """A wish that the model was trained on."""

    text: str
    similarity: Annotated[
        float,
        Field(
            description="The cosine of query and wish, times that of this picture and the mean of"
            " those that the wish chose."
        ),
    ]


class WhyMessage(BaseModel, frozen=True):
    """Why a product was found."""

    words: list[WordMessage]
    wishes: Annotated[list[WishMessage], Field(description="The nearest first, at most three.")]
    concepts: list[ConceptShareMessage]


def why_message(why: Why) -> WhyMessage:
    """The same in the form of an answer."""
    return WhyMessage(
        words=[WordMessage(word=word, share=share) for word, share in why.words],
        wishes=[WishMessage(text=text, similarity=near) for text, near in why.wishes],
        concepts=[ConceptShareMessage(name=name, share=share) for name, share in why.concepts],
    )
