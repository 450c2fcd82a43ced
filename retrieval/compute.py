"""Where and how models run: device, precision, threads, repeatability."""

from collections.abc import Sequence
from contextlib import AbstractContextManager

import torch

MATRIX_UNIT = ("amx_bf16",)
PRODUCTS = (*MATRIX_UNIT, "avx512_bf16")  # enough where it is products of matrices and no more


def resolve_device(device: str) -> str:
    """The device to use: `auto` is a GPU if there is one.

    Raises:
        ValueError: A GPU is asked for and there is none.
    """
    available = torch.cuda.is_available()
    if device == "auto":
        return "cuda" if available else "cpu"
    if device.startswith("cuda") and not available:
        msg = f"got device {device}, but torch sees no GPU; expected auto or cpu"
        raise ValueError(msg)
    return device


def resolve_precision(precision: str, device: str, units: Sequence[str] = MATRIX_UNIT) -> str:
    """fp32 or bf16: `auto` is bf16 where the processor multiplies bf16 matrices in hardware.

    Elsewhere bf16 is emulated and slower (measured: half the speed of a training step on AVX-512
    without AMX).

    Args:
        precision: fp32, bf16 or auto.
        device: Where it is computed.
        units: What of a processor's is hardware enough: any of these capabilities (torch.cpu).
    """
    if precision != "auto":
        return precision
    if device.startswith("cuda"):
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    can = torch.cpu.get_capabilities()
    return "bf16" if any(can.get(unit, False) for unit in units) else "fp32"


def autocast(device: str, precision: str) -> AbstractContextManager[object]:
    """Run what is inside in `precision` (fp32 or bf16)."""
    return torch.autocast(
        device.split(":", maxsplit=1)[0], dtype=torch.bfloat16, enabled=precision == "bf16"
    )


def make_repeatable(seed: int, threads: int) -> None:
    """Seed torch, fix its threads and refuse operations whose result varies from run to run."""
    # The gradients of a sharp softmax are full of numbers below 1e-38, which the processor handles
    # a hundred times slower than others: taken for 0. Threads inherit this from the one that
    # starts them, so it comes first.
    torch.set_flush_denormal(True)
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())
    # Nothing here reads memory before it is written; filling it took half of a training step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
