"""Captions of a benchmark's pictures that somebody else wrote, a vision-language model say.

FILE.jsonl, a line a picture: {"image": "images/a.jpg", "caption": "A mug on a wooden table."}

`image` is the picture's path or the end of it, as far as it is needed to tell one picture.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

SHOWN = 10  # pictures that an error names


def read_captions(file: Path, pictures: Sequence[Path]) -> list[str]:
    """The caption of each picture, in order; lines about other pictures are left out.

    Raises:
        SystemExit: The file cannot be read, a line is malformed or could mean two pictures, or a
            picture has no caption, or two.
    """
    by_name: dict[str, list[Path]] = defaultdict(list)
    for path in pictures:
        by_name[path.name].append(path)
    captions: dict[Path, str] = {}
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{file}: cannot be read ({error}); expected JSON Lines in UTF-8"
        raise SystemExit(msg) from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        image, caption = _read(line, f"{file}: line {number}")
        ending = PurePosixPath(image).parts
        meant = [path for path in by_name[ending[-1]] if path.parts[-len(ending) :] == ending]
        if len(meant) > 1 or any(path in captions for path in meant):
            why = "has a caption already" if len(meant) == 1 else f"may be any of {len(meant)}"
            raise SystemExit(f"{file}: line {number}: picture {image} {why}; expected one of each")
        captions.update(dict.fromkeys(meant, caption))
    if missing := [str(path) for path in pictures if path not in captions]:
        named = "\n  ".join(missing[:SHOWN])
        msg = (
            f"{file}: no caption for {len(missing)} of {len(pictures)} pictures that are searched,"
            f" expected one each:\n  {named}"
        )
        raise SystemExit(msg)
    return [captions[path] for path in pictures]


def _read(line: str, place: str) -> tuple[str, str]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise SystemExit(f"{place} is no JSON: {error}") from error
    values = [row.get(key) for key in ("image", "caption")] if isinstance(row, dict) else []
    if len(values) != 2 or not all(isinstance(v, str) and v.strip() for v in values):
        msg = f'{place} is {line[:200]}, expected {{"image": "...", "caption": "..."}}'
        raise SystemExit(msg)
    image, caption = (str(value).strip() for value in values)
    return image, caption
