"""Captions of a benchmark's pictures that somebody else wrote, a vision-language model say.

FILE.jsonl, a line a picture: {"image": "images/a.jpg", "caption": "A mug on a wooden table."}

`image` is the picture's path or the end of it, as far as it is needed to tell one picture.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from retrieval.storage.caption_lines import read_caption_lines

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
    for place, image, caption in read_caption_lines(file, "image"):
        ending = PurePosixPath(image)
        parts = ending.parts
        meant = [path for path in by_name[ending.name] if path.parts[-len(parts) :] == parts]
        if len(meant) > 1 or any(path in captions for path in meant):
            why = "has a caption already" if len(meant) == 1 else f"may be any of {len(meant)}"
            raise SystemExit(f"{place}: picture {image} {why}; expected one of each")
        captions.update(dict.fromkeys(meant, caption))
    if missing := [str(path) for path in pictures if path not in captions]:
        named = "\n  ".join(missing[:SHOWN])
        msg = (
            f"{file}: no caption for {len(missing)} of {len(pictures)} pictures that are searched,"
            f" expected one each:\n  {named}"
        )
        raise SystemExit(msg)
    return [captions[path] for path in pictures]
