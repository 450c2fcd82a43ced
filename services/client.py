"""A Python client of the service.

with Client("http://127.0.0.1:3000") as client:
    for hit in client.search("a gift for a mother who loves gardening", k=5).hits:
        print(hit.title, hit.score)
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import httpx
import numpy as np
from numpy.typing import NDArray

from services.messages import FoundMessage, SearchMessage, VectorsMessage

DEFAULT_URL = "http://127.0.0.1:3000"


class ServiceError(Exception):
    """The service refused a request; `status` is HTTP's, the message what to do."""

    def __init__(self, status: int, detail: str) -> None:
        """Keep both."""
        super().__init__(detail)
        self.status = status


class Client:
    """Talks to one service; keeps its connection until closed."""

    def __init__(self, url: str = DEFAULT_URL, timeout: float = 30.0) -> None:
        """Connect at the first request.

        Args:
            url: Where the service is.
            timeout: Seconds to wait for an answer.
        """
        self._url = url
        self._http = httpx.Client(base_url=url, timeout=timeout)

    def search(
        self,
        query: str,
        k: int = 10,
        filter_: Mapping[str, Any] | None = None,
        model: str = "champion",
    ) -> FoundMessage:
        """Search the catalogue; `filter_` as the service takes it (category, price, attributes).

        Raises:
            ServiceError: The service refused.
            ConnectionError: It does not answer.
            ValueError: An argument is not what the service takes.
        """
        content = {"query": query, "k": k, "filter": filter_ or {}, "model": model}
        message = SearchMessage.model_validate(content)
        return FoundMessage.model_validate(
            self._call("POST", "/v1/search", message.model_dump(mode="json"))
        )

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors (N, D) of texts, by the version that serves. Raises as `search`."""
        answer = self._call("POST", "/v1/embed", {"texts": list(texts)})
        return np.array(VectorsMessage.model_validate(answer).vectors, dtype=np.float32)

    def model(self) -> dict[str, Any]:
        """The version that serves. Raises as `search`."""
        answer: dict[str, Any] = self._call("GET", "/v1/model")
        return answer

    def image(self, image_url: str) -> bytes:
        """A hit's picture, JPEG. Raises as `search`."""
        return self._send("GET", image_url).content

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def _call(self, method: str, path: str, content: Any = None) -> Any:
        return self._send(method, path, content).json()

    def _send(self, method: str, path: str, content: Any = None) -> httpx.Response:
        try:
            response = self._http.request(method, path, json=content)
        except httpx.TransportError as error:
            msg = f"no answer from {self._url} ({error}); start the service with `kindred serve`"
            raise ConnectionError(msg) from error
        if response.is_error:
            raise ServiceError(response.status_code, _detail(response))
        return response


def _detail(response: httpx.Response) -> str:
    try:
        return str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {response.status_code} {response.reason_phrase}"
