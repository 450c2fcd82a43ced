"""A file of records that is only ever added to: what is in it survives a kill and a power cut.

One line a record: 16 hexadecimal digits of the SHA-256 of the rest, a space, the record as JSON. A
line that a kill cut off is dropped at the next opening; a line that was damaged later counts as
missing.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from filelock import FileLock, Timeout

TEACHERS = Path("var/teacher")  # a journal a stage that asks a teacher; no stage's output
_DIGITS = 16

Record = dict[str, Any]


class Journal:
    """The records of one file by their `key`; of several with one key the last counts.

    Use it as a context: it is locked while it is open.
    """

    def __init__(self, path: Path) -> None:
        """Remember where; nothing is opened or made before the context is entered."""
        self.path = path
        self.damaged = 0  # lines whose checksum is wrong
        self._lock = FileLock(path.with_name(f"{path.name}.lock"))
        self._records: dict[str, Record] = {}
        self._file: BinaryIO | None = None

    def __enter__(self) -> "Journal":
        """Lock and read the file, and cut off what a kill left half written.

        Raises:
            BlockingIOError: Another process has it open.
            OSError: It cannot be read or written.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            msg = f"{self.path} is in use by another process; wait for it, or end it"
            raise BlockingIOError(msg) from error
        try:
            self._read()
            self._file = self.path.open("ab")
            _sync_folder(self.path.parent)
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close and unlock."""
        if self._file is not None:
            self._file.close()
        self._file = None
        self._lock.release()

    def __len__(self) -> int:
        """How many keys have a record."""
        return len(self._records)

    def get(self, key: str) -> Record | None:
        """The record of a key."""
        return self._records.get(key)

    def append(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Add records, each with a `key`; when this returns they are on disk.

        Raises:
            ValueError: The journal is not open, or a record is no JSON.
            OSError: The disk is full, say; then none of them counts.
        """
        if self._file is None:
            msg = f"{self.path} is not open"
            raise ValueError(msg)
        end = self._file.tell()
        try:
            self._file.write(b"".join(_line(record) for record in records))
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError:
            self._file.truncate(end)
            raise
        self._records.update({record["key"]: dict(record) for record in records})

    def _read(self) -> None:
        self._records, self.damaged = {}, 0
        if not self.path.exists():
            return
        with self.path.open("r+b") as file:
            whole = 0
            for line in file:
                if not line.endswith(b"\n"):
                    file.truncate(whole)
                    os.fsync(file.fileno())
                    break
                whole += len(line)
                record = _parse(line)
                if record is None:
                    self.damaged += 1
                else:
                    self._records[record["key"]] = record


def read_journal(path: Path) -> Iterator[Record]:
    """The sound records of a journal in the order of writing, while others may write to it.

    Raises:
        FileNotFoundError: There is no such file.
    """
    with path.open("rb") as file:
        for line in file:
            record = _parse(line)
            if record is not None:
                yield record


# `json.dumps` would make one for every record.
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _line(record: Mapping[str, Any]) -> bytes:
    data = _ENCODER.encode(record).encode("utf-8", "surrogatepass")
    return _checksum(data) + b" " + data + b"\n"


def _parse(line: bytes) -> Record | None:
    checksum, data = line[:_DIGITS], line[_DIGITS + 1 : -1]
    if line[_DIGITS : _DIGITS + 1] != b" " or _checksum(data) != checksum:
        return None
    try:
        record = json.loads(data.decode("utf-8", "surrogatepass"))
    except ValueError:
        return None
    return record if isinstance(record, dict) and isinstance(record.get("key"), str) else None


def _checksum(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest()[:_DIGITS].encode()


def _sync_folder(folder: Path) -> None:
    """A new file's name is on disk when its folder is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
