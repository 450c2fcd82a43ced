"""MLflow's client, connected, with its errors as this package's."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from registry import tracking
from registry.errors import explained


@contextmanager
def registry_client(action: str) -> Iterator[Any]:
    """Yield an `MlflowClient` for one action, which the message of an error names.

    Raises:
        UnknownVersionError: MLflow knows no such thing.
        UnreachableError: The registry does not answer.
    """
    address = tracking.connect()
    import mlflow

    with explained(action, address):
        yield mlflow.MlflowClient()


def pages(search: Callable[..., Any]) -> Iterator[Any]:
    """All results of a search of the client's, which gives a page a call."""
    token: str | None = None
    while True:
        page = search(page_token=token)
        yield from page
        token = page.token
        if not token:
            return
