"""What the report draws, as tables and JSON; their columns stand in pipelines/paths.py."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.evaluate_slices import Slices
from pipelines.held_out import HeldOut
from pipelines.paths import CALIBRATION_FILE, CYCLES_FILE, SLICES_FILE, WORST_FILE
from retrieval.files import atomic_file, write_json

Rows = list[dict[str, Any]]

BINS = 20  # of percentiles
WORST = 10


def write_slices(slices: Slices) -> None:
    """reports/slices.csv."""
    rows: list[list[Any]] = []
    for name, values in slices.items():
        for value, numbers in values.items():
            means = [numbers[key] for key in ("base", "student", "gain")]
            cells = [_cell(number) for number in (*means, *(numbers["ci95"] or (None, None)))]
            rows.append([name, value, numbers["n"], *cells])
    _write(SLICES_FILE, ["slice", "value", "n", "base", "student", "gain", "low", "high"], rows)


def write_calibration(rows: Iterable[Mapping[str, Any]]) -> None:
    """reports/calibration.csv, from the rows of `calibrate`."""
    cells = [[r["model"], f"{r['difference']:.6g}", _cell(r["share"]), r["n"]] for r in rows]
    _write(CALIBRATION_FILE, ["model", "difference", "share", "n"], cells)


def write_cycles(held_out: HeldOut, cycles: Sequence[str]) -> None:
    """reports/percentiles_by_cycle.csv, from the vectors of the base model and of each cycle."""
    edges = np.linspace(0, 1, BINS + 1)
    rows = []
    for cycle in ("base", *cycles) if held_out.personas else ():
        counts, _ = np.histogram(held_out.percentiles(held_out.scores(cycle)), edges)
        for edge, count in zip(edges, counts, strict=False):
            rows.append([cycle, f"{edge:.2f}", _cell(count / len(held_out.personas))])
    _write(CYCLES_FILE, ["cycle", "percentile", "share"], rows)


def write_worst(base: Rows, student: Rows, texts: Mapping[str, str]) -> None:
    """reports/worst.json: whom the student serves worst.

    Args:
        base: Rows of the queries table.
        student: The same personas, in the same order.
        texts: Persona -> what it says.
    """
    pairs = sorted(zip(student, base, strict=True), key=lambda pair: pair[0]["percentile"])
    worst = [
        {
            "persona_id": row["persona_id"],
            "text": texts[row["persona_id"]],
            "percentile": row["percentile"],
            "base_percentile": other["percentile"],
            "winner": row["winner"],
            "top": row["top"],
        }
        for row, other in pairs[:WORST]
    ]
    write_json(WORST_FILE, worst)


def _cell(number: float | None) -> str:
    return "" if number is None else f"{number:.6f}"


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with atomic_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
