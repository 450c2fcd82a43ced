"""What one request looks for, and what was found."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from registry.bundle import Product
from registry.versions import Version
from retrieval.index.collection import Filter

if TYPE_CHECKING:
    import torch

    from retrieval.concepts.concept import Concept

Model = Literal["champion", "base"]


@dataclass(frozen=True, eq=False)  # concepts and pictures are tensors, which have no one truth
class Query:
    """What one request looks for: a text, or a picture."""

    text: str
    k: int
    filter_: Filter
    model: Model
    concepts: tuple["Concept", ...] = ()  # `{name}` in the text is a concept's place
    picture_3SS: "torch.Tensor | None" = None  # `Encoder.pixels`; looked for in the text's place


@dataclass(frozen=True)
class Found:
    """The answer to a query: products with their scores, best first, all by one version."""

    version: Version
    hits: list[tuple[Product, float]]
    warnings: tuple[str, ...] = ()  # what the model cannot read of the text, a sentence each


@dataclass(frozen=True)
class Vectors:
    """The answer to a request for vectors."""

    version: Version
    vectors_ND: NDArray[np.float32]
