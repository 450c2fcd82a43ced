"""What the report draws, as tables and JSON; pipelines/run/paths.py says what the columns are."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.evaluation.groups import CalibrationRow
from pipelines.evaluation.series import TITLES
from pipelines.evaluation.slices import Slices
from pipelines.held_out.winners import HeldOut
from pipelines.run.paths import (
    BASE,
    CALIBRATION_FILE,
    CYCLES_FILE,
    PERCENTILES_FILE,
    SLICES_FILE,
    WORST_FILE,
)
from retrieval.storage.files import atomic_file, write_json
from retrieval.storage.schema import QueryRow

BINS = 20  # of percentiles
WORST = 10


def write_slices(slices: Slices) -> None:
    """reports/slices.csv."""
    rows: list[list[Any]] = []
    for name, values in slices.items():
        for value, numbers in values.items():
            means = (numbers["base"], numbers["student"], numbers["gain"])
            cells = [_cell(number) for number in (*means, *(numbers["ci95"] or (None, None)))]
            rows.append([name, value, numbers["n"], numbers["clusters"], *cells])
    header = ["slice", "value", "n", "clusters", "base", "student", "gain", "low", "high"]
    _write(SLICES_FILE, header, rows)


def write_calibration(rows: Iterable[CalibrationRow]) -> None:
    """reports/calibration.csv, from the rows of `calibrate`."""
    cells = [[r["model"], f"{r['difference']:.6g}", _cell(r["share"]), r["n"]] for r in rows]
    _write(CALIBRATION_FILE, ["model", "difference", "share", "n"], cells)


def write_percentiles(percentiles: Mapping[str, Sequence[float]]) -> None:
    """reports/percentiles.csv, models in the order of `TITLES`.

    Args:
        percentiles: Model -> the percentile of each persona's winner, in [0, 1]; a model without
            any is left out.
    """
    known = [model for model in TITLES if percentiles.get(model)]
    rows = [row for model in known for row in _histogram(model, percentiles[model])]
    _write(PERCENTILES_FILE, ["model", "percentile", "share"], rows)


def write_cycles(held_out: HeldOut, cycles: Sequence[str]) -> None:
    """reports/percentiles_by_cycle.csv, from the vectors of the base model and of each cycle."""
    rows: list[list[str]] = []
    for cycle in (BASE, *cycles) if held_out.personas else ():
        name = "base" if cycle == BASE else cycle
        rows += _histogram(name, held_out.percentiles(held_out.scores(cycle)))
    _write(CYCLES_FILE, ["cycle", "percentile", "share"], rows)


def write_worst(
    base: Sequence[QueryRow], student: Sequence[QueryRow], texts: Mapping[str, str]
) -> None:
    """reports/worst.json: whom the student serves worst.

    Args:
        base: How the base model answered, a row a persona.
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


def _histogram(name: str, percentiles: Sequence[float] | NDArray[np.float64]) -> list[list[str]]:
    """A row a bin: the name, the bin's lower edge, and its share."""
    edges = np.linspace(0, 1, BINS + 1)
    shares = np.histogram(percentiles, edges)[0] / len(percentiles)
    return [[name, f"{low:.2f}", _cell(share)] for low, share in zip(edges, shares, strict=False)]


def _cell(number: float | None) -> str:
    return "" if number is None else f"{number:.6f}"


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with atomic_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
