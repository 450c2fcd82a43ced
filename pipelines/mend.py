"""Mend what DVC leaves when it is killed while it writes its own state; `make repro` runs it first.

DVC 3.67 rewrites `dvc.lock` and `.dvc/tmp/rwlock` in place: for a quarter of a second after each
stage they lie half written, and after a kill there every further `dvc` command refuses to start.

dvc.lock, .dvc/tmp/rwlock -> the same without the half that cannot be read

Run:  python -m pipelines.mend
"""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from pipelines.stage import say
from retrieval.files import atomic_file

LOCK = Path("dvc.lock")
RWLOCK = Path(".dvc/tmp/rwlock")
ASIDE = Path("var/unreadable")  # nothing is thrown away: a merge conflict would look the same
_STAGE = re.compile(r"  [^\s-]")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def readable_stages(text: str) -> str:
    """The stages of a `dvc.lock` up to the first that was cut off, as text; "" if none is whole.

    DVC runs the lost ones again, or takes them from its run cache.
    """
    lines = text.splitlines(keepends=True)
    starts = [at for at, line in enumerate(lines) if _STAGE.match(line)]
    for end in (len(lines), *reversed(starts[1:])):
        kept = "".join(lines[:end])
        if _is_lock(kept):
            return kept
    return ""


def _is_lock(text: str) -> bool:
    """Whether DVC takes the text for a lock file, by DVC's own schema."""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from voluptuous import Invalid

    try:
        COMPILED_LOCKFILE_SCHEMA(yaml.load(text, _LOADER))  # noqa: S506 -- a safe loader
    except (yaml.YAMLError, Invalid):
        return False
    return True


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _mend(path: Path, is_whole: Callable[[str], bool], salvage: Callable[[str], str]) -> None:
    """Put what can be read in place of the file, and the file aside; a whole one stays."""
    if not path.exists() or is_whole(path.read_text(encoding="utf-8")):
        return
    with _dvc_lock():  # a DVC that is writing just now has the lock: wait for it, and look again
        text = path.read_text(encoding="utf-8")
        if is_whole(text):
            return
        ASIDE.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, ASIDE / path.name)
        kept = salvage(text)
        if kept:
            with atomic_file(path) as file:
                file.write_text(kept, encoding="utf-8")
        else:
            path.unlink()
    say(f"{path} was half written, by a DVC that was killed: mended (as it was: {ASIDE})")


def _dvc_lock() -> Any:
    from dvc.repo import Repo

    return Repo().lock


def main() -> None:
    """Mend both files."""
    _mend(RWLOCK, _is_json, lambda _: "")
    _mend(LOCK, _is_lock, readable_stages)


if __name__ == "__main__":
    main()
