"""Where and how models run: device, precision, threads, repeatability."""

from contextlib import AbstractContextManager

import torch


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


def resolve_precision(precision: str, device: str) -> str:
    """fp32 or bf16: `auto` is bf16 where the processor multiplies bf16 matrices in hardware.

    Elsewhere bf16 is emulated and slower (measured: half the speed on AVX-512 without AMX).
    """
    if precision != "auto":
        return precision
    if device.startswith("cuda"):
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    return "bf16" if torch.cpu.get_capabilities().get("amx_bf16", False) else "fp32"


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
