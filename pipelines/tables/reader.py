"""A user's tables as rows: CSV, Parquet and JSON Lines, read alike."""

import codecs
import csv
import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.tables.rows import Row
from pipelines.tables.values import attribute_of

# What separates the fields of a CSV file -> its name.
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_SEP = re.compile(r'"?sep=([,;|\t])"?', re.IGNORECASE)  # a spreadsheet's own first line

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Table:
    """A file's rows, and the columns that it has (JSON Lines: that some line has)."""

    file: str
    columns: list[str]
    rows: list[Row]

    def expect(self, required: Sequence[str], optional: Sequence[str]) -> None:
        """Hold the columns to what is expected; those that nothing reads are logged.

        Raises:
            SystemExit: A required column is missing, or there are no rows.
        """
        readable = [row for row in self.rows if not row.fault]
        if not self.rows or readable:  # where no line can be read, the rejects say why
            self._check_columns(required, optional)
        if not self.rows:
            raise SystemExit(f"{self.file} has no rows; expected one at least")

    def _check_columns(self, required: Sequence[str], optional: Sequence[str]) -> None:
        missing = [name for name in required if name not in self.columns]
        if missing:
            msg = (
                f"{self.file} lacks {_names(missing)}: got columns {_names(self.columns)}; expected"
                f" {_names(required)} (and, if you like, {_names(optional)}). Rename or add them"
            )
            raise SystemExit(msg)
        known = {*required, *optional}
        unused = [name for name in self.columns if not (name in known or attribute_of(name))]
        if unused:
            _log.warning("%s: nothing reads the columns %s", self.file, _names(unused))


def read_table(path: Path) -> Table:
    """Read a table by its suffix.

    Raises:
        SystemExit: The file cannot be read as what its suffix says, as a whole.
    """
    try:
        return READERS[path.suffix](path)
    except OSError as error:
        msg = f"{path} cannot be read ({error.strerror or error})"
        raise SystemExit(msg) from error


def _read_csv(path: Path) -> Table:
    try:
        with path.open(encoding=_encoding(path), newline="") as file:
            delimiter = _delimiter(file)
            records = csv.reader(file, delimiter=delimiter, strict=True)
            header = [name.strip() for name in next(records, [])]
            while header and not header[-1]:
                header.pop()  # spreadsheets write columns that were used once
            _refuse_repeated(path, [name for name in header if name])
            rows = list(_csv_rows(records, header))
    except UnicodeError as error:
        msg = f"{path} is not UTF-8 ({error}); save it as CSV in UTF-8"
        raise SystemExit(msg) from error
    except csv.Error as error:  # from here on nothing says where a row begins
        msg = (
            f"{path} is broken at line {records.line_num} ({error}); expected fields separated by"
            f" {_DELIMITERS[delimiter]}, in "
            '"double quotes" where they hold one, a line end or a quote (as "")'
        )
        raise SystemExit(msg) from error
    return Table(path.name, [name for name in header if name], rows)


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        mark = file.read(2)
    return "utf-16" if mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"


def _delimiter(file: TextIO) -> str:
    """What separates fields: as a line `sep=;` says, which is skipped, or what cuts most names."""
    first = file.readline()
    said = _SEP.fullmatch(first.rstrip("\r\n"))
    if said:
        return said[1]
    file.seek(0)
    counts = {delimiter: len(_cut(first, delimiter)) for delimiter in _DELIMITERS}
    return max(counts, key=lambda delimiter: counts[delimiter])  # of equal ones the comma


def _cut(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter), [])


def _csv_rows(records: Iterable[list[str]], header: list[str]) -> Iterator[Row]:
    width = len(header)
    for number, record in enumerate(records, 1):
        if not any(record):
            continue  # a blank line: counted, as a spreadsheet does, but no row
        if len(record) < width or any(record[width:]):
            fault = f"has {len(record)} fields, expected {width} as in the header"
            yield Row(number, {}, fault)
        else:
            cells = zip(header, record, strict=False)
            yield Row(number, {name: cell for name, cell in cells if name})


def _read_parquet(path: Path) -> Table:
    try:
        with path.open("rb") as file:
            table = pq.read_table(file)
            _refuse_repeated(path, table.column_names)
            rows = [Row(number, values) for number, values in enumerate(table.to_pylist(), 1)]
    except (pa.ArrowException, OSError) as error:
        msg = f"{path} cannot be read as Parquet ({error}); write it again"
        raise SystemExit(msg) from error
    return Table(path.name, table.column_names, rows)


def _read_jsonl(path: Path) -> Table:
    lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    rows = [_json_row(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    columns = dict.fromkeys(name for row in rows for name in row.values)
    return Table(path.name, list(columns), rows)


def _json_row(number: int, line: bytes) -> Row:
    try:
        values = json.loads(line.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        return Row(number, {}, f"is not JSON ({error})")
    if not isinstance(values, dict):
        return Row(number, {}, f"is {type(values).__name__}, expected one JSON object on a line")
    return Row(number, values)


def _no_constant(name: str) -> Any:
    msg = f"{name} is not a JSON number"
    raise ValueError(msg)


def _refuse_repeated(path: Path, columns: list[str]) -> None:
    repeated = sorted({name for name in columns if columns.count(name) > 1})
    if repeated:
        raise SystemExit(f"{path} has the columns {_names(repeated)} more than once; rename them")


def _names(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names) or "none"


READERS: dict[str, Callable[[Path], Table]] = {
    ".csv": _read_csv,
    ".parquet": _read_parquet,
    ".jsonl": _read_jsonl,
}
