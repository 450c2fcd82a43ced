"""How long the parts of answering take, told to whoever wants to know."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Watcher = Callable[[str, float], None]  # a phase's name, and its seconds
_WATCHER: ContextVar[Watcher | None] = ContextVar("watcher", default=None)


@contextmanager
def watched(watcher: Watcher) -> Iterator[None]:
    """Tell `watcher` of the phases within."""
    token = _WATCHER.set(watcher)
    try:
        yield
    finally:
        _WATCHER.reset(token)


@contextmanager
def phase(name: str) -> Iterator[None]:
    """Time what is within."""
    began = time.perf_counter()
    try:
        yield
    finally:
        if watcher := _WATCHER.get():
            watcher(name, time.perf_counter() - began)
