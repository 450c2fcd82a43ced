"""Which captions and personas lose their meaning to the text tower: reported before it reads them.

By the tokenizer alone; no model runs.
"""

import csv
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.run.stage import say
from retrieval.storage.files import atomic_file
from retrieval.storage.schema import PersonaRow, ProductRow
from retrieval.text.readable import Reading, alike, read_texts

REPORT = Path("reports/texts.csv")
HEADER = [
    "table",
    "id",
    "unknown_share",  # of the text's tokens
    "unknown_words",
    "tokens",
    "read_tokens",  # fewer than tokens: its end is cut off
    "reads_like",  # ids of the other texts that the tower cannot tell from it
]
_MANY = 0.05  # of the texts of a table: then it is a matter of the language, not of a word

_log = logging.getLogger(__name__)


def report_texts(
    path: Path, tokenize: Any | None, products: Sequence[ProductRow], personas: Sequence[PersonaRow]
) -> None:
    """Write the report, a line a text that loses something; say how many, warn where many do.

    Args:
        path: The report; the header alone where nothing is lost, or nothing can be told.
        tokenize: The text tower's tokenizer; None writes the header alone.
        products: Whose captions; blank ones lose nothing.
        personas: Whose texts.
    """
    lines: list[list[str]] = []
    if tokenize is not None:
        captions = {row["product_id"]: row["caption"] for row in products if row["caption"]}
        texts = {row["persona_id"]: row["text"] for row in personas}
        for table, by_id in {"products": captions, "personas": texts}.items():
            lines += _lines(table, list(by_id), list(by_id.values()), tokenize)
    with (
        atomic_file(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([HEADER, *lines])


def _lines(table: str, ids: list[str], texts: list[str], tokenize: Any) -> list[list[str]]:
    readings = read_texts(tokenize, texts)
    others = {
        place: [ids[other] for other in group if texts[other] != texts[place]]
        for group in alike(texts, readings)
        for place in group
    }
    faulty = [
        place
        for place, reading in enumerate(readings)
        if reading.unknown or reading.is_cut or place in others
    ]
    _tell(table, readings, len(others), len(faulty))
    return [[table, ids[at], *_line(readings[at], others.get(at, []))] for at in faulty]


def _line(reading: Reading, others: Sequence[str]) -> list[str]:
    return [
        f"{reading.unknown_share:.3f}",
        " ".join(reading.unknown),
        str(reading.length),
        str(min(reading.length, reading.limit)),
        " ".join(others),
    ]


def _tell(table: str, readings: Sequence[Reading], same: int, faulty: int) -> None:
    unknown = sum(bool(reading.unknown) for reading in readings)
    cut = sum(reading.is_cut for reading in readings)
    if not faulty:
        return
    say(
        f"{table}: {faulty} of {len(readings)} texts lose something to the text tower (words that"
        f" it does not know: {unknown}, cut off: {cut}, read like another text: {same}), listed in"
        f" {REPORT}"
    )
    if max(unknown, same) > _MANY * len(readings):
        _log.warning(
            "%s: the text tower does not know the language of many texts; take a base.model that"
            " does, such as xlm-roberta-base-ViT-B-32: photos/README.md, Languages",
            table,
        )
