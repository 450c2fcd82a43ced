"""What one request looks for, and what was found."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from registry.bundle import Product
from registry.versions import Version
from retrieval.index.collection import Filter

if TYPE_CHECKING:
    from retrieval.concepts.concept import Concept
    from services.search.pictures import Picture

Model = Literal["champion", "base"]
Mode = Literal["vector", "keyword", "hybrid"]


class UnknownProductError(LookupError):
    """The version that serves has no product of that id."""


@dataclass(frozen=True, eq=False)  # concepts and pictures are tensors, which have no one truth
class Query:
    """What one request looks for: a text, or in its place a picture, or a product's like."""

    text: str
    k: int
    filter_: Filter
    model: Model
    concepts: tuple["Concept", ...] = ()  # `{name}` in the text is a concept's place
    picture: "Picture | None" = None
    like: str | None = None  # a product's id; it is left out of what is found
    offset: int = 0  # hits that an earlier page had
    mode: Mode = "vector"
    diversify: float = 0.0  # 0 to 1

    @property
    def reads_text(self) -> bool:
        """Whether the model reads the text."""
        return self.picture is None and self.like is None and self.mode != "keyword"

    @property
    def is_new_text(self) -> bool:
        """Whether somebody asks for something in words of their own, and not for more of it."""
        return self.reads_text and not (self.concepts or self.offset) and self.model == "champion"

    @property
    def words(self) -> str:
        """The text for who looks for words."""
        return in_words(self.text, self.concepts)


def in_words(text: str, concepts: Sequence["Concept"]) -> str:
    """A query for who does not know its concepts: each one's noun in its place."""
    for concept in concepts:
        text = text.replace(f"{{{concept.name}}}", concept.noun)
    return text


@dataclass(frozen=True)
class Found:
    """The answer to a query: one page of products with scores, best first, all by one version."""

    version: Version
    hits: list[tuple[Product, float]]
    warnings: tuple[str, ...] = ()  # what the model cannot read of the text, a sentence each
    refusal: str = ""  # why nothing was looked for: the model knows nothing of the text
    # The query's, (D,), for who explains what was found; None where words alone were looked for.
    vector_D: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Vectors:
    """The answer to a request for vectors."""

    version: Version
    vectors_ND: NDArray[np.float32]
