"""Captions that somebody else wrote, a vision-language model say: JSON Lines, one a picture."""

import json
from collections.abc import Iterator
from pathlib import Path


def read_caption_lines(file: Path, key: str) -> Iterator[tuple[str, str, str]]:
    """Place in the file, name of the picture, and caption, line by line.

    Args:
        file: Lines of `{KEY: "...", "caption": "..."}`; empty ones are left out.
        key: What names the picture.

    Raises:
        SystemExit: The file cannot be read, or a line is malformed.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{file}: cannot be read ({error}); expected JSON Lines in UTF-8"
        raise SystemExit(msg) from error
    for number, line in enumerate(lines, start=1):
        if line.strip():
            place = f"{file}: line {number}"
            yield place, *_read(line, key, place)


def _read(line: str, key: str, place: str) -> tuple[str, str]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise SystemExit(f"{place} is no JSON: {error}") from error
    values = [row.get(name) for name in (key, "caption")] if isinstance(row, dict) else []
    if len(values) != 2 or not all(isinstance(v, str) and v.strip() for v in values):
        msg = f'{place} is {line[:200]}, expected {{"{key}": "...", "caption": "..."}}'
        raise SystemExit(msg)
    name, caption = (str(value).strip() for value in values)
    return name, caption
