"""The service's calls as requests, for the client that waits and the one that does not."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import httpx
import numpy as np
from numpy.typing import NDArray

from services.http.concept_messages import ConceptMessage, ConceptsMessage, LearnedMessage
from services.http.messages import (
    FoundMessage,
    PictureSearchMessage,
    SearchMessage,
    VectorsMessage,
    WantedMessage,
)

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
    query: str | None = None,
    k: int = 10,
    filter_: Mapping[str, Any] | None = None,
    **wanted: Any,
) -> Call[FoundMessage]:
    """Search the catalogue.

    Args:
        query: What to look for; `{name}` in it is one of your concepts.
        k: How many products.
        filter_: Conditions as the service takes them: category, price, attributes, exclude.
        wanted: What else `POST /v1/search` takes: `like` (a product's id, in the query's place),
            `offset`, `mode`, `diversify`, `model`.

    Raises:
        ServiceError: The service refused.
        ConnectionError: It does not answer.
        ValueError: An argument is not what the service takes.
    """
    content = {"query": query, "k": k, "filter": filter_ or {}, **wanted}
    message = SearchMessage.model_validate(content)
    return _posted("/v1/search", _found, json=_said(message))


def search_image(
    picture: Photo, k: int = 10, filter_: Mapping[str, Any] | None = None, **wanted: Any
) -> Call[FoundMessage]:
    """Search the catalogue by a picture; the rest as `search` takes it.

    Raises as `search`, and OSError where the picture's file cannot be read.
    """
    message = PictureSearchMessage.model_validate({"k": k, "filter": filter_ or {}, **wanted})
    return _posted(
        "/v1/search/image",
        _found,
        data={"search": json.dumps(_said(message))},
        files=[("picture", _file("picture", picture))],
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
    files = [
        ("photos", _file(f"photo {number}", photo)) for number, photo in enumerate(photos, start=1)
    ]
    return Call(
        "POST",
        path,
        lambda answer: LearnedMessage.model_validate_json(answer.content),
        {"data": fields, "files": files},
        changes=True,
    )


def _posted(path: str, read: Callable[[httpx.Response], Answer], **content: Any) -> Call[Answer]:
    return Call("POST", path, read, content)


def _found(answer: httpx.Response) -> FoundMessage:
    return FoundMessage.model_validate_json(answer.content)


def _said(message: WantedMessage) -> dict[str, Any]:
    """What of a message is not so anyway."""
    return message.model_dump(mode="json", exclude_defaults=True)


def _file(name: str, photo: Photo) -> tuple[str, bytes]:
    if isinstance(photo, bytes):
        return name, photo
    return Path(photo).name, Path(photo).read_bytes()


def _address(name: str) -> str:
    return f"{_CONCEPTS}/{quote(name, safe='')}"
