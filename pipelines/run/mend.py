"""Mend what DVC leaves when it is killed at a bad moment; `make repro` runs it first.

DVC 3.67 rewrites `dvc.lock` and `.dvc/tmp/rwlock` in place: for a quarter of a second after each
stage they lie half written, and after a kill there every further `dvc` command refuses to start.
And it takes a lock in `rwlock` for held as long as its holder's number is in the process table,
where a killed process stays as a zombie if nobody collects it (a container without an init), or
where the number has gone to another process since.

dvc.lock, .dvc/tmp/rwlock -> the same without what cannot be read and without the dead's locks

Run:  python -m pipelines.run.mend
"""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import yaml

from pipelines.run.stage import say
from retrieval.storage.files import atomic_file

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


def _holds(holder: dict[str, Any]) -> bool:
    """Whether the process that wrote this entry of `rwlock` still runs."""
    try:
        process = psutil.Process(holder["pid"])
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return str(holder["cmd"]) in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:  # somebody else's, and alive
        return True


def held_locks(text: str) -> str:
    """A `rwlock` without the entries of dead processes, as text; "" where it cannot be read.

    The form is DVC's own: {"write": {path: holder}, "read": {path: [holder, ...]}} with
    holder = {"pid": ..., "cmd": ...}, where cmd is the process's arguments without the interpreter.
    """
    try:
        locks = json.loads(text)
        write = {path: holder for path, holder in locks.get("write", {}).items() if _holds(holder)}
        read = {
            path: kept
            for path, holders in locks.get("read", {}).items()
            if (kept := [holder for holder in holders if _holds(holder)])
        }
    except (ValueError, AttributeError, TypeError, KeyError):
        return ""
    if (write, read) == (locks.get("write", {}), locks.get("read", {})):
        return text
    return json.dumps({"write": write, "read": read})


def _mend(path: Path, salvage: Callable[[str], str], guard: Callable[[], Any]) -> None:
    """Put what `salvage` keeps in place of the file, and the file aside; one without fault stays.

    `guard` is the lock under which DVC writes the file: a DVC that is writing just now ends first.
    """
    if not path.exists() or _without_fault(path, salvage):
        return
    with guard():
        if _without_fault(path, salvage):
            return
        ASIDE.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, ASIDE / path.name)
        kept = salvage(path.read_text(encoding="utf-8"))
        if kept:
            with atomic_file(path) as file:
                file.write_text(kept, encoding="utf-8")
        else:
            path.unlink()
    say(f"{path} was left by a DVC that was killed: mended (as it was: {ASIDE / path.name})")


def _without_fault(path: Path, salvage: Callable[[str], str]) -> bool:
    text = path.read_text(encoding="utf-8")
    return bool(text) and salvage(text) == text


def _repo_lock() -> Any:
    from dvc.repo import Repo

    return Repo().lock


def _rwlock_lock() -> Any:
    from dvc.lock import make_lock

    return make_lock(str(RWLOCK) + ".lock", tmp_dir=str(RWLOCK.parent))


def main() -> None:
    """Mend both files."""
    _mend(RWLOCK, held_locks, _rwlock_lock)
    _mend(LOCK, readable_stages, _repo_lock)


if __name__ == "__main__":
    main()
