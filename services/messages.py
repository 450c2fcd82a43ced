"""What goes over HTTP, as the OpenAPI description has it."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from retrieval.index.collection import Filter

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Money = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]  # "30" is no number


def _a_number(value: object) -> object:
    """Pydantic would read "5" and true as numbers, which the description does not say."""
    if isinstance(value, str | bool):
        msg = f"got {value!r}, expected a number"
        raise ValueError(msg)
    return value


class Message(BaseModel):
    """An unknown field is an error, not a wish that is overlooked."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Price(Message):
    """A price range, both ends included; products without a known price are outside any."""

    gte: Money | None = None
    lte: Money | None = None


class FilterMessage(Message):
    """Conditions that all hold."""

    category: Annotated[list[Word], Field(max_length=100)] = []
    price: Price = Price()
    attributes: Annotated[dict[Word, Word], Field(max_length=20)] = {}

    def to_filter(self) -> Filter:
        """The same for a collection; equal conditions are equal whatever their order."""
        return Filter(
            categories=tuple(sorted(set(self.category))),
            price_gte=self.price.gte,
            price_lte=self.price.lte,
            attributes=tuple(sorted(self.attributes.items())),
        )


class SearchMessage(Message):
    """A search."""

    query: Text
    k: Annotated[
        int, Field(ge=1, le=100, description="How many products."), BeforeValidator(_a_number)
    ] = 10
    filter: FilterMessage = FilterMessage()
    model: Annotated[
        Literal["champion", "base"],
        Field(description="The version that serves, or the base model that it was distilled from."),
    ] = "champion"


class HitMessage(Message):
    """A product found."""

    product_id: str
    title: str
    category: str
    price: float | None
    score: Annotated[float, Field(description="Cosine of query and picture.")]
    image_url: str


class FoundMessage(Message):
    """What a search found, best first, all of it by one version."""

    hits: list[HitMessage]
    model_version: str
    bundle_sha256: str
    model: Literal["champion", "base"]
    concepts: Annotated[list[str], Field(description="Those of yours that the query used.")]
    took_ms: float
    warnings: Annotated[
        list[str], Field(description="What the model cannot read of the query, in sentences.")
    ] = []


class EmbedMessage(Message):
    """Texts to encode."""

    texts: Annotated[list[Text], Field(min_length=1, max_length=256)]


class VectorsMessage(Message):
    """Unit vectors, in the texts' order."""

    vectors: list[list[float]]
    model_version: str
    bundle_sha256: str
