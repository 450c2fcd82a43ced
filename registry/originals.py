"""What a version's stages wrote, to compare with: named by its digest, found where it still is."""

import hashlib
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from registry.bundle import Bundle
from registry.rounding import Likeness, compare_files, values_are_near, worst
from retrieval.storage.files import read_json

EVALUATION = "metrics/evaluate.json"  # the bundle has it as its metrics
_GONE = "what it was is not in DVC's cache here"


class Originals:
    """What a version's stages wrote, as far as it is still here: by digest, in DVC's cache."""

    def __init__(self, bundle: Bundle) -> None:
        """The cache is looked for when the first file is."""
        self._bundle = bundle
        self._cache: Path | None = None

    def compare(self, path: str, was: str, now: Path) -> tuple[Likeness, str]:
        """An output of another digest: how far its content differs, and a note."""
        if path == EVALUATION:
            near = values_are_near(self._bundle.metrics, read_json(now))
            return ("rounding" if near else "differs"), ""
        if not was.endswith(".dir"):
            return self._compare_file(was, Path(path), now)
        listing = self._cached(was)
        if not listing.is_file():
            return "differs", _GONE
        then = {entry["relpath"]: entry["md5"] for entry in read_json(listing)}
        found = {p.relative_to(now).as_posix() for p in now.rglob("*") if p.is_file()}
        if then.keys() != found:
            strays = sorted(then.keys() ^ found)
            return "differs", f"other files: {', '.join(strays[:3])}"
        return self._compare_files(path, then, now)

    def _compare_files(self, path: str, then: Mapping[str, str], now: Path) -> tuple[Likeness, str]:
        files = {
            name: self._compare_file(digest, Path(path) / name, now / name)
            for name, digest in sorted(then.items())
            if _md5(now / name) != digest
        }
        unlike = [name for name, (likeness, _) in files.items() if likeness == "differs"]
        note = f"{len(unlike)} of {len(then)} files: {', '.join(unlike[:3])}" if unlike else ""
        return worst(likeness for likeness, _ in files.values()), note

    def _compare_file(self, was: str, path: Path, now: Path) -> tuple[Likeness, str]:
        original = self._cached(was)
        if not original.is_file():  # what DVC does not cache may lie where it was written
            if not path.is_file() or _md5(path) != was:
                return "differs", _GONE
            original = path
        return compare_files(original, now), ""

    def _cached(self, digest: str) -> Path:
        if self._cache is None:
            self._cache = cache_folder()
        return self._cache / "files" / "md5" / digest[:2] / digest[2:]


def cache_folder() -> Path:
    """Where DVC keeps what the checkout's stages wrote; `cache.dir` may say so."""
    command = [sys.executable, "-m", "dvc", "cache", "dir"]
    done = subprocess.run(  # noqa: S603 - fixed arguments
        command, capture_output=True, text=True, check=False
    )
    return Path(done.stdout.strip() or ".dvc/cache")


def _md5(path: Path) -> str:
    """As DVC names a file's content."""
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
