"""In which precision queries' texts are read: what is asked for, and what the processor can do."""

import os
from typing import Literal, cast, get_args

Precision = Literal["fp32", "bf16", "auto"]
PRECISION = "KINDRED_PRECISION"


def text_precision() -> Precision:
    """In which precision queries are read: fp32 unless something else is asked for.

    Raises:
        ValueError: What is asked for is none.
    """
    asked = os.environ.get(PRECISION) or "fp32"
    if asked in get_args(Precision):
        return cast("Precision", asked)
    msg = f"got {PRECISION}={asked}, expected {', '.join(get_args(Precision))}"
    raise ValueError(msg)


def is_bfloat16(precision: Precision, device: str) -> bool:
    """Whether to multiply in bf16: `auto` does where the processor has products of bf16."""
    from retrieval.compute import PRODUCTS, resolve_precision

    return resolve_precision(precision, device, PRODUCTS) == "bf16"
