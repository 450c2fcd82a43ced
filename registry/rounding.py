"""Whether two files say the same: byte for byte, within rounding, or not.

Numbers in JSON, CSV, Parquet and safetensors are compared as numbers; all else must be equal.
"""

import csv
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from retrieval.storage.files import read_json

TOLERANCE = 1e-5  # of numbers up to 1; of larger ones, relative to them

Likeness = Literal["equal", "rounding", "differs"]


def compare_files(was: Path, now: Path) -> Likeness:
    """Compare two files of the same kind."""
    if was.read_bytes() == now.read_bytes():
        return "equal"
    compare = _BY_SUFFIX.get(now.suffix)
    try:
        alike = compare is not None and compare(was, now)
    except (ValueError, OSError, KeyError):  # one of them is not what its name says
        alike = False
    return "rounding" if alike else "differs"


def worst(found: Iterable[Likeness]) -> Likeness:
    """The least alike of several; of none, equal."""
    order: list[Likeness] = ["equal", "rounding", "differs"]
    return max(found, key=order.index, default="equal")


def is_near(was: float, now: float) -> bool:
    """Whether two numbers are equal within rounding; NaN is equal to itself."""
    if math.isnan(was) or math.isnan(now):
        return math.isnan(was) and math.isnan(now)
    return math.isclose(was, now, rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def values_are_near(was: Any, now: Any) -> bool:
    """The same of nested mappings and lists: equal but for the rounding of their numbers."""
    if isinstance(was, Mapping) and isinstance(now, Mapping):
        return was.keys() == now.keys() and all(values_are_near(was[key], now[key]) for key in was)
    if isinstance(was, list) and isinstance(now, list):
        return len(was) == len(now) and all(map(values_are_near, was, now))
    if isinstance(was, float) and isinstance(now, float | int):
        return is_near(was, float(now))
    return bool(was == now)


def _json(was: Path, now: Path) -> bool:
    return values_are_near(read_json(was), read_json(now))


def _csv(was: Path, now: Path) -> bool:
    return values_are_near(_cells(was), _cells(now))


def _cells(path: Path) -> list[list[float | str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return [[_cell(text) for text in row] for row in csv.reader(file)]


def _cell(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _parquet(was: Path, now: Path) -> bool:
    one, other = pq.read_table(was), pq.read_table(now)
    if one.schema != other.schema or one.num_rows != other.num_rows:
        return False
    return all(_columns_are_near(one[name], other[name]) for name in one.column_names)


def _columns_are_near(was: pa.ChunkedArray, now: pa.ChunkedArray) -> bool:
    if _holds_vectors(was.type) and not (was.null_count or now.null_count):
        return _arrays_are_near(_numbers(was), _numbers(now))
    return values_are_near(was.to_pylist(), now.to_pylist())


def _holds_vectors(type_: pa.DataType) -> bool:
    return bool(pa.types.is_fixed_size_list(type_) and pa.types.is_floating(type_.value_type))


def _numbers(column: pa.ChunkedArray) -> Any:
    return column.combine_chunks().flatten().to_numpy(zero_copy_only=False)


def _safetensors(was: Path, now: Path) -> bool:
    from safetensors import safe_open

    with safe_open(was, framework="pt") as one, safe_open(now, framework="pt") as other:
        if set(one.keys()) != set(other.keys()):
            return False
        return all(
            _arrays_are_near(one.get_tensor(name).numpy(), other.get_tensor(name).numpy())
            for name in one.keys()  # noqa: SIM118 -- it is no mapping
        )


def _arrays_are_near(was: Any, now: Any) -> bool:
    return was.shape == now.shape and bool(
        np.allclose(was, now, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
    )


_BY_SUFFIX: dict[str, Callable[[Path, Path], bool]] = {
    ".csv": _csv,
    ".json": _json,
    ".parquet": _parquet,
    ".safetensors": _safetensors,
}
