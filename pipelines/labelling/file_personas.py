"""Personas that a file of labels brings: wishes that it names by their text, and nobody has yet."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from pipelines.labelling.teachers.file_labels import read_labels
from pipelines.tables.values import fold
from retrieval.storage.schema import PersonaRow


def personas_of_labels(path: Path, known: Sequence[PersonaRow]) -> list[PersonaRow]:
    """Training personas for the texts of a file of labels that no known persona has.

    They come after the splits were made and are all for training, so that no other persona's split
    changes: what a champion was trained on stays out of the test. [] where the file names ids.

    Args:
        path: `teacher.file.path`.
        known: All other personas, with their splits.

    Raises:
        SystemExit: See `read_labels`.
    """
    labels = read_labels(path)
    if not labels.by_text:
        return []
    taken = {fold(row["text"]) for row in known}
    new: dict[str, str] = {}
    for order in labels.orders:
        new.setdefault(fold(order.persona_id), " ".join(order.persona_id.split()))
    return [_persona(text) for folded, text in new.items() if folded not in taken]


def _persona(text: str) -> PersonaRow:
    return {
        "persona_id": f"text-{hashlib.sha256(fold(text).encode()).hexdigest()[:16]}",
        "text": text,
        "split": "train",
        "wants": {},
        "paraphrase": "",
        "facets": {},
    }
