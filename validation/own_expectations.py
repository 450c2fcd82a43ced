"""Expectations of our own by name, loaded no sooner than a gate runs."""

from collections.abc import Callable
from typing import Any


def own(name: str) -> Callable[[], type[Any]]:
    """What loads a class of `validation.label_expectations`: a `Requirement.kind`."""

    def load() -> type[Any]:
        # Here: it imports Great Expectations, and run_gate switches analytics off before that.
        from validation import label_expectations

        expectation: type[Any] = getattr(label_expectations, name)
        return expectation

    return load
