"""The file `SHA256SUMS` of a bundle: written once, checked at every opening, `sha256sum -c` too.

A bundle is plain files in folders: what links elsewhere, or could run code when it is opened, is
refused. A hard link to a file elsewhere cannot be told from a file: its content is what counts.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from registry.executable import why_executable
from retrieval.storage.files import sha256_file

SUMS = "SHA256SUMS"
# MLflow drops this file into a model that it loads or downloads; it is no part of the bundle.
FOREIGN = frozenset({"registered_model_meta"})
_DIGEST = re.compile(r"[0-9a-f]{64}")


def file_digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file below `folder` but `SHA256SUMS` itself, by relative path.

    Raises:
        ValueError: There is something else than files and folders, or a file that could run code.
    """
    paths = {
        path.relative_to(folder).as_posix(): path
        for path in _plain_files(folder)
        if not (path.name in FOREIGN and path.parent == folder)
    }
    for path in paths.values():
        if (why := why_executable(path)) is not None:
            raise ValueError(_fault(path, f"{why}, which could run code", "none that could"))
    return {name: sha256_file(paths[name]) for name in sorted(paths) if name != SUMS}


def write_sums(folder: Path) -> dict[str, str]:
    """Write `SHA256SUMS` over the folder's files, and return what it says.

    Raises as `file_digests`.
    """
    digests = file_digests(folder)
    (folder / SUMS).write_text(_text(digests), encoding="utf-8")
    return digests


def verify_sums(folder: Path) -> dict[str, str]:
    """Check the folder's files against `SHA256SUMS`, and return their digests.

    Raises:
        ValueError: A file is missing, unexpected, changed, a link or could run code, or the file of
            digests names one outside of the folder; the message names it.
    """
    expected = _read_sums(folder / SUMS)
    found = file_digests(folder)
    for name in sorted(expected.keys() | found.keys()):
        if found.get(name) != expected.get(name):
            raise ValueError(_fault(folder / name, found.get(name), expected.get(name)))
    return found


def _plain_files(folder: Path) -> Iterator[Path]:
    """Every file below; a folder that is a link itself may be one."""
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(root, name)
            if path.is_symlink():
                raise ValueError(_fault(path, f"a link to {path.readlink()}", "a file of its own"))
            if name in files:
                if not path.is_file():
                    raise ValueError(_fault(path, "something that is no file", "a file"))
                yield path


def _read_sums(path: Path) -> dict[str, str]:
    if path.is_symlink() or not path.is_file():
        raise ValueError(_fault(path, None, "the digests of the bundle's files"))
    text = path.read_bytes().decode("utf-8", errors="replace")
    digests = {}
    for line in text.split("\n")[:-1]:
        digest, separator, name = line.partition("  ")
        if not _DIGEST.fullmatch(digest) or not separator or name in digests:
            raise ValueError(_fault(path, f"line {line!r}", "lines of 'digest  path'"))
        if not _is_inside(name):
            raise ValueError(_fault(path, f"path {name!r}", "paths inside of the bundle"))
        digests[name] = digest
    if _text(digests) != text:  # the last line has no end, say
        raise ValueError(_fault(path, "other bytes", "lines of 'digest  path', each with its end"))
    return digests


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    plain = path.as_posix() == name and not path.is_absolute() and "\\" not in name
    return plain and name != "." and ".." not in path.parts


def _text(digests: dict[str, str]) -> str:
    return "".join(f"{digest}  {name}\n" for name, digest in digests.items())


def _fault(path: Path, got: str | None, expected: str | None) -> str:
    return (
        f"{path}: got {got or 'no such file'}, expected {expected or 'no file of that name'};"
        " this bundle is damaged: delete its folder, and fetch or build it again"
    )
