"""What makes a process that imports much ready sooner."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Import and build what stays as long as the process, without looking for garbage among it.

    Importing MLflow or torch makes a million objects, and the collector walks over all of them
    again and again, and once more when the process ends: a third of the time of `kindred status`.
    What was made inside is never looked at afterwards. Garbage in cycles stays too, so this is for
    a start or a short process, not for a loop.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
