"""What goes over HTTP, as the OpenAPI description has it."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema

from retrieval.index.collection import LONGEST, Filter
from services.http.explanation_messages import WhyMessage

_INK = r"[^\s\u0085]"  # `strip` takes U+0085 for a space, as not every reader of the pattern does
Text = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000, pattern=_INK)
]
Word = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST)]
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
    attributes: Annotated[
        dict[Word, Word | Annotated[list[Word], Field(min_length=1, max_length=50)]],
        Field(max_length=20, description='Any of the values of each: {"colour": ["red", "blue"]}.'),
    ] = {}
    exclude: Annotated[
        list[Id], Field(max_length=1000, description="Ids of products to leave out.")
    ] = []

    def to_filter(self) -> Filter:
        """The same for a collection; equal conditions are equal whatever their order."""
        return Filter(
            categories=tuple(sorted(set(self.category))),
            price_gte=self.price.gte,
            price_lte=self.price.lte,
            attributes=tuple(
                (name, tuple(sorted({value} if isinstance(value, str) else set(value))))
                for name, value in sorted(self.attributes.items())
            ),
            exclude=tuple(sorted(set(self.exclude))),
        )


class WantedMessage(Message):
    """What every search says, whatever it looks for."""

    k: Annotated[
        int, Field(ge=1, le=200, description="How many products."), BeforeValidator(_a_number)
    ] = 10
    offset: Annotated[
        int,
        Field(ge=0, le=800, description="How many to skip: those of earlier pages."),
        BeforeValidator(_a_number),
    ] = 0
    filter: FilterMessage = FilterMessage()
    model: Annotated[
        Literal["champion", "base"],
        Field(description="The version that serves, or the base model that it was distilled from."),
    ] = "champion"
    mode: Annotated[
        Literal["vector", "keyword", "hybrid"],
        Field(
            description="What is compared: meanings, words (BM25 of title and caption), or both"
            " (the first 200 of each by reciprocal rank fusion). Words need a `query`."
        ),
    ] = "vector"
    diversify: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            allow_inf_nan=False,
            description="How much the first 200 are to differ from each other in their pictures:"
            " maximal marginal relevance with lambda = 1 - diversify.",
        ),
        BeforeValidator(_a_number),
    ] = 0.0

    def _refuse_words(self, what: str) -> None:
        """Raise where words are to be compared, and there are none."""
        if self.mode != "vector":
            msg = f'got mode "{self.mode}" with {what}, which has no words; use mode "vector"'
            raise ValueError(msg)


_NO_WORDS = {"const": "vector", "default": "vector"}


def _in_two_forms(schema: dict[str, Any]) -> None:
    """Say in the description what `SearchMessage._has_one` holds."""
    fields = schema.pop("properties")
    form = {name: schema.pop(name) for name in ("type", "additionalProperties")}
    others = {name: field for name, field in fields.items() if name not in ("query", "like")}
    for own, more in (("query", {}), ("like", {"mode": _NO_WORDS})):
        fields[own].pop("default")
        properties = {own: fields[own], **others, **more}
        schema.setdefault("oneOf", []).append({**form, "properties": properties, "required": [own]})


class SearchMessage(WantedMessage):
    """A search for a text, or for what is like a product."""

    model_config = ConfigDict(json_schema_extra=_in_two_forms)

    query: Annotated[
        Text | SkipJsonSchema[None],
        Field(description="What to look for; `{name}` is one of your concepts."),
    ] = None
    like: Annotated[
        Id | SkipJsonSchema[None],
        Field(description="In the query's place: a product's id, for more like it, without it."),
    ] = None
    explain: Annotated[
        bool,
        Field(
            strict=True,
            description="Whether to say of each hit why it was found: where a `query` is read for"
            " its meaning, so not in mode `keyword`.",
        ),
    ] = False

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if (self.query is None) == (self.like is None):
            got = "neither" if self.query is None else "both"
            msg = f"got {got} of query and like, expected one of them"
            raise ValueError(msg)
        if self.like is not None:
            self._refuse_words("like")
        return self


def _no_words(schema: dict[str, Any]) -> None:
    """Say in the description what `PictureSearchMessage._has_no_words` holds."""
    schema["properties"]["mode"] = _NO_WORDS


class PictureSearchMessage(WantedMessage):
    """How to search for a picture."""

    model_config = ConfigDict(json_schema_extra=_no_words)

    @model_validator(mode="after")
    def _has_no_words(self) -> Self:
        self._refuse_words("a picture")
        return self


class HitMessage(Message):
    """A product found."""

    product_id: str
    title: str
    category: str
    price: float | None
    score: Annotated[
        float,
        Field(
            description="By mode: `vector` the cosine of query and picture, `keyword` BM25,"
            " `hybrid` the sum of 1 / (60 + rank) over both lists. With `diversify` scores need"
            " not fall."
        ),
    ]
    image_url: str
    why: Annotated[WhyMessage | None, Field(description="Where `explain` asked; else null.")] = None


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
