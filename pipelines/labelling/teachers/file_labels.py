"""Orders that people or another system made, read from a user's file and held to the catalogue.

The file is CSV or Parquet, and has one of two forms:

- rankings: `persona_id`, `presented`, `ranking` (best first; empty where there was no label), in
  Parquet as lists, in CSV with | between the product ids;
- choices: `persona_id`, `winner`, `loser`.

Other columns are not read, so the pipeline's own table of rankings is such a file.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.tables.reader import read_table
from pipelines.tables.rows import Cells, Row

RANKINGS_FORM = ("persona_id", "presented", "ranking")
CHOICES_FORM = ("persona_id", "winner", "loser")
SEPARATOR = "|"
_SHOWN = 5  # faults that a message lists; the rest it counts


@dataclass(frozen=True)
class Order:
    """What one row says: who, the products in the order of presentation, and best first."""

    persona_id: str
    presented: tuple[str, ...]
    ranking: tuple[str, ...]


def read_orders(path: Path) -> tuple[list[Order], bool]:
    """The orders of a file, row by row, and whether they are choices between two.

    A choice does not tell which of the two stood first; it reads as presented by id.

    Raises:
        SystemExit: The file cannot be read, is of no known form, has a wrong row, or no order.
    """
    if path.suffix not in (".csv", ".parquet"):
        msg = f"teacher.file.path is {path}; expected a .csv or .parquet file"
        raise SystemExit(msg)
    table = read_table(path)
    choices = _has_choices(path, table.columns)
    in_csv = path.suffix == ".csv"
    orders: list[Order] = []
    faults: list[str] = []
    for row in table.rows:
        cells = Cells(_split_lists(row) if in_csv and not choices else row)
        order = _choice(cells) if choices else _ranking(cells)
        reasons = [row.fault] if row.fault else cells.reasons
        if reasons:
            # A spreadsheet counts the header of a CSV file as row 1.
            faults.append(f"row {row.number + in_csv}: {'; '.join(reasons)}")
        elif order.ranking:
            orders.append(order)
    if faults:
        lines = "\n  ".join(_first(faults))
        msg = f"{path} has wrong rows ({len(faults)}); correct them or take them out:\n  {lines}"
        raise SystemExit(msg)
    if not orders:
        raise SystemExit(f"{path} holds no order; expected one row at least with a label")
    return orders, choices


def check_known_ids(
    path: Path, orders: Sequence[Order], personas: Collection[str], products: Collection[str]
) -> None:
    """Hold the ids of a file to those of the catalogue.

    Raises:
        SystemExit: The file names a persona or a product that the catalogue lacks.
    """
    named = {
        "persona": (dict.fromkeys(order.persona_id for order in orders), personas),
        "product": (dict.fromkeys(id_ for order in orders for id_ in order.presented), products),
    }
    faults = [
        f"unknown {kind}s ({len(unknown)}: {', '.join(_first(unknown))})"
        for kind, (ids, known) in named.items()
        if (unknown := [id_ for id_ in ids if id_ not in known])
    ]
    if faults:
        msg = (
            f"{path} names {' and '.join(faults)}; the catalogue has {len(personas)} personas and"
            f" {len(products)} products. Correct the ids, add what is missing to the catalogue, or"
            " take those rows out"
        )
        raise SystemExit(msg)


def _has_choices(path: Path, columns: Sequence[str]) -> bool:
    forms = [form for form in (RANKINGS_FORM, CHOICES_FORM) if set(form) <= set(columns)]
    if len(forms) != 1:
        msg = (
            f"{path} has columns {', '.join(columns) or 'none'}; expected either"
            f" {', '.join(RANKINGS_FORM)}, or {', '.join(CHOICES_FORM)}"
        )
        raise SystemExit(msg)
    return forms[0] == CHOICES_FORM


def _split_lists(row: Row) -> Row:
    """A CSV row with its lists as lists."""
    lists = {
        name: text.split(SEPARATOR) if text.strip() else []
        for name, text in row.values.items()
        if name in ("presented", "ranking")
    }
    return Row(row.number, {**row.values, **lists}, row.fault)


def _ranking(cells: Cells) -> Order:
    persona_id = cells.text("persona_id", required=True)
    presented, ranking = cells.texts("presented"), cells.texts("ranking")
    if len(presented) < 2:
        cells.reasons.append(f"presented holds {len(presented)} products, expected two at least")
    elif ranking and sorted(ranking) != sorted(presented):
        cells.reasons.append(f"ranking {ranking} is no permutation of presented {presented}")
    return Order(persona_id, tuple(presented), tuple(ranking))


def _choice(cells: Cells) -> Order:
    persona_id, winner, loser = (cells.text(name, required=True) for name in CHOICES_FORM)
    if winner and winner == loser:
        cells.reasons.append(f"winner and loser are both {winner!r}, expected two products")
    return Order(persona_id, tuple(sorted((winner, loser))), (winner, loser))


def _first(items: Sequence[str]) -> list[str]:
    return [*items[:_SHOWN], *(["..."] if len(items) > _SHOWN else [])]
