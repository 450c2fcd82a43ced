"""The file `SHA256SUMS` of a bundle: written once, checked at every opening, `sha256sum -c` too."""

from pathlib import Path

from retrieval.storage.files import sha256_file

SUMS = "SHA256SUMS"
# MLflow drops this file into a model that it loads or downloads; it is no part of the bundle.
FOREIGN = frozenset({"registered_model_meta"})


def file_digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file below `folder` but `SHA256SUMS` itself, by relative path."""
    paths = {
        path.relative_to(folder).as_posix(): path
        for path in folder.rglob("*")
        if path.is_file() and path.name not in FOREIGN
    }
    return {name: sha256_file(paths[name]) for name in sorted(paths) if name != SUMS}


def write_sums(folder: Path) -> dict[str, str]:
    """Write `SHA256SUMS` over the folder's files, and return what it says."""
    digests = file_digests(folder)
    lines = [f"{digest}  {name}\n" for name, digest in digests.items()]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")
    return digests


def verify_sums(folder: Path) -> dict[str, str]:
    """Check the folder's files against `SHA256SUMS`, and return their digests.

    Raises:
        ValueError: A file is missing, unexpected or changed; the message names it.
    """
    expected = _read_sums(folder / SUMS)
    found = file_digests(folder)
    for name in sorted(expected.keys() | found.keys()):
        if found.get(name) != expected.get(name):
            raise ValueError(_fault(folder / name, found.get(name), expected.get(name)))
    return found


def _read_sums(path: Path) -> dict[str, str]:
    if not path.is_file():
        raise ValueError(_fault(path, None, "the digests of the bundle's files"))
    digests = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        digest, separator, name = line.partition("  ")
        if len(digest) != 64 or not separator or not name:
            raise ValueError(_fault(path, f"line {line!r}", "lines of 'digest  path'"))
        digests[name] = digest
    return digests


def _fault(path: Path, got: str | None, expected: str | None) -> str:
    return (
        f"{path}: got {got or 'no such file'}, expected {expected or 'no file of that name'};"
        " this bundle is damaged: delete its folder, and fetch or build it again"
    )
