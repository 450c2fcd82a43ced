"""What the stages counted on their way: rows, refused ones, calls, money; for the lineage."""

import csv
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.run.params import Params
from pipelines.run.paths import (
    CAPTIONS_LEDGER,
    PERSONAS_FILE,
    PERSONAS_LEDGER,
    PRODUCTS_FILE,
    TOURNAMENTS_FILE,
    ledger_file,
    rankings_file,
)
from registry.lineage import Account, Asking
from retrieval.storage.files import read_json
from retrieval.storage.schema import (
    PERSONAS,
    PRODUCTS,
    RANKINGS,
    TOURNAMENTS,
    Table,
    read_table,
)

REJECTS = (Path("reports/catalog_rejects.csv"), Path("reports/caption_rejects.csv"))
_FREE = ("simulated", "file")  # kinds of teacher that no call of costs money


def read_account(params: Params, registered_by: Mapping[str, str]) -> Account:
    """Read it from the files that the stages left.

    Args:
        params: For the cycles, and whether a call of the teacher costs money.
        registered_by: SHA-256 of the files that registering is done by.

    Raises:
        FileNotFoundError: A stage has not left its file.
        ValueError: A file is not what its name says.
    """
    asked = {
        "captions": _asking(read_json(CAPTIONS_LEDGER)),
        "personas": _asking(read_json(PERSONAS_LEDGER)),
        "tournaments": _tournaments(params.teacher.kind),
        **{f"label {cycle}": _asking(read_json(ledger_file(cycle))) for cycle in params.cycles},
    }
    last = list(params.cycles)[-1]  # the rankings of earlier cycles are in it
    groups = read_table(rankings_file(last), RANKINGS)["group_id"].to_pylist()
    return Account(
        products=_by_split(PRODUCTS_FILE, PRODUCTS),
        personas=_by_split(PERSONAS_FILE, PERSONAS),
        rankings=dict(Counter(group.rpartition("-")[0] for group in groups)),
        rejects=dict(Counter(table for path in REJECTS for table in _refused(path))),
        dropped=dict(read_json(PERSONAS_LEDGER).get("counts", {})),
        asked={purpose: one for purpose, one in asked.items() if one},
        registered_by=dict(registered_by),
    )


def _by_split(path: Path, table: Table[Any]) -> dict[str, int]:
    return dict(Counter(read_table(path, table)["split"].to_pylist()))


def _refused(path: Path) -> list[str]:
    """The table that each refused row stood in."""
    with path.open(encoding="utf-8", newline="") as file:
        return [row["file"] for row in csv.DictReader(file)]


def _asking(ledger: Mapping[str, Any]) -> Asking | None:
    """What a ledger says was asked; None where no model was."""
    if not ledger.get("calls"):
        return None
    known = Asking.model_fields.keys() & ledger.keys()
    return Asking(**{name: ledger[name] for name in sorted(known)})


def _tournaments(teacher: str) -> Asking | None:
    """Of the knockouts; their table counts calls alone."""
    calls = sum(read_table(TOURNAMENTS_FILE, TOURNAMENTS)["calls"].to_pylist())
    return Asking(calls=calls, cost_usd=0.0 if teacher in _FREE else None) if calls else None
