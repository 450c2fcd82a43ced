"""What the benchmarks share: a clock, the tables that are printed, and the machine's name."""

import platform
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import torch


class Rows:
    """The table that is printed: what was measured, its spread, and what was promised."""

    def __init__(self, *, judged: bool = True) -> None:
        """Start without a row; promises are held to or left out."""
        self.missed, self._judged = False, judged

    def add(
        self,
        what: str,
        values: Sequence[float],
        unit: str = "",
        promise: tuple[str, float] | None = None,
    ) -> None:
        """Print a row; a median beyond what is promised (`at most` or `at least`) is a miss."""
        middle = statistics.median(values)
        verdict = ""
        if promise is not None and self._judged:
            word, bar = promise
            met = middle <= bar if word == "at most" else middle >= bar
            verdict = f"   {word} {bar:g}: {'met' if met else 'MISSED'}"
            self.missed |= not met
        spread = f"({min(values):.3g} to {max(values):.3g}, n = {len(values)})"
        spread = spread if len(values) > 1 else ""
        print(f"{what:<66} {middle:9.3g} {unit:<10} {spread:<28}{verdict}".rstrip(), flush=True)


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def timed(function: Callable[[], object]) -> tuple[float, object]:
    """Seconds, and what came of it."""
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def describe_machine() -> str:
    """Processor, threads and library."""
    model = platform.processor() or platform.machine()
    facts = Path("/proc/cpuinfo")
    if facts.exists():
        lines = facts.read_text().splitlines()
        model = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), model)
    units = [name for name, has in torch.cpu.get_capabilities().items() if has is True]
    return (
        f"{model}, {torch.get_num_threads()} threads, torch {torch.__version__};"
        f" {', '.join(units) or 'no vector units named'}"
    )
