"""Orders that people or another system made, read from a user's file and held to the catalogue.

The file is CSV or Parquet, and has one of three forms:

- rankings: `persona_id`, `presented`, `ranking` (best first; empty where there was no label), in
  Parquet as lists, in CSV with | between the product ids;
- choices: `persona_id`, `winner`, `loser`;
- verdicts, as labelling tools export them: `persona_id`, `left`, `right` (product ids), `choice`
  (`CHOICES` has its words).

In place of `persona_id` a file may have `text`: the wish itself, case and spacing aside.

Other columns are not read, so the pipeline's own table of rankings is such a file.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipelines.tables.reader import Table, read_table
from pipelines.tables.rows import Cells, Row
from pipelines.tables.values import fold, is_missing

RANKINGS_FORM = ("persona_id", "presented", "ranking")
CHOICES_FORM = ("persona_id", "winner", "loser")
VERDICTS_FORM = ("persona_id", "left", "right", "choice")
FORMS = (RANKINGS_FORM, CHOICES_FORM, VERDICTS_FORM)
SEPARATOR = "|"
LEFT, RIGHT, TIE, BOTH_BAD, SKIPPED = "left", "right", "tie", "both bad", "skipped"
# The words of a choice, whatever their case, with _ and - for spaces. 0 is none: it may be either.
CHOICES = {
    LEFT: (LEFT, "a", "1"),
    RIGHT: (RIGHT, "b", "2"),
    TIE: (TIE, "equal", "both", "both good"),
    BOTH_BAD: (BOTH_BAD, "neither", "tie (bothbad)"),
    SKIPPED: ("", SKIPPED, "skip", "nan", "n/a", "null", "none"),
}
_CHOICE_OF = {word: choice for choice, words in CHOICES.items() for word in words}
_SHOWN = 5  # faults that a message lists; the rest it counts


@dataclass(frozen=True)
class Order:
    """What one row says: who, the products in the order of presentation, and best first."""

    persona_id: str
    presented: tuple[str, ...]
    ranking: tuple[str, ...]


@dataclass
class Labels:
    """What a file holds, row by row."""

    form: tuple[str, ...]
    by_text: bool = False  # who wishes is named by the text, until `name_personas`
    orders: list[Order] = field(default_factory=list)
    no_label: Counter[str] = field(default_factory=Counter)  # rows, by what they are instead

    @property
    def are_choices(self) -> bool:
        """Whether they are choices between two."""
        return self.form != RANKINGS_FORM

    def __str__(self) -> str:
        """How many rows are no label, and why."""
        total = len(self.orders) + self.no_label.total()
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.no_label.items()))
        return f"{self.no_label.total()} of {total} rows are no label ({kinds})"


def read_labels(path: Path) -> Labels:
    """The orders of a file; a row that is no label (a tie, say) is counted.

    A choice reads as presented by id: who won says nothing of which stood first, and one pair is
    one group, whichever stood left.

    Raises:
        SystemExit: The file cannot be read, is of no known form, has a wrong row, or no order.
    """
    if path.suffix not in (".csv", ".parquet"):
        msg = f"teacher.file.path is {path}; expected a .csv or .parquet file"
        raise SystemExit(msg)
    table = read_table(path)
    labels = Labels(_form_of(path, table.columns), by_text="persona_id" not in table.columns)
    faults = _read_rows(table, labels, in_csv=path.suffix == ".csv")
    if faults:
        lines = "\n  ".join(_first(faults))
        msg = f"{path} has wrong rows ({len(faults)}); correct them or take them out:\n  {lines}"
        raise SystemExit(msg)
    if not labels.orders:
        why = f": {labels}" if labels.no_label else ""
        raise SystemExit(f"{path} holds no order{why}; expected one row at least with a label")
    return labels


def name_personas(labels: Labels, ids: Mapping[str, str]) -> list[Order]:
    """The orders by persona id; a text that nobody has stays as it is.

    Args:
        labels: Of `read_labels`.
        ids: Persona ids by their texts, as `fold` has those.
    """
    if not labels.by_text:
        return labels.orders
    return [
        replace(order, persona_id=ids.get(fold(order.persona_id), order.persona_id))
        for order in labels.orders
    ]


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


def _form_of(path: Path, columns: Sequence[str]) -> tuple[str, ...]:
    named = {*columns, "persona_id"} if "text" in columns else set(columns)
    # A text may stand for a persona's id.
    forms = [form for form in FORMS if set(form) <= named]
    if len(forms) != 1:
        msg = (
            f"{path} has columns {', '.join(columns) or 'none'}; expected one of"
            f" {' | '.join(', '.join(form) for form in FORMS)}. Rename its columns, or take out"
            " those of the other forms (docs/labelling.md)"
        )
        raise SystemExit(msg)
    return forms[0]


def _read_rows(table: Table, labels: Labels, in_csv: bool) -> list[str]:
    """Fill in the labels; what is wrong with rows, each with its number in the file."""
    read = _READERS[labels.form]
    faults: list[str] = []
    for row in table.rows:
        if labels.by_text:
            if not row.fault and _has_no_text(row):
                labels.no_label["without a text"] += 1
                continue
            row = Row(row.number, {**row.values, "persona_id": row.values.get("text")}, row.fault)
        cells = Cells(row if labels.are_choices or not in_csv else _split_lists(row))
        order = read(cells)
        reasons = [row.fault] if row.fault else cells.reasons
        if reasons:
            # A spreadsheet counts the header of a CSV file as row 1.
            faults.append(f"row {row.number + in_csv}: {'; '.join(reasons)}")
        elif isinstance(order, Order):
            labels.orders.append(order)
        else:
            labels.no_label[order] += 1
    return faults


def _has_no_text(row: Row) -> bool:
    """Whether nothing is wished; somebody may well have searched for "none"."""
    text = row.values.get("text")
    return text is None or (isinstance(text, str) and is_missing(text.strip()))


def _split_lists(row: Row) -> Row:
    """A CSV row with its lists as lists."""
    lists = {
        name: text.split(SEPARATOR) if text.strip() else []
        for name, text in row.values.items()
        if name in ("presented", "ranking")
    }
    return Row(row.number, {**row.values, **lists}, row.fault)


def _ranking(cells: Cells) -> Order | str:
    persona_id = cells.text("persona_id", required=True)
    presented, ranking = cells.texts("presented"), cells.texts("ranking")
    if len(presented) < 2:
        cells.reasons.append(f"presented holds {len(presented)} products, expected two at least")
    elif ranking and sorted(ranking) != sorted(presented):
        cells.reasons.append(f"ranking {ranking} is no permutation of presented {presented}")
    return Order(persona_id, tuple(presented), tuple(ranking)) if ranking else "without a ranking"


def _choice(cells: Cells) -> Order | str:
    if not (cells.text("winner") or cells.text("loser")):
        cells.text("persona_id", required=True)
        return SKIPPED
    persona_id, winner, loser = _two_products(cells, CHOICES_FORM)
    return Order(persona_id, tuple(sorted((winner, loser))), (winner, loser))


def _verdict(cells: Cells) -> Order | str:
    persona_id, left, right = _two_products(cells, VERDICTS_FORM[:3])
    said = cells.text("choice")
    choice = _CHOICE_OF.get(re.sub(r"[\s_-]+", " ", said).casefold().removesuffix(".0"))
    if choice is None:
        words = "; ".join(", ".join(filter(None, words)) for words in CHOICES.values())
        cells.reasons.append(f"choice is {said!r}, expected one of {words}, or blank")
        return SKIPPED
    if choice not in (LEFT, RIGHT):
        return choice
    ranking = (left, right) if choice == LEFT else (right, left)
    return Order(persona_id, tuple(sorted(ranking)), ranking)


def _two_products(cells: Cells, names: Sequence[str]) -> list[str]:
    """A persona and two products that differ."""
    texts = [cells.text(name, required=True) for name in names]
    _, one, other = texts
    if one and one == other:
        which = " and ".join(names[1:])
        cells.reasons.append(f"{which} are both {one!r}, expected two products")
    return texts


_READERS: Mapping[tuple[str, ...], Callable[[Cells], Order | str]] = {
    RANKINGS_FORM: _ranking,
    CHOICES_FORM: _choice,
    VERDICTS_FORM: _verdict,
}


def _first(items: Sequence[str]) -> list[str]:
    return [*items[:_SHOWN], *(["..."] if len(items) > _SHOWN else [])]
