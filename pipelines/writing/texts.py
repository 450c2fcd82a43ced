"""`personas.kind: file`: personas sampled from any table that has a column of texts."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from pipelines.run.params import Personas
from pipelines.tables.reader import READERS, Table, read_table
from pipelines.tables.values import as_text, fold
from pipelines.writing.languages import is_in
from retrieval.storage.schema import PersonaRow

_LOOKED_AT = 200  # rows, to tell which column holds texts
_WORDS = 3  # words that a text has on average, at least: fewer is a name or a label


def sample_texts(
    settings: Personas, seed: int, known: Sequence[str] = ()
) -> tuple[list[PersonaRow], dict[str, int]]:
    """Personas from the file of `personas.path`, as yet without a split, and what was dropped.

    Args:
        settings: Section `personas`.
        seed: Decides which texts are taken, where there are more than wanted.
        known: Texts that there are already.

    Raises:
        SystemExit: The file cannot be read, has no such column, or no text that fits.
    """
    if settings.path.suffix not in READERS:
        msg = f"personas.path is {settings.path}; expected a name that ends in {', '.join(READERS)}"
        raise SystemExit(msg)
    table = read_table(settings.path)
    column = settings.column or text_column(table)
    if column not in table.columns:
        msg = (
            f"{table.file} has no column {column!r}: got {_names(table.columns)}; set"
            " personas.column to the one with the texts"
        )
        raise SystemExit(msg)
    counts: Counter[str] = Counter(read=len(table.rows))
    seen, fitting = {fold(text) for text in known}, []
    for row in table.rows:
        text, fault = _read(row.values.get(column), settings)
        if not fault and fold(text) in seen:
            fault = "repeated"
        if fault:
            counts[fault] += 1
        else:
            seen.add(fold(text))
            fitting.append((row.number, text))
    if not fitting:
        msg = (
            f"{table.file}: none of {len(table.rows)} texts in column {column!r} can be a persona"
            f" ({_tally(counts)}); see personas.language, min_words and max_words"
        )
        raise SystemExit(msg)
    drawn = np.random.default_rng(seed).permutation(len(fitting))[: settings.count]
    return [_persona(*fitting[place]) for place in sorted(drawn.tolist())], dict(counts)


def text_column(table: Table) -> str:
    """The only column whose values are texts of several words.

    Raises:
        SystemExit: There is none, or more than one.
    """
    rows = [row.values for row in table.rows if not row.fault][:_LOOKED_AT]
    found = [
        column
        for column in table.columns
        if (texts := [str(row[column]) for row in rows if isinstance(row.get(column), str)])
        and sum(len(text.split()) for text in texts) >= _WORDS * len(texts)
    ]
    if len(found) != 1:
        got = f"several columns of texts, {_names(found)}" if found else "no column of texts"
        msg = (
            f"{table.file}: got {got} among {_names(table.columns)}; set personas.column to the one"
            " that says who somebody is or what they want"
        )
        raise SystemExit(msg)
    return found[0]


def misfit(text: str, settings: Personas) -> str:
    """Why a text is no persona by its length or language; "" if it can be one."""
    words = len(text.split())
    if words < settings.min_words:
        return "too short"
    if words > settings.max_words:
        return "too long"
    if settings.language and not is_in(text, settings.language):
        return "another language"
    return ""


def _read(value: object, settings: Personas) -> tuple[str, str]:
    """The text on one line, and why it cannot be a persona."""
    try:
        text = " ".join(as_text(value).split())
    except ValueError:
        return "", "no text"
    return text, misfit(text, settings) if text else "no text"


def _persona(number: int, text: str) -> PersonaRow:
    return {
        "persona_id": f"row-{number}",
        "text": text,
        "split": "",
        "wants": {},
        "paraphrase": "",
        "facets": {},
    }


def _names(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names)) or "none"


def _tally(counts: Counter[str]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in counts.items() if name != "read")
