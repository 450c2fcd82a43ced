"""The service's calls as requests, for the client that waits and the one that does not."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import httpx
import numpy as np
from numpy.typing import NDArray

from services.concept_messages import ConceptMessage, ConceptsMessage, LearnedMessage
from services.messages import FoundMessage, SearchMessage, VectorsMessage

Answer = TypeVar("Answer")
Photo = str | Path | bytes  # a file's path, or what is in it
_CONCEPTS = "/v1/concepts"


@dataclass(frozen=True)
class Call(Generic[Answer]):
    """One request, and how its answer is read."""

    method: str
    path: str
    read: Callable[[httpx.Response], Answer]
    content: dict[str, Any] = field(default_factory=dict)  # httpx's arguments: json, data, files
    changes: bool = False  # something in the service: it is not asked twice


def search(
    query: str,
    k: int = 10,
    filter_: Mapping[str, Any] | None = None,
    model: str = "champion",
) -> Call[FoundMessage]:
    """Search the catalogue; `filter_` as the service takes it (category, price, attributes).

    `{name}` in the query is one of your concepts.

    Raises:
        ServiceError: The service refused.
        ConnectionError: It does not answer.
        ValueError: An argument is not what the service takes.
    """
    content = {"query": query, "k": k, "filter": filter_ or {}, "model": model}
    message = SearchMessage.model_validate(content)
    return Call(
        "POST",
        "/v1/search",
        lambda answer: FoundMessage.model_validate_json(answer.content),
        {"json": message.model_dump(mode="json")},
    )


def embed(texts: Sequence[str]) -> Call[NDArray[np.float32]]:
    """Unit vectors (N, D) of texts, by the version that serves. Raises as `search`."""

    def read(answer: httpx.Response) -> NDArray[np.float32]:
        vectors = VectorsMessage.model_validate_json(answer.content).vectors
        return np.array(vectors, dtype=np.float32)

    return Call("POST", "/v1/embed", read, {"json": {"texts": list(texts)}})


def model() -> Call[dict[str, Any]]:
    """The version that serves. Raises as `search`."""

    def read(answer: httpx.Response) -> dict[str, Any]:
        content: dict[str, Any] = answer.json()
        return content

    return Call("GET", "/v1/model", read)


def image(image_url: str) -> Call[bytes]:
    """A hit's picture, or a concept's photo, by its address: JPEG. Raises as `search`."""
    return Call("GET", image_url, lambda answer: answer.content)


def concepts() -> Call[list[ConceptMessage]]:
    """Your concepts, oldest first. Raises as `search`."""
    return Call(
        "GET",
        _CONCEPTS,
        lambda answer: ConceptsMessage.model_validate_json(answer.content).concepts,
    )


def concept(name: str) -> Call[ConceptMessage]:
    """One of your concepts. Raises as `search`."""
    return Call(
        "GET", _address(name), lambda answer: ConceptMessage.model_validate_json(answer.content)
    )


def teach(name: str, noun: str, photos: Sequence[Photo]) -> Call[LearnedMessage]:
    """Teach a concept from photos, paths or bytes; in a query it is then `{name}`.

    Raises as `search`, and OSError where a file cannot be read.
    """
    return _taught(_CONCEPTS, photos, {"name": name, "noun": noun})


def add_photos(name: str, photos: Sequence[Photo]) -> Call[LearnedMessage]:
    """Teach a concept with more photos beside those that it has. Raises as `teach`."""
    return _taught(f"{_address(name)}/photos", photos, {})


def forget(name: str) -> Call[None]:
    """Forget a concept: its photos, and what was learned from them. Raises as `search`."""
    return Call("DELETE", _address(name), lambda _: None, changes=True)


def _taught(path: str, photos: Sequence[Photo], fields: dict[str, str]) -> Call[LearnedMessage]:
    files = [("photos", _file(number, photo)) for number, photo in enumerate(photos, start=1)]
    return Call(
        "POST",
        path,
        lambda answer: LearnedMessage.model_validate_json(answer.content),
        {"data": fields, "files": files},
        changes=True,
    )


def _file(number: int, photo: Photo) -> tuple[str, bytes]:
    if isinstance(photo, bytes):
        return f"photo {number}", photo
    return Path(photo).name, Path(photo).read_bytes()


def _address(name: str) -> str:
    return f"{_CONCEPTS}/{quote(name, safe='')}"
