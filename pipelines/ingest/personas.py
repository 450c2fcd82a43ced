"""A user's personas: personas.jsonl, checked line by line."""

import json
import logging
from collections.abc import Iterable
from pathlib import Path

from pipelines.ingest.rejects import Checked
from pipelines.tables.reader import read_table
from pipelines.tables.values import fold
from retrieval.storage.schema import PersonaRow, ProductRow

REQUIRED = ("persona_id", "text")
OPTIONAL = ("wants", "split", "paraphrase", "facets")
EXAMPLE = {
    "persona_id": "p1",
    "text": "a gift for a mother who loves gardening",
    "wants": {"motif=flowers": 1.0},
}

_log = logging.getLogger(__name__)


def read_personas(path: Path) -> Checked[PersonaRow]:
    """Read and check the personas.

    An id belongs to the first row that has it, kept or not; a text, case and spacing aside, to the
    first row that is kept.

    Raises:
        SystemExit: The file is missing, lacks a column in every line, or has no rows.
    """
    if not path.is_file():
        msg = (
            f"{path} is missing; expected one persona a line, such as\n{json.dumps(EXAMPLE)}\n"
            "or set personas.kind: file (texts from elsewhere) or openai (a model writes them)"
        )
        raise SystemExit(msg)
    table = read_table(path)
    table.expect(REQUIRED, OPTIONAL)
    checked = Checked[PersonaRow](table)
    ids: dict[str, int] = {}
    texts: dict[str, int] = {}
    for cells in checked.cells():
        persona: PersonaRow = {
            "persona_id": cells.text("persona_id", required=True),
            "text": cells.text("text", required=True),
            "split": cells.split(),
            "wants": cells.wants(),
            "paraphrase": cells.text("paraphrase"),
            "facets": cells.facets(),
        }
        cells.claim("persona_id", persona["persona_id"], ids)
        folded = fold(persona["text"])
        if folded in texts:
            cells.reasons.append(f"text is that of row {texts[folded]}")
        if checked.keep_or_reject(cells, persona["persona_id"], persona):
            texts[folded] = cells.number
    return checked


def log_unmet_wants(personas: Iterable[PersonaRow], products: Iterable[ProductRow]) -> None:
    """Log which wants name an attribute and value that no product has: often a spelling."""
    offered = {f"{name}={value}" for row in products for name, value in row["attributes"].items()}
    wanted = dict.fromkeys(want for persona in personas for want in persona["wants"])
    unmet = [want for want in wanted if want not in offered]
    if unmet:
        _log.warning(
            "%d of %d different wants name what no product has, such as %s; expected the names and"
            " values of the attr.* columns",
            len(unmet),
            len(wanted),
            ", ".join(map(repr, unmet[:3])),
        )
