"""What picture files became, remembered in `var/`: none is decoded again that has not changed.

A file is read when its size, its times or its inode are other than last time; it is decoded when
its content is. A copy with old times is noticed: nobody can set the time of a file's last change of
status.
"""

import hashlib
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipelines.ingest.pictures import PictureLimits
from pipelines.run.stage import progress
from retrieval.images import PictureError, jpeg_bytes, open_picture, pixel_sha256
from retrieval.storage.files import sha256_file
from retrieval.storage.journal import Journal

JOURNAL = Path("var/sync/pictures.jsonl")
_FORM = 1  # of what is remembered; to be raised where pictures become something else
_TOGETHER = 256  # files whose records are written at once
_DOUBT = 2_000_000_000  # ns: a file changed so shortly before it was read may change unnoticed


@dataclass(frozen=True)
class Seen:
    """What a file became."""

    source: str  # SHA-256 of the file
    pixels: str  # of its pixels; "" where it is no picture
    content: str  # of the copy that the catalogue would hold; likewise
    fault: str  # why it is no picture, as `PictureError` says it; else ""


def look_at(
    paths: Iterable[Path], limits: PictureLimits, journal: Journal, threads: int
) -> dict[Path, Seen]:
    """What each file became; those that cannot be read are left out.

    Args:
        paths: The files, each once.
        limits: What is refused, and what is scaled down.
        journal: Open; it is added to.
        threads: How many files are read at once.
    """
    todo = list(paths)
    found: dict[Path, Seen] = {}
    records: list[dict[str, Any]] = []
    with ThreadPoolExecutor(threads) as pool:
        looks = pool.map(lambda path: _look(path, limits, journal), todo)
        for path, look in zip(todo, progress(looks, "pictures", len(todo)), strict=True):
            if look is None:
                continue
            found[path], new = look
            records += new
            if len(records) >= _TOGETHER:
                journal.append(records)
                records = []
    if records:
        journal.append(records)
    return found


def _look(
    path: Path, limits: PictureLimits, journal: Journal
) -> tuple[Seen, list[dict[str, Any]]] | None:
    new: list[dict[str, Any]] = []
    try:
        status, now = path.stat(), time.time_ns()
        stamp = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
        if not (path.is_file() and status.st_size):
            return None
        known = journal.get(f"file {path}")
        if known and known["stamp"] == stamp and _is_settled(stamp, known["read"]):
            source = str(known["sha256"])
        else:
            source = sha256_file(path)
            record = {"key": f"file {path}", "stamp": stamp, "read": now, "sha256": source}
            new.append(record)
    except OSError:
        return None
    key = f"picture {_FORM} {limits.max_megapixels:g} {limits.max_side} {source}"
    became = journal.get(key)
    if became is None:
        seen = _see(path, source, limits)
        return seen, [*new, {"key": key, **asdict(seen)}]
    return _seen(became), new


def _is_settled(stamp: list[int], read: int) -> bool:
    """Whether the file had rested when it was read, so that a change after that has other times."""
    return max(stamp[1:3]) < read - _DOUBT


def _see(path: Path, source: str, limits: PictureLimits) -> Seen:
    try:
        picture = open_picture(path, limits.max_megapixels)
    except PictureError as error:
        return Seen(source, "", "", str(error))
    copy = jpeg_bytes(picture, limits.max_side)
    return Seen(source, pixel_sha256(picture), hashlib.sha256(copy).hexdigest(), "")


def _seen(record: Mapping[str, Any]) -> Seen:
    return Seen(**{name: record[name] for name in Seen.__dataclass_fields__})
