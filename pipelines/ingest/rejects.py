"""Which rows of a user's table are kept and which are not: collected, reported, limited."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic

from pipelines.run.stage import progress
from pipelines.tables.reader import Table
from pipelines.tables.rows import Cells
from retrieval.storage.files import atomic_file
from retrieval.storage.schema import RowT

REPORT = Path("reports/catalog_rejects.csv")
_SHOWN = 5


@dataclass(frozen=True)
class Reject:
    """A row that is left out, with every reason for it; `row` counts as `Row.number` does."""

    file: str
    row: int
    id: str
    reason: str


@dataclass
class Checked(Generic[RowT]):
    """What came of a table: each of its rows is either kept or rejected."""

    table: Table
    kept: list[RowT] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)

    def cells(self) -> Iterator[Cells]:
        """Each row that could be read; one that could not is rejected."""
        for row in progress(self.table.rows, f"reading {self.table.file}"):
            if row.fault:
                self.rejects.append(Reject(self.table.file, row.number, "", row.fault))
            else:
                yield Cells(row)

    def keep_or_reject(self, cells: Cells, identity: str, row: RowT) -> bool:
        """Keep the row if `cells` notes nothing against it; whether it is kept."""
        if cells.reasons:
            reason = "; ".join(dict.fromkeys(cells.reasons))
            self.rejects.append(Reject(self.table.file, cells.number, identity, reason))
        else:
            self.kept.append(row)
        return not cells.reasons


def write_rejects(path: Path, rejects: Sequence[Reject]) -> None:
    """Write the rejected rows as CSV, atomically; the header alone where there are none."""
    with (
        atomic_file(path) as temporary,
        # An id may hold what UTF-8 has no form for; that may well be why it is here.
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["file", "row", "id", "reason"])
        writer.writerows([each.file, each.row, each.id, each.reason] for each in rejects)


def hold_rejects(
    rejects: Sequence[Reject], rows: Mapping[str, int], max_fraction: float, report: Path = REPORT
) -> None:
    """Hold each file's rejects to the largest share that is allowed.

    Each file by itself: a thousand personas do not make up for a hundred lost photos.

    Args:
        rejects: The rejects of all files.
        rows: How many rows each file has, by its name.
        max_fraction: `catalog.max_reject_fraction`.
        report: Where all of them were written.

    Raises:
        SystemExit: A file has more; the message counts, quotes the first and says where all are.
    """
    faults = []
    for file, count in rows.items():
        here = [each for each in rejects if each.file == file]
        if here and len(here) / count > max_fraction:
            faults.append(_excess(here, count))
    if faults:
        msg = (
            "\n".join(faults) + f"\nmore than catalog.max_reject_fraction: {max_fraction:g} allows;"
            f" all of them are in {report}. Mend or remove the rows, or raise the limit"
        )
        raise SystemExit(msg)


def _excess(rejects: Sequence[Reject], count: int) -> str:
    lines = [
        f"{rejects[0].file}: {len(rejects)} of {count} rows rejected ({len(rejects) / count:.2%})"
    ]
    lines += [f"  row {each.row} ({each.id!r}): {each.reason}" for each in rejects[:_SHOWN]]
    if len(rejects) > _SHOWN:
        lines.append(f"  and {len(rejects) - _SHOWN} more")
    return "\n".join(lines)
