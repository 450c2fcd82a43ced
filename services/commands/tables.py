"""What verbs print: tables, JSON, and steps as they pass."""

import json
import sys
from collections.abc import Sequence


def as_text(content: object) -> str:
    """JSON for programs, readable for people."""
    return json.dumps(content, indent=2, ensure_ascii=False)


def print_step(step: str) -> None:
    """Tell a step as it passes."""
    sys.stderr.write(f"  {step}\n")
    sys.stderr.flush()


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with aligned columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join(cells).rstrip())
    return lines
