"""The picture files of a user's folder, found by names that spreadsheets and systems bend.

A name that is exactly a file's is that file. Otherwise backslashes, a folder named once more, other
case and other Unicode form are read through, if that leaves one file.
"""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath, PureWindowsPath
from urllib.parse import unquote, urlsplit

from retrieval.images import PictureError

_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+:")  # two letters: C: is a drive
_SHOWN = 3


class PictureFiles:
    """Finds the files of one folder; nothing outside it is read."""

    def __init__(self, folder: Path) -> None:
        """Remember the folder; it is listed when a name is no file's."""
        self._folder = folder.resolve()

    def find(self, name: str) -> Path:
        """The file that a table means.

        Raises:
            PictureError: It means none inside the folder, or several; the message suggests some.
        """
        if not _URL.match(name):
            path = self._resolved(name)
            inside = path.is_relative_to(self._folder)
            if inside and _is_there(path):
                return path
            meant = self._meant(name)
            if len(meant) == 1:
                return self._folder / meant[0]
            if not (meant or inside or self._is_absolute(name)):
                msg = f"leaves {self._folder}, by .. or by a link, to {path}; put the file inside"
                raise PictureError(msg)
        raise PictureError(f"{self._fault(name)}{self._suggestion(name)}")

    def _resolved(self, name: str) -> Path:
        try:
            return (self._folder / name).resolve()
        except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: links in a circle
            msg = f"is no usable path ({error})"
            raise PictureError(msg) from error

    def _meant(self, name: str) -> list[str]:
        """The files that the name may mean, by their names in the folder."""
        found = (self._by_name.get(_folded(form), []) for form in self._forms(name))
        return list(dict.fromkeys(file for files in found for file in files))

    def _forms(self, name: str) -> Iterator[str]:
        """The name with slashes, and without each beginning that only repeats the folder's."""
        parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
        home = [_folded(part) for part in self._folder.parts if part != self._folder.anchor]
        yield "/".join(parts)
        while parts and _folded(parts[0]) == home[-1]:
            parts = parts[1:]
            yield "/".join(parts)
        for length in range(2, min(len(parts), len(home)) + 1):
            if [_folded(part) for part in parts[:length]] == home[-length:]:
                yield "/".join(parts[length:])

    def _fault(self, name: str) -> str:
        if _URL.match(name):
            return f"is a URL, not inside {self._folder}; download it"
        if self._is_absolute(name):
            return f"is an absolute path, not inside {self._folder}; expected one relative to it"
        return f"does not exist inside {self._folder}"

    @staticmethod
    def _is_absolute(name: str) -> bool:
        return PurePosixPath(name).is_absolute() or bool(PureWindowsPath(name).drive)

    def _suggestion(self, name: str) -> str:
        """Files whose names are alike, if there are any."""
        path = unquote(urlsplit(name).path) if _URL.match(name) else name.replace("\\", "/")
        last = PurePosixPath(_folded(path))
        meant = self._meant(name) or self._by_last[last.name] or self._by_last[last.stem]
        shown = " or ".join(repr(file) for file in meant[:_SHOWN])
        return f"; did you mean {shown}?" if shown else ""

    @cached_property
    def _names(self) -> list[str]:
        """Every file of the folder, relative to it, in order; none that a link leads out to."""
        paths = [Path(top) / file for top, _, files in os.walk(self._folder) for file in files]
        kept = [path for path in paths if not (path.is_symlink() and self._leaves(path))]
        return sorted(path.relative_to(self._folder).as_posix() for path in kept)

    def _leaves(self, link: Path) -> bool:
        try:
            return not link.resolve().is_relative_to(self._folder)
        except (OSError, RuntimeError):  # links in a circle
            return True

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        by_name = defaultdict(list)
        for name in self._names:
            by_name[_folded(name)].append(name)
        return dict(by_name)

    @cached_property
    def _by_last(self) -> defaultdict[str, list[str]]:
        """Files by their last part, with its suffix and without."""
        by_last = defaultdict(list)
        for name in self._names:
            last = PurePosixPath(_folded(name))
            for key in {last.name, last.stem}:
                by_last[key].append(name)
        return by_last


def _folded(text: str) -> str:
    """Equal for what differs in case or in Unicode form alone."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def _is_there(path: Path) -> bool:
    """Whether there is something, be it unreadable."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    except OSError:
        return True
    return True
