"""What a search found, whoever searched: the service, or this process in a bundle."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Hit:
    """A product found."""

    rank: int  # from 1
    product_id: str
    title: str
    price: float  # NaN where unknown
    score: float  # cosine; of other modes what the service says
    thumbnail: bytes  # JPEG; empty where no picture was asked for


@dataclass(frozen=True)
class Found:
    """Hits, best first, and the version that found them."""

    version: str
    aliases: tuple[str, ...]
    hits: list[Hit]
    warnings: tuple[str, ...] = ()  # what the model cannot read of the text, a sentence each
